package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// maxUselessRefreshes is how many new URLs in a row may be of no use.
const maxUselessRefreshes = 3

// A refreshingSource is the source of an object whose URL may expire while it is
// being received. Then the job is asked again, and the new URL goes on at the
// same byte. transfer.request (request.go) makes sure that it leads to the same
// version, by [archive.Partial.AddPromise].
type refreshingSource struct {
	*attempt

	mu        sync.Mutex
	object    Object
	refreshes int
	useless   int // refreshes since a URL last worked
}

// ReadRange implements Source.
func (s *refreshingSource) ReadRange(ctx context.Context, off, n int64, etag string) (*Range, error) {
	for {
		s.mu.Lock()
		source, seen := s.object.Source, s.refreshes
		s.mu.Unlock()
		answer, err := source.ReadRange(ctx, off, n, etag)
		if err == nil {
			s.mu.Lock()
			s.useless = 0
			s.mu.Unlock()
		}
		if !errors.Is(err, ErrExpired) {
			return answer, err
		}
		if err := s.refresh(ctx, seen, err); err != nil {
			return nil, err
		}
	}
}

// refresh asks the job for a new source, once for all who saw the same one
// expire. Its error is expired if new ones are of no use.
func (s *refreshingSource) refresh(ctx context.Context, seen int, expired error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.drained(); s.refreshes > seen || err != nil {
		return err
	}
	if s.useless == maxUselessRefreshes {
		return expired
	}
	if s.Progress != nil {
		s.Progress(Progress{Ref: s.ref, Object: s.object.Name, Size: s.object.Want.Size, Note: "the URL has expired: asking the job for a new one"})
	}
	source, err := s.askAgain(ctx)
	if err != nil {
		return fmt.Errorf("renew the URL of %s: %w", s.object.Name, err)
	}
	s.object.Source = source
	s.refreshes++
	s.useless++
	return nil
}

// askAgain finds the object's source in what the job answers now. A promise that
// has changed is another version.
func (s *refreshingSource) askAgain(ctx context.Context) (Source, error) {
	export, err := s.ask(ctx, s.Providers[s.ref.Scheme()], s.ref)
	if err != nil {
		return nil, err
	}
	for object, err := range export.Objects {
		if err != nil {
			return nil, err
		}
		if object.Name != s.object.Name {
			continue
		}
		if _, err := s.object.Want.Merge(object.Name, object.Want); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return object.Source, nil
	}
	return nil, fmt.Errorf("%w: the job no longer names it", ErrNotFound)
}
