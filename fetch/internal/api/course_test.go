package api

import (
	"fmt"
	"strings"
	"testing"
)

func TestNoListingGoesOnForEver(t *testing.T) {
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
		course, page, why := new(Course), 0, ""
		for ; why == "" && page < c.pages; page++ {
			why = course.GoOn(c.objects, c.next(page))
		}
		if !strings.Contains(why, c.why) {
			t.Errorf("%s: %q after %d pages", c.name, why, page)
		}
	}
}

func TestALongListingWithGapsGoesToItsEnd(t *testing.T) {
	course := new(Course)
	for page := range 9999 {
		objects := 1000
		if page%1000 > 10 {
			objects = 0
		}
		if why := course.GoOn(objects, fmt.Sprint(page)); why != "" {
			t.Fatalf("page %d: %s", page, why)
		}
	}
}
