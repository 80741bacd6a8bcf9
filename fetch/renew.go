package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// renewing is the source of an object whose URL may expire while it is being
// received. Then the job is asked again, and the new URL goes on at the same
// byte. The caller sees to it that it leads to the same version.
type renewing struct {
	f   *Fetcher
	ref Ref

	mu     sync.Mutex
	object Object
	times  int // renewed
	vain   int // renewed since a URL last worked
}

// vainRenewals is how many new URLs in a row may be of no use.
const vainRenewals = 3

func (s *renewing) ReadRange(ctx context.Context, off, n int64, etag string) (*Range, error) {
	for {
		source, times := s.current()
		answer, err := source.ReadRange(ctx, off, n, etag)
		if err == nil {
			s.works()
		}
		if !errors.Is(err, ErrExpired) {
			return answer, err
		}
		if err := s.renew(ctx, times, err); err != nil {
			return nil, err
		}
	}
}

func (s *renewing) current() (Source, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.object.Source, s.times
}

func (s *renewing) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.vain = 0
}

// renew asks the job for a new source, once for all who saw the old one
// expire.
func (s *renewing) renew(ctx context.Context, seen int, why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if drained := s.f.drained(); s.times > seen || drained != nil {
		return drained
	}
	if s.vain == vainRenewals {
		return why
	}
	s.f.tell(Progress{Ref: s.ref, Object: s.object.Name, Size: s.object.Want.Size, Note: "the URL has expired: asking the job for a new one"})
	object, err := s.again(ctx)
	if err != nil {
		return fmt.Errorf("renew the URL of %s: %w", s.object.Name, err)
	}
	s.object.Source = object.Source
	s.times++
	s.vain++
	return nil
}

// again finds the object in the job's answer of now. A promise that has
// changed is another version.
func (s *renewing) again(ctx context.Context) (Object, error) {
	export, err := s.f.ask(ctx, s.ref)
	if err != nil {
		return Object{}, err
	}
	for object, err := range export.Objects {
		if err != nil {
			return Object{}, err
		}
		if object.Name != s.object.Name {
			continue
		}
		if _, err := s.object.Want.Merge(object.Name, object.Want); err != nil {
			return Object{}, fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return object, nil
	}
	return Object{}, fmt.Errorf("%w: the job no longer names it", ErrNotFound)
}
