package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"tallyman/cmd/tallyman/internal/notify"
)

// A hook is a webhook that keeps what it is told. It fails first, and answers with all that
// it was asked.
type hook struct {
	mu    sync.Mutex
	asked int
	told  strings.Builder
}

// ServeHTTP implements http.Handler.
func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	h.told.Write(body)
	if h.asked++; h.asked == 1 {
		w.WriteHeader(http.StatusBadGateway)
	}
	fmt.Fprintf(w, "%s %v", r.URL, r.Header)
}

// config is a directory with a configuration file that has workers tell the hook of
// everything, at a URL and with a key that are secrets.
func (h *hook) config(t *testing.T) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	dir := filepath.Join(t.TempDir(), "tallyman")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"url": server.URL + "/hook/" + url.PathEscape(secretHook) + "?key=" + url.QueryEscape(secretHook), "key": secretHook,
		"config.yaml": `notify: [{by: webhook, url-file: "` + dir + `/url", secret-file: "` + dir + `/key", gather: 1s, interval: 10s, at: "00:00", on: [damage, failed, unlisted, gap, doubt, all-clear, daily]}]`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Dir(dir)
}

// toldTwice returns a reference of which two messages tell that it failed, or "".
func (h *hook) toldTwice(t *testing.T, told string) string {
	t.Helper()
	messages := map[string]notify.Message{} // by ID: one may be sent again
	for d := json.NewDecoder(strings.NewReader(told)); d.More(); {
		var m notify.Message
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		messages[m.ID] = m
	}
	failed := map[string]bool{}
	for _, m := range messages {
		for _, e := range m.Events {
			if e.Topic != notify.Failed || slices.Contains(m.Topics, notify.Daily) {
				continue
			}
			if failed[e.About] {
				return e.About
			}
			failed[e.About] = true
		}
	}
	return ""
}

// hears fails unless the hook is told a text, no secret, and nothing twice.
func (h *hook) hears(t *testing.T, text string) {
	t.Helper()
	told := func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.told.String()
	}
	waitFor(t, text, func() bool { return strings.Contains(strings.ToLower(told()), text) })
	hidden(t, "the hook", told(), queuedSecrets)
	if twice := h.toldTwice(t, told()); twice != "" {
		t.Errorf("the hook was told twice that %s failed", twice)
	}
}
