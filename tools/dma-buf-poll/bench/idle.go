// SPDX-License-Identifier: GPL-2.0

// Wraps the file that is descriptor 3, as a program does that gets a buffer
// from somewhere, and does nothing with it until it is killed. The runtime
// watches a nonblocking file from then on, edge-triggered.
package main

import (
	"os"
	"time"
)

func main() {
	file := os.NewFile(3, "dma-buf")
	if file == nil || file.SetDeadline(time.Time{}) != nil {
		os.Exit(1) // the runtime does not watch it
	}
	time.Sleep(time.Minute)
	file.Close()
}
