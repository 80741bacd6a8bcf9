package main

import (
	"regexp"
	"strconv"
	"testing"
)

// Each process begins with what the variables of all packages take, whatever it is
// to do: a pattern is compiled, and a table computed, when it is first used.
func TestAProcessBeginsWithLittleWork(t *testing.T) {
	t.Parallel()
	p := command(t, "version")
	p.Env = append(p.Env, "GODEBUG=inittrace=1")
	p.runs(t, 0)
	allocations, packages := 0, 0
	for _, m := range regexp.MustCompile(`(?m)^init (tallyman/\S+) .* (\d+) allocs$`).FindAllStringSubmatch(p.stderr.String(), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if m[1] != "tallyman/cmd/tallyman" { // which has the variables of tests, too
			allocations, packages = allocations+n, packages+1
		}
	}
	if packages < 10 || allocations > 450 { // one pattern takes 20 to 150
		t.Errorf("%d packages allocate %d times before main, want at most 450 times\n%s", packages, allocations, &p.stderr)
	}
}
