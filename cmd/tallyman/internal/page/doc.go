// Package page serves a page that shows in a browser what an archive holds, what it waits
// for and what has failed, and lets a person mend that.
package page
