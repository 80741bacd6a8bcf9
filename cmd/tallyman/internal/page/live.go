package page

import (
	"bytes"
	"context"
	_ "embed"
	"net/http"
	"sync"
	"time"
)

// How what is under way is sent to browsers: at most so often, at most so many of them, and
// never so often that to look takes more than that share of the time.
const (
	liveInterval = time.Second
	maxLive      = 100
	liveShare    = 50

	livePing     = 15 * time.Second // how long a browser hears nothing at most, so that those that are gone are noticed
	livePatience = 10 * time.Second // for a browser that does not take what it is sent
)

//go:embed live.js
var liveScript []byte

// A live sends what is under way to all browsers that look on. It looks once for all of
// them, and only while there are any.
type live struct {
	look func(context.Context) Running

	mu       sync.Mutex
	browsers map[chan []byte]bool
	last     []byte // that was sent
	stop     context.CancelFunc
}

func (l *live) serve(mux *http.ServeMux) {
	l.browsers = map[chan []byte]bool{}
	mux.HandleFunc("GET /live", l.serveEvents)
	mux.HandleFunc("GET /live.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(liveScript) // to one who may be gone
	})
}

// serveEvents sends a browser what is under way, whenever that changes, until it is gone or
// the server is closed.
func (l *live) serveEvents(w http.ResponseWriter, r *http.Request) {
	browser := l.join()
	if browser == nil {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many browsers look on already", http.StatusServiceUnavailable)
		return
	}
	defer l.leave(browser)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // which nginx else does
	response := http.NewResponseController(w)
	ping := time.NewTicker(livePing)
	defer ping.Stop()
	for {
		event := []byte(": nothing new\n\n")
		select {
		case <-r.Context().Done():
			return
		case event = <-browser:
		case <-ping.C:
		}
		_ = response.SetWriteDeadline(time.Now().Add(livePatience)) // where there is none, a connection that hangs is closed by TCP
		if _, err := w.Write(event); err != nil || response.Flush() != nil {
			return
		}
	}
}

// join adds a browser, and begins to look if it is the first. It returns nil if there are too
// many.
func (l *live) join() chan []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.browsers) >= maxLive {
		return nil
	}
	browser := make(chan []byte, 1)
	if len(l.browsers) == 0 {
		var ctx context.Context
		ctx, l.stop = context.WithCancel(context.Background())
		l.last = nil
		go l.run(ctx)
	}
	if l.browsers[browser] = true; l.last != nil {
		browser <- l.last
	}
	return browser
}

// leave removes a browser, and ends looking with the last.
func (l *live) leave(browser chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if delete(l.browsers, browser); len(l.browsers) == 0 {
		l.stop()
	}
}

// run looks until ctx ends.
func (l *live) run(ctx context.Context) {
	for {
		began := time.Now()
		l.send(ctx, l.event(ctx))
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(liveInterval, liveShare*time.Since(began))):
		}
	}
}

// event is what is under way as an event.
func (l *live) event(ctx context.Context) []byte {
	ctx, cancel := context.WithTimeout(ctx, livePatience)
	defer cancel()
	var html, event bytes.Buffer
	_ = l.look(ctx).view().Render(&html)
	// A carriage return ends a line of an event, too.
	text := bytes.ReplaceAll(html.Bytes(), []byte("\r"), []byte("\n"))
	for line := range bytes.Lines(text) {
		event.WriteString("data: ")
		event.Write(bytes.TrimRight(line, "\n"))
		event.WriteByte('\n')
	}
	event.WriteByte('\n')
	return event.Bytes()
}

// send gives an event to all browsers, unless it is the last one again. One that has not
// taken the event before gets this one in its place.
func (l *live) send(ctx context.Context, event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil || bytes.Equal(event, l.last) {
		return
	}
	l.last = event
	for browser := range l.browsers {
		select {
		case <-browser:
		default:
		}
		browser <- event
	}
}
