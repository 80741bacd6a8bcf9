package fetch

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"tallyman/verify"
)

// parsePromises reads the fragment of a URL: our own promises, never sent.
func (r *Ref) parsePromises(fragment string) error {
	if fragment == "" {
		return nil
	}
	seen := map[string]bool{}
	for _, promise := range strings.Split(fragment, "&") {
		name, value, _ := strings.Cut(promise, "=")
		if seen[name] {
			return fmt.Errorf("#%s is promised twice", name)
		}
		seen[name] = true
		if err := r.promise(name, value); err != nil {
			return err
		}
	}
	return nil
}

// promise shows no value in an error: it may be a misplaced query.
func (r *Ref) promise(name, value string) (err error) {
	switch name {
	case "size":
		r.want.Size, err = parseCount(name, value)
	case "records":
		r.count, err = parseCount(name, value)
	case "md5":
		if b, err := hex.DecodeString(value); err != nil || len(b) != 16 {
			return fmt.Errorf("#md5: want 32 hex digits")
		}
		r.want.MD5 = strings.ToLower(value)
	case "crc64":
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("#crc64: want CRC-64/XZ in decimal, as OSS gives it")
		}
		r.want.CRC64 = strconv.FormatUint(n, 10)
	default:
		return fmt.Errorf("unknown promise #%s, want md5, crc64, size or records", name)
	}
	return err
}

func parseCount(name, value string) (int64, error) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("#%s: want a whole number", name)
	}
	return int64(n), nil
}

// fragment is what parsePromises read, in a fixed order.
func (r Ref) fragment() string {
	var promises []string
	add := func(name, value string, promised bool) {
		if promised {
			promises = append(promises, name+"="+value)
		}
	}
	add("md5", r.want.MD5, r.want.MD5 != "")
	add("crc64", r.want.CRC64, r.want.CRC64 != "")
	add("size", strconv.FormatInt(r.want.Size, 10), r.want.Size != verify.Unknown)
	add("records", strconv.FormatInt(r.count, 10), r.count != verify.Unknown)
	if len(promises) == 0 {
		return ""
	}
	return "#" + strings.Join(promises, "&")
}
