package catalog

// A file is where the databases of one archive are: one, but for a moment.
type file struct {
	root   string // the real path of the archive
	prefix string // of the path: a number and the suffix follow; "": there can be none
}
