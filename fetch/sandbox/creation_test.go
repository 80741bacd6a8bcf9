package sandbox

import (
	"fmt"
	"testing"
	"time"
)

// Every call of CreateDownloadJob is told, with all that the job was to be made for: also one
// that was refused, and that of a job which is gone.
func TestCreationsAreTheCallsThatWereMade(t *testing.T) {
	c, base := startLogstore(t, Logstore{RowsPerMinute: 1})
	call := func(name, query, compression string) {
		askSLS(t, base, "POST", "/downloadjobs", fmt.Sprintf(`{"name":%q,"displayName":"d","configuration":{"logstore":%q,"query":%q,"fromTime":%d,"toTime":%d,
			"allowInComplete":false,"sink":{"type":"AliyunOSS","contentType":"csv","compressionType":%q}}}`, name, logstoreName, query, hour.Unix(), hour.Unix()+60, compression), nil)
	}
	call("one", "*", "none")
	askSLS(t, base, "DELETE", "/downloadjobs/one", "", nil)
	call("one", "*", "none")
	call("one", "*", "zstd")
	call("Two", "level: ERROR", "none")
	askSLS(t, base, "POST", "/downloadjobs", "{", nil)
	configuration := func(query, compression string) string {
		return fmt.Sprintf(`{"logstore":%q,"fromTime":%d,"toTime":%d,"query":%q,"powerSql":false,"allowInComplete":false,`+
			`"sink":{"type":"AliyunOSS","contentType":"csv","compressionType":%q,"roleArn":"","bucket":"","prefix":""}}`, logstoreName, hour.Unix(), hour.Unix()+60, query, compression)
	}
	made := func(name, query, compression, refused string) Creation {
		return Creation{name, logstoreName, query, hour.UTC(), hour.UTC().Add(time.Minute), configuration(query, compression), refused}
	}
	wantEqual(t, "the calls", c.Creations(project), []Creation{
		made("one", "*", "none", ""), made("one", "*", "none", ""), made("one", "*", "zstd", "JobAlreadyExist"), made("Two", "level: ERROR", "none", "ParameterInvalid"),
	})
	wantEqual(t, "the calls of another project", len(c.Creations("another")), 0)
}
