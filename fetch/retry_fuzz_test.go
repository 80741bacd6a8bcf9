package fetch

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// A Retry-After is a number of seconds or a date, and never negative. Any other value
// is 0.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "0", "7", "-1", "1e9", "2147483648", "99999999999999999999", " 7", "7s", "Fri, 31 Dec 1999 23:59:59 GMT",
		"Sat, 01 Jan 2000 00:00:30 GMT", "Saturday, 01-Jan-00 00:00:30 GMT", "Sat Jan  1 00:00:30 2000", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		synctest.Test(t, func(t *testing.T) {
			got := ParseRetryAfter(http.Header{"Retry-After": {value}})
			seconds, notSeconds := strconv.ParseInt(value, 10, 32)
			date, notDate := http.ParseTime(value)
			switch {
			case got < 0:
				t.Errorf("%q is %v", value, got)
			case notSeconds == nil && seconds >= 0 && value[0] != '+':
				if got != time.Duration(seconds)*time.Second {
					t.Errorf("%q is %v", value, got)
				}
			case notDate == nil:
				if want := max(0, time.Until(date)); got != want {
					t.Errorf("%q is %v, want %v", value, got, want)
				}
			case got != 0:
				t.Errorf("%q is %v", value, got)
			}
		})
	})
}
