package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
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

// hears fails unless the hook is told a text, and no secret.
func (h *hook) hears(t *testing.T, text string) {
	t.Helper()
	told := func() string {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.told.String()
	}
	waitFor(t, text, func() bool { return strings.Contains(strings.ToLower(told()), text) })
	hidden(t, "the hook", told(), queuedSecrets)
}
