package sandbox

import (
	"encoding/json"
	"slices"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// A Creation is a call of CreateDownloadJob: what it was to make, and whether it did.
type Creation struct {
	Name             string
	Logstore, Query  string
	FromTime, ToTime time.Time
	Configuration    string // all that the job was to be made for, as JSON
	Refused          string // the code of the error, or "" if it made the job
}

func newCreation(r jobRequest, bad *apierr.Error) Creation {
	f := r.Configuration
	whole, _ := json.Marshal(f) // of texts, numbers and what JSON was
	c := Creation{
		Name: r.Name, Logstore: f.Logstore, Query: f.Query, FromTime: time.Unix(f.FromTime, 0).UTC(), ToTime: time.Unix(f.ToTime, 0).UTC(),
		Configuration: string(whole),
	}
	if bad != nil {
		c.Refused = bad.Code
	}
	return c
}

// Creations returns the calls of CreateDownloadJob of a project whose body is that of a job,
// in their order, also those that were refused, and those of jobs that are no longer there.
func (c *Cloud) Creations(project string) []Creation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.creations[project])
}
