package worker

import "testing"

// A match without a wildcard is a prefix; a glob matches the whole text, or what is
// before one of its slashes.
func TestAMatchIsAPrefixOrAGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "a", true},
		{"nightly", "nightly-1", true},
		{"nightly", "a-nightly", false},
		{"nightly-*", "nightly-1", true},
		{"*-1", "nightly-1", true},
		{"nightly-?", "nightly-10", false},
		{"nightly-[0-4]", "nightly-3", true},
		{"sls://cn-a/team", "sls://cn-a/team-b/job", true},
		{"sls://cn-a/team/", "sls://cn-a/team-b/job", false},
		{"sls://cn-*/team-a/", "sls://cn-a/team-a/job", true},
		{"sls://cn-*/team-a/", "sls://cn-a/team-a/", true},
		{"sls://cn-*/team-a", "sls://cn-a/team-ab/job", false},
		{"sls://cn-*", "sls://cn-a/team/job", true},
		{"sls://*/team-*/job", "sls://cn-a/team-a/job", true},
		{"sls://*/job", "sls://cn-a/team-a/job", false},
		{"oss://b/2026-*/", "oss://b/2026-11/22/", true},
		{"[", "[", false},
	} {
		if got := Match(tt.pattern, tt.text); got != tt.want {
			t.Errorf("%q matches %q: %v", tt.pattern, tt.text, got)
		}
	}
}
