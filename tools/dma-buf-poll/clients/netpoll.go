// SPDX-License-Identifier: GPL-2.0

// Go: os.NewFile for each buffer, and a goroutine that waits for it. The runtime
// registers the files edge-triggered for IN and OUT at once, and for as long as
// they are open. protocol.h says what a client is.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

const (
	firstFd = 200
	count   = 64
	pollIn  = 0x1
	pollOut = 0x4
)

type pollfd struct {
	fd      int32
	events  int16
	revents int16
}

// How often somebody looked at a buffer: the loop itself belongs to the runtime.
var looks int64

func say(format string, args ...interface{}) {
	syscall.Write(1, []byte(fmt.Sprintf(format+"\n", args...)))
}

func events(n int) int16 {
	if n&1 == 0 {
		return pollIn
	}
	return pollOut
}

// poll with a timeout of 0
func look(n int) bool {
	p := pollfd{fd: int32(firstFd + n), events: events(n)}
	atomic.AddInt64(&looks, 1)
	ret, _, _ := syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&p)), 1, 0)
	return ret == 1 && p.revents == p.events
}

// Looks, and waits for an edge before it looks again.
func wait(n int, file *os.File, watched func()) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	first := true
	ready := func(uintptr) bool {
		is := look(n)
		if first {
			watched()
			first = false
		}
		return is
	}
	if events(n) == pollIn {
		return conn.Read(ready)
	}
	return conn.Write(ready)
}

func watchAll(files []*os.File, all *sync.WaitGroup) {
	var watched sync.WaitGroup

	watched.Add(count)
	all.Add(count)
	for n := range files {
		go func(n int) {
			defer all.Done()
			switch err := wait(n, files[n], watched.Done); {
			case err == nil:
				say("ready %d", n)
			// which the os package does not turn into its own ErrClosed here
			case err.Error() != "use of closed file":
				say("fault buffer %d: %v", n, err)
			}
		}(n)
	}
	watched.Wait()
	say("watching")
	atomic.StoreInt64(&looks, 0)
}

func main() {
	var all sync.WaitGroup
	command := make([]byte, 1)
	files := make([]*os.File, count)

	say("hello Go %s", runtime.Version()[2:])
	for n := range files {
		files[n] = os.NewFile(uintptr(firstFd+n), "dma-buf")
	}
	watchAll(files, &all)
	for {
		got, err := syscall.Read(0, command)
		if err == syscall.EINTR {
			continue
		}
		if got != 1 || err != nil {
			say("fault standard input has ended")
			os.Exit(1)
		}
		say("loops %d", atomic.LoadInt64(&looks))
		if command[0] != 'a' {
			break
		}
		// what is over was ready; nobody waits for it any more
		all.Wait()
		watchAll(files, &all)
	}

	for n, file := range files {
		if err := file.Close(); err != nil {
			say("fault buffer %d: close: %v", n, err)
		}
	}
	all.Wait()
	say("closed")
	for {
		got, err := syscall.Read(0, command)
		if err != syscall.EINTR && got <= 0 {
			return
		}
	}
}
