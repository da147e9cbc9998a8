package postgres

import "syscall"

// dieWithParent makes the kernel signal the child when the thread that started it ends, which is why that thread is
// kept for the child's whole life.
func dieWithParent(attr *syscall.SysProcAttr, death syscall.Signal) { attr.Pdeathsig = death }
