package bench

import "syscall"

// dieWithParent ends a contestant with the benchmark, however that ends.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
