package durable

// A Space says what is left of a file system. MeasureSpace fills it in.
type Space struct {
	Total, Free int64 // bytes
	Files       int64 // that can still be made, or verify.Unknown
	MaxElement  int   // bytes of a file name, or 0: not known
}
