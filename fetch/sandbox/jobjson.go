package sandbox

import (
	"cmp"
	"strconv"
	"time"
)

// A jobDescription is a job in the answers of GetDownloadJob and
// ListDownloadJobs.
type jobDescription struct {
	Status        string           `json:"status"`
	Name          string           `json:"name"`
	DisplayName   string           `json:"displayName"`
	Description   string           `json:"description"`
	CreateTime    string           `json:"createTime"`
	Configuration jobConfiguration `json:"configuration"`
	Details       jobDetails       `json:"executionDetails"`
}

type jobConfiguration struct {
	Logstore        string  `json:"logstore"`
	FromTime        int64   `json:"fromTime"`
	ToTime          int64   `json:"toTime"`
	Query           string  `json:"query"`
	PowerSQL        bool    `json:"powerSql"`
	AllowInComplete any     `json:"allowInComplete"` // a bool; in a listing its text
	Sink            jobSink `json:"sink"`
}

type jobSink struct {
	Type            string `json:"type"`
	ContentType     string `json:"contentType"`
	CompressionType string `json:"compressionType"`
	RoleARN         string `json:"roleArn"`
	Bucket          string `json:"bucket"`
	Prefix          string `json:"prefix"`
}

type jobDetails struct {
	Progress     int    `json:"progress"`
	ExecuteTime  int64  `json:"executeTime"`
	FilePath     string `json:"filePath,omitempty"`
	FileSize     *int64 `json:"fileSize,omitempty"`
	LogCount     *int64 `json:"logCount,omitempty"`
	CheckSum     string `json:"checkSum,omitempty"`
	ErrorMessage string `json:"errorMessage"`
	Notice       string `json:"notice"`
}

func (j Job) logstore() string { return cmp.Or(j.Logstore, "access-log") }

// describeJob is the job as its n-th GetDownloadJob answers it, with fileURL as
// the URL of its file. A job that has succeeded writes its files now.
func (c *Cloud) describeJob(s *jobState, n int, fileURL string) jobDescription {
	unix := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.Unix()
	}
	to := cmp.Or(unix(s.ToTime), s.CreateTime.Unix())
	d := jobDescription{
		Status:      statusAt(s.Statuses, n, JobSucceeded),
		Name:        s.Name,
		DisplayName: cmp.Or(s.DisplayName, s.Name),
		Description: s.Description,
		CreateTime:  strconv.FormatInt(s.CreateTime.Unix(), 10),
		Configuration: jobConfiguration{
			Logstore: s.logstore(), FromTime: cmp.Or(unix(s.FromTime), to-3600), ToTime: to,
			Query: cmp.Or(s.Query, "*"), PowerSQL: s.PowerSQL, AllowInComplete: s.AllowIncomplete,
			Sink: jobSink{
				Type:            "AliyunOSS",
				ContentType:     s.File.format(),
				CompressionType: cmp.Or(s.DeclaredCompression, s.File.codec()),
				RoleARN:         s.RoleARN,
				Bucket:          s.Bucket,
				Prefix:          s.Prefix,
			},
		},
		Details: jobDetails{ExecuteTime: int64(n), Notice: s.Notice},
	}
	switch {
	case isStatus(d.Status, JobSucceeded):
		c.write(&s.outputs)
		d.Details.Progress = 100
		s.promise(&d.Details, fileURL)
		return d
	case d.Status == JobFailed:
		d.Details.ErrorMessage = s.Error
	}
	d.Details.Progress = 100 * min(n, len(s.Statuses)-1) / len(s.Statuses)
	return d
}

// promise fills in what the job says of its files, true or not.
func (s *jobState) promise(d *jobDetails, fileURL string) {
	d.FilePath = s.FilePath
	size, rows, etag := int64(len(s.object.first.body)), s.File.Rows, s.object.first.etag
	if s.Bucket == "" {
		d.FilePath = cmp.Or(s.FilePath, fileURL)
	} else {
		size, rows, etag = 0, 0, ""
		for _, o := range s.outputs.objects {
			size += int64(len(o.first.body))
			rows += o.file.Rows
			etag = o.first.etag
		}
		if len(s.outputs.objects) > 1 {
			etag = ""
		}
	}
	d.FileSize = promised(s.FileSize, size)
	d.LogCount = promised(s.LogCount, int64(rows))
	if s.CheckSum != Absent {
		d.CheckSum = cmp.Or(s.CheckSum, etag)
	}
}

// promised returns what an answer says of a number: override, nothing where
// that is negative, or the truth where that is nil.
func promised(override *int64, truth int64) *int64 {
	switch {
	case override == nil:
		return &truth
	case *override < 0:
		return nil
	}
	return new(*override)
}
