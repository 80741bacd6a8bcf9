package flagvalue

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Shard is one of several parts of the archive, written K/N: the Kth of N.
// Each key is in exactly one of the N shards, by its hash. The zero Shard has
// all keys.
type Shard struct{ k, n uint64 }

// Type implements pflag.Value.
func (s *Shard) Type() string { return "K/N" }

// String implements pflag.Value.
func (s *Shard) String() string {
	if s.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.k, s.n)
}

// Set implements pflag.Value. The empty text is the zero Shard.
func (s *Shard) Set(text string) error {
	if text == "" {
		*s = Shard{}
		return nil
	}
	before, after, _ := strings.Cut(text, "/")
	k, errK := strconv.ParseUint(before, 10, 32)
	n, errN := strconv.ParseUint(after, 10, 32)
	if errK != nil || errN != nil || k < 1 || k > n {
		return errors.New("must be K/N, like 1/7, with K from 1 to N")
	}
	*s = Shard{k, n}
	return nil
}

// Has reports whether key is in the shard.
func (s Shard) Has(key string) bool {
	if s.n == 0 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%s.n == s.k-1
}
