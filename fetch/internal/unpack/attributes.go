package unpack

const (
	dosVolume    = 1 << 3
	dosDirectory = 1 << 4

	unixType      = 0o170000
	unixFile      = 0o100000
	unixDirectory = 0o040000
	unixSetID     = 0o006000
)

// unixTypes are the kinds of file that a container may name and that are
// never unpacked.
var unixTypes = map[uint32]string{
	0o010000: "named pipe",
	0o020000: "character device",
	0o060000: "block device",
	0o120000: "symbolic link",
	0o140000: "socket",
}

// checkAttributes refuses all but plain files and directories, by the external
// attributes of a zip's entry. The Unix half counts whatever system the entry
// says it is from, since readers differ in that.
func checkAttributes(isDirectory bool, attributes uint32) error {
	mode := attributes >> 16
	if err := checkMode(isDirectory, mode); err != nil {
		return err
	}
	switch kind := mode & unixType; {
	case kind == unixDirectory && !isDirectory, attributes&dosDirectory != 0 && !isDirectory:
		return unsafeName("is a directory without a slash at its end")
	case kind == unixFile && isDirectory:
		return unsafeName("is a file with a slash at its end")
	case attributes&dosVolume != 0:
		return unsafeName("is a volume label")
	}
	return nil
}

// checkMode refuses a Unix mode that is no plain file's or directory's.
func checkMode(isDirectory bool, mode uint32) error {
	kind := mode & unixType
	switch name, special := unixTypes[kind]; {
	case special:
		return unsafeName("is a %s", name)
	case kind != 0 && kind != unixFile && kind != unixDirectory:
		return unsafeName("is of the unknown type %#o", kind)
	case mode&unixSetID != 0 && !isDirectory:
		return unsafeName("is a program that runs as its owner or group (mode %#o)", mode)
	}
	return nil
}
