package fetch

import "time"

// SetFirstWait sets how long f waits before it tries a request again.
func SetFirstWait(f *Fetcher, d time.Duration) { f.retryWait = d }

// URLEnds is urlEnds.
func URLEnds(query string) time.Time { return urlEnds(query) }
