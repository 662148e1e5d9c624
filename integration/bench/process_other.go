//go:build !linux

package bench

import "syscall"

// dieWithParent: only Linux can bind a process to its parent's life.
func dieWithParent() *syscall.SysProcAttr { return nil }
