package archive

import "tallyman/verify/archive/internal/durable"

// What the tests in package archive_test need of the disk.
var OpenWith = openWith

// SetSpace replaces what the system says of the archive's file system.
func (a *Archive) SetSpace(total, free, files int64, maxElement int) {
	a.measure = func(string) (durable.Space, bool) {
		return durable.Space{Total: total, Free: free, Files: files, MaxElement: maxElement}, true
	}
}

// HashName is the file name that stands for a key, or the name of an object.
var HashName = hashName
