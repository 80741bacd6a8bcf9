// Package page serves a page that shows in a browser what an archive holds, what it waits
// for and what has failed, and names the command that helps. It changes nothing.
package page
