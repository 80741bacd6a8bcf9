package main

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// A part is one of n, into which keys fall by their hash.
type part struct{ k, n uint64 }

func parsePart(s string) (part, error) {
	if s == "" {
		return part{1, 1}, nil
	}
	k, n, _ := strings.Cut(s, "/")
	p := part{}
	var errK, errN error
	p.k, errK = strconv.ParseUint(k, 10, 32)
	p.n, errN = strconv.ParseUint(n, 10, 32)
	if errK != nil || errN != nil || p.k < 1 || p.k > p.n {
		return part{}, usagef("--part %s: want K/N, like 1/7", s)
	}
	return p, nil
}

func (p part) has(key string) bool {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()%p.n == p.k-1
}
