package objstore

import (
	"fmt"
	"strings"
	"testing"
)

func TestEndlessListingsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		objects int
		next    func(page int) string
		why     string
		pages   int // at most
	}{
		{"one page again and again", 1000, func(int) string { return "t" }, "in a circle", 2},
		{"two pages in turn", 1000, func(page int) string { return fmt.Sprint(page % 2) }, "in a circle", 8},
		{"a hundred pages in turn", 1, func(page int) string { return fmt.Sprint(page % 100) }, "in a circle", 400},
		{"always another page without any object", 0, func(page int) string { return fmt.Sprint(page) }, "1000 pages in a row have no object", 1000},
		{"always more objects", 1000, func(page int) string { return fmt.Sprint(page) }, "more than 10000000 objects", 10_001},
	} {
		guard, page, err := new(pageGuard), 0, error(nil)
		for ; err == nil && page < c.pages; page++ {
			err = guard.next(c.objects, c.next(page))
		}
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v after %d pages", c.name, err, page)
		}
	}
}

func TestALongListingWithEmptyPagesIsListedToItsEnd(t *testing.T) {
	guard := new(pageGuard)
	for page := range 9999 {
		objects := 1000
		if page%1000 > 10 {
			objects = 0
		}
		if err := guard.next(objects, fmt.Sprint(page)); err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
	}
}
