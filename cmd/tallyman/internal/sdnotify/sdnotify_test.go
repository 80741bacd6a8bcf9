package sdnotify

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// The supervisor hears each state, and twice in each period that the process is alive.
func TestTheSupervisorHearsHowTheProcessIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	hear := func() string {
		b := make([]byte, 100)
		_ = socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if err := Tell(Ready); err != nil {
		t.Errorf("without a supervisor: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	for _, state := range []string{Ready, Stopping} {
		if err := Tell(state); err != nil || hear() != state {
			t.Errorf("%s was not heard: %v", state, err)
		}
	}
	t.Setenv("WATCHDOG_USEC", "2000")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); Watch(ctx) }()
	for range 2 {
		if said := hear(); said != "WATCHDOG=1" {
			t.Errorf("heard %s", said)
		}
	}
	cancel()
	<-ended
	t.Setenv("WATCHDOG_PID", "1")
	Watch(t.Context()) // which is of another process, and returns
}
