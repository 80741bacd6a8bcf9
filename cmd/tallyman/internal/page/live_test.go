package page

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newTestLive is a live whose looks are counted. Each shows another number of exports.
func newTestLive(takes time.Duration) (l *live, looks *atomic.Int64) {
	looks = &atomic.Int64{}
	l = &live{browsers: map[chan []byte]bool{}, look: func(context.Context) Running {
		time.Sleep(takes)
		return Running{Unknown: fmt.Sprintf("a\n%d", looks.Add(1))}
	}}
	return l, looks
}

// seen is the event of a look, which has a line of its own for each of the text.
func seen(look int) string {
	return fmt.Sprintf("data: <p>What runs is not known: a\ndata: %d</p>\n\n", look)
}

// However many browsers look on, there is one look a second for all of them, and none once
// they are gone.
func TestAllBrowsersLookOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, looks := newTestLive(0)
		var browsers []chan []byte
		for range maxLive {
			browsers = append(browsers, l.join())
		}
		if l.join() != nil {
			t.Error("there is no limit")
		}
		time.Sleep(10*time.Second + time.Millisecond)
		if n := looks.Load(); n != 11 {
			t.Errorf("%d looks in ten seconds", n)
		}
		for _, b := range browsers { // which took none of them
			if got := string(<-b); got != seen(11) {
				t.Errorf("%q", got)
			}
			l.leave(b)
		}
		time.Sleep(10 * time.Second)
		if n := looks.Load(); n != 11 {
			t.Errorf("%d looks, and nobody sees them", n-11)
		}
		late := l.join()
		synctest.Wait()
		if got := string(<-late); got != seen(12) {
			t.Errorf("%q", got)
		}
		l.leave(late)
		synctest.Wait()
	})
}

// Looks that take long are made seldom.
func TestLooksTakeAShareOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, looks := newTestLive(time.Second)
		b := l.join()
		time.Sleep(10 * time.Minute)
		if n := looks.Load(); n != 12 {
			t.Errorf("%d looks", n)
		}
		l.leave(b)
		time.Sleep(time.Minute)
	})
}

// A browser is told what changes, and a server that is closed does not wait for it.
func TestLookingOnEndsWithTheServer(t *testing.T) {
	l, _ := newTestLive(0)
	mux := http.NewServeMux()
	l.serve(mux)
	server := httptest.NewServer(mux)
	response, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for n := 1; n <= 2 && lines.Scan(); {
		if lines.Text() == "data: "+strconv.Itoa(n)+"</p>" {
			n++
		}
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" || lines.Err() != nil {
		t.Errorf("%s, %v", kind, lines.Err())
	}
	began := time.Now()
	server.Config.Close()
	for lines.Scan() {
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	for {
		l.mu.Lock()
		n := len(l.browsers)
		l.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// What runs is shown as far as it is known, and nothing that is not known is shown as zero.
func TestWhatRunsIsShown(t *testing.T) {
	percent, listed := 42, time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		running     Running
		has, hasNot []string
	}{
		{Running{Unknown: "Redis is <away>"}, []string{"What runs is not known: Redis is &lt;away&gt;"}, []string{"Nothing runs"}},
		{Running{}, []string{"Nothing runs now"}, []string{"<table"}},
		{Running{
			Exports: []RunningExport{{Ref: "sls://r/p/a", Received: "1 MiB of 2 MiB", Percent: &percent, Rate: "1 MiB/s", Left: "1s"}, {Ref: "sls://r/p/b"}, {Ref: "sls://r/p/c", Asks: true}}, More: 7,
			Retries: []NextTry{{"sls://r/p/d", "network: <reset>", "in 5 min"}}, MoreRetries: 3,
			Places: []WaitingPlace{{"sls://r/p/", "/exports?place=x", 1234567, &listed}, {"sls://r/q/", "", 1, nil}},
		}, []string{`<progress max="100" value="42"`, "and 7 more", "network: &lt;reset&gt;", "and 3 more", "1,234,567", "60 min ago", "not yet", `<td data-name="Rate">unknown`, "is asked whether"}, []string{"0 %"}},
	} {
		var b strings.Builder
		if err := tt.running.view().Render(&b); err != nil {
			t.Fatal(err)
		}
		for _, has := range tt.has {
			if !strings.Contains(b.String(), has) {
				t.Errorf("lacks %s: %s", has, &b)
			}
		}
		for _, not := range tt.hasNot {
			if strings.Contains(b.String(), not) {
				t.Errorf("has %s: %s", not, &b)
			}
		}
	}
}
