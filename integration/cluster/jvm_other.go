//go:build !linux

package cluster

import "syscall"

// dieWithParent can promise nothing here: only Linux has such a signal.
func dieWithParent() *syscall.SysProcAttr { return nil }
