package main

import (
	"context"
	"sync"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
)

// headers tell what is known of the headers of CSV files in an archive, by a catalog that is
// opened when it is first needed. They may be asked by many goroutines at once.
type headers struct {
	app     *app
	archive *archive.Archive

	mu      sync.Mutex
	catalog *catalog.Catalog
}

// from tells whether a first record is a header, as a worker.Testifier asks, by all that has landed by now.
func (h *headers) from(place, group, sha256 string) (exports int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.catalog, err = catalog.Follow(context.Background(), h.catalog, h.archive, h.app.followOptions()); err != nil {
		return 0, err
	}
	firsts, err := coverage.FirstsOf(h.catalog, place, group)
	return firsts.HeaderIs(sha256), err
}

// Close closes the catalog.
func (h *headers) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.catalog.Close()
}
