package cluster

import "syscall"

// dieWithParent makes the kernel kill the broker when the test process ends,
// in whatever way.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
