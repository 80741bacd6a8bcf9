package sandbox

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// obsETag is in lower case, hashes the MD5s of parts as bytes, and is no hash
// of an encrypted object (OBS, GetObject: ETag).
func (v objectVersion) obsETag(f File) string {
	etag := strings.ToLower(v.etag)
	if f.Faults.MultipartETag > 0 {
		var sums []byte
		for part := range slices.Chunk(v.body, int(f.Faults.MultipartETag)) {
			sum := md5.Sum(part)
			sums = append(sums, sum[:]...)
		}
		_, count, _ := strings.Cut(etag, "-")
		etag = fmt.Sprintf("%x-%s", md5.Sum(sums), count)
	}
	if f.Encryption != "" {
		etag = fmt.Sprintf("%x", md5.Sum([]byte(f.Encryption+etag)))
	}
	return etag
}

// obsClasses are the names that OBS has for the storage classes of OSS
// (x-obs-storage-class).
var obsClasses = map[string]string{"Standard": "STANDARD", "IA": "WARM", "Archive": "COLD", "ColdArchive": "DEEP_ARCHIVE", "DeepColdArchive": "DEEP_ARCHIVE"}

// obsHeader turns the header of an answer of OSS into that of OBS: it has no
// Content-MD5, which OBS sends only if the uploader had it stored, and no storage
// class for an object of STANDARD.
func obsHeader(h http.Header, f File, prefix string) {
	crc := h.Get("x-oss-hash-crc64ecma")
	h.Del("Content-MD5")
	for name := range h {
		if strings.HasPrefix(name, "X-Oss-") {
			h.Del(name)
		}
	}
	for name, value := range map[string]string{
		"checksum-crc64ecma": crc, "storage-class": strings.TrimPrefix(obsClasses[f.storageClass()], "STANDARD"), "server-side-encryption": f.Encryption,
	} {
		if value != "" {
			h.Set(prefix+name, value)
		}
	}
}
