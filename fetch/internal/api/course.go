package api

import "fmt"

const (
	// MaxJobs is how many jobs a service may list: no place has so many.
	MaxJobs = 1_000_000

	mostObjects = 10_000_000
	mostEmpty   = 1000 // pages in a row
)

// A Course is a listing of a store on its way from page to page. It has an end,
// even where the store sees to it that there is always another page.
type Course struct {
	listed, empty, pages int
	mark                 string // where it was once, further back each time that is set
}

// GoOn takes in a page of so many objects and where it leads to next. It tells
// why not to go there, or "".
func (c *Course) GoOn(objects int, next string) (why string) {
	c.listed += objects
	c.pages++
	c.empty++
	if objects > 0 {
		c.empty = 0
	}
	switch {
	case next == c.mark:
		return "the pages of the listing lead in a circle"
	case c.empty == mostEmpty:
		return fmt.Sprintf("%d pages in a row have no object, and there are more", mostEmpty)
	case c.listed > mostObjects:
		return fmt.Sprintf("there are more than %d objects", mostObjects)
	}
	if c.pages&(c.pages-1) == 0 { // so that a circle of any length is found (Brent)
		c.mark = next
	}
	return ""
}
