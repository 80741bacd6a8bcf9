// Package sdnotify tells the supervisor that has started this process how it is, as
// sd_notify(3) does. Without such a supervisor it does nothing.
package sdnotify

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// Ready says that the process serves what it was started for, and Stopping that it ends.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// Tell tells the supervisor a state, if there is one.
func Tell(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

// Watch tells the supervisor, if it wants to know, that the process is alive, until ctx
// ends: twice in the time after which it would be taken for hung.
func Watch(ctx context.Context) {
	micros, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if err != nil || micros < 2 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return
	}
	tick := time.NewTicker(time.Duration(micros) * time.Microsecond / 2)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = Tell("WATCHDOG=1") // the next one may get through
		}
	}
}
