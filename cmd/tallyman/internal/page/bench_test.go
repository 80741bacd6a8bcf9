package page

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"
)

// BenchmarkLive has 50 browsers look on while 200 exports run, and each look shows something
// else. A look is made once a second, so that its CPU, with that of the browsers, which are in
// the process too, is the share of a core that they take.
func BenchmarkLive(b *testing.B) {
	const browsers = 50
	n := 0
	l := &live{look: func(context.Context) (r Running) {
		n++
		for i := range 200 {
			percent := n % 100
			r.Exports = append(r.Exports, RunningExport{Ref: fmt.Sprintf("sls://cn-hangzhou/project/job-%08d", i), Received: fmt.Sprint(n, " MiB of 1 GiB"), Percent: &percent, Rate: "20 MiB/s", Left: "1m5s"})
		}
		return r
	}}
	mux := http.NewServeMux()
	l.serve(mux)
	server := httptest.NewServer(mux)
	defer server.Close()
	took := make(chan bool, 2*browsers)
	for range browsers {
		response, err := http.Get(server.URL + "/live")
		if err != nil {
			b.Fatal(err)
		}
		defer response.Body.Close()
		go func() {
			for lines := bufio.NewReader(response.Body); ; {
				switch line, err := lines.ReadSlice('\n'); {
				case err != nil:
					return
				case len(line) == 1:
					took <- true
				}
			}
		}()
	}
	l.mu.Lock()
	l.stop() // what follows is sent by hand
	l.mu.Unlock()
	for len(took) < browsers {
		time.Sleep(time.Millisecond)
	}
	for range browsers {
		<-took
	}
	before := cpu(b)
	for b.Loop() {
		l.send(b.Context(), l.event(b.Context()))
		for range browsers {
			<-took
		}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// cpu is what the process has taken.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
