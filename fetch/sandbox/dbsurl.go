package sandbox

import (
	"cmp"
	"time"
)

// storageInfo is the Data of DescribeDownloadBackupSetStorageInfo.
type storageInfo struct {
	PublicURL      string `json:"PublicUrl,omitempty" xml:"PublicUrl,omitempty"`
	PrivateURL     string `json:"PrivateUrl,omitempty" xml:"PrivateUrl,omitempty"`
	ExpirationTime int64
}

// The seconds that a URL may live.
const (
	leastDuration = 300
	mostDuration  = 86400
)

func (c *Cloud) describeStorageInfo(q rpc) (rpcAnswer, *refusal) {
	for _, name := range []string{"RegionCode", "Duration"} {
		if q.values.Get(name) == "" {
			return nil, missing(name)
		}
	}
	i, e := c.task(q.values.Get("TaskId"), q.values.Get("RegionCode"))
	seconds, ok := q.count("Duration", 0)
	switch {
	case e == nil:
		return c.failed(q, Instance{}, Failure{Code: invalidParameter, Message: "the download task does not exist"}), nil
	case !ok || seconds < leastDuration || seconds > mostDuration:
		return c.failed(q, i, Failure{Code: invalidParameter, Message: "the duration is invalid"}), nil
	case strike(e.Unavailable, &e.unavailable):
		return nil, unavailable()
	case strike(e.Throttles, &e.throttled):
		return nil, tooOften()
	case strike(e.Failure.Times, &e.failed):
		return c.failed(q, i, e.Failure), nil
	case e.Bucket != "" || !finished(e.status(max(e.gets-1, 0))):
		return c.failed(q, i, Failure{Code: invalidParameter, Message: "the download task has no file to give"}), nil
	}
	return i.told(q, c.storageInfo(q, e, time.Duration(seconds)*time.Second)), nil
}

// task finds a task by its ID, and the instance that it is of.
func (c *Cloud) task(id, region string) (Instance, *taskEntry) {
	for _, i := range c.instances {
		if e := i.tasks[id]; e != nil && (i.Region == "" || i.Region == region) {
			return i.Instance, e
		}
	}
	return Instance{}, nil
}

func (c *Cloud) storageInfo(q rpc, e *taskEntry, lives time.Duration) storageInfo {
	end := c.options.Now().Add(lives)
	e.object.expires = max(end.Unix(), e.object.expires+1)
	signed := c.lastURL(e.object, schemeOf(q.Request)+q.Host)
	info := storageInfo{PublicURL: cmp.Or(e.PublicURL, signed), PrivateURL: cmp.Or(e.PrivateURL, signed), ExpirationTime: end.Unix()}
	for _, url := range []*string{&info.PublicURL, &info.PrivateURL} {
		if *url == Absent {
			*url = ""
		}
	}
	if e.Milliseconds {
		info.ExpirationTime = end.UnixMilli()
	}
	return info
}
