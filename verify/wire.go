package verify

// The names of the checks, as receipts and messages give them.
const (
	CheckSize    = "size"
	CheckMD5     = "md5"
	CheckCRC64   = "crc64"
	CheckETag    = "etag"
	CheckRecords = "records"
)
