package sandbox

import (
	"cmp"
	"strconv"
	"time"
)

// A jobDescription is a job as the API tells it.
type jobDescription struct {
	Status        string        `json:"status"`
	Name          string        `json:"name"`
	DisplayName   string        `json:"displayName"`
	Description   string        `json:"description"`
	CreateTime    string        `json:"createTime"`
	Configuration configuration `json:"configuration"`
	Details       details       `json:"executionDetails"`
}

type configuration struct {
	Logstore        string `json:"logstore"`
	FromTime        int64  `json:"fromTime"`
	ToTime          int64  `json:"toTime"`
	Query           string `json:"query"`
	PowerSQL        bool   `json:"powerSql"`
	AllowInComplete any    `json:"allowInComplete"` // a bool; in a listing its text
	Sink            sink   `json:"sink"`
}

type sink struct {
	Type            string `json:"type"`
	ContentType     string `json:"contentType"`
	CompressionType string `json:"compressionType"`
	RoleARN         string `json:"roleArn"`
	Bucket          string `json:"bucket"`
	Prefix          string `json:"prefix"`
}

type details struct {
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

// describe tells of a job as its n-th GET sees it, with that URL of its file.
func (c *Cloud) describe(e *entry, n int, fileURL string) jobDescription {
	d := jobDescription{
		Status:        e.status(n),
		Name:          e.Name,
		DisplayName:   cmp.Or(e.DisplayName, e.Name),
		Description:   e.Description,
		CreateTime:    strconv.FormatInt(e.CreateTime.Unix(), 10),
		Configuration: e.configuration(),
		Details:       details{Progress: e.percent(n), ExecuteTime: int64(n), Notice: e.Notice},
	}
	switch {
	case succeeded(d.Status):
		c.write(e)
		e.promise(&d.Details, fileURL)
	case d.Status == JobFailed:
		d.Details.ErrorMessage = e.Error
	}
	return d
}

func (j Job) configuration() configuration {
	to := cmp.Or(unix(j.ToTime), j.CreateTime.Unix())
	return configuration{
		Logstore:        j.logstore(),
		FromTime:        cmp.Or(unix(j.FromTime), to-3600),
		ToTime:          to,
		Query:           cmp.Or(j.Query, "*"),
		PowerSQL:        j.PowerSQL,
		AllowInComplete: j.AllowIncomplete,
		Sink: sink{
			Type:            "AliyunOSS",
			ContentType:     j.File.format(),
			CompressionType: cmp.Or(j.DeclaredCompression, j.File.codec()),
			RoleARN:         j.RoleARN,
			Bucket:          j.Bucket,
			Prefix:          j.Prefix,
		},
	}
}

// promise tells of the files what the job says of them, true or not.
func (e *entry) promise(d *details, fileURL string) {
	d.FilePath = e.FilePath
	size, rows, etag := int64(len(e.object.first.body)), e.File.Rows, e.object.first.etag
	if e.Bucket == "" {
		d.FilePath = cmp.Or(e.FilePath, fileURL)
	} else {
		size, rows, etag = e.sums()
	}
	d.FileSize = promised(e.FileSize, size)
	d.LogCount = promised(e.LogCount, int64(rows))
	if e.CheckSum != Absent {
		d.CheckSum = cmp.Or(e.CheckSum, etag)
	}
}

// sums are the size and the rows of all exports, and the ETag of a sole one.
func (e *entry) sums() (size int64, rows int, etag string) {
	for _, o := range e.exports {
		size += int64(len(o.first.body))
		rows += o.file.Rows
	}
	if len(e.exports) == 1 {
		etag = e.exports[0].first.etag
	}
	return size, rows, etag
}

func promised(said *int64, truth int64) *int64 {
	switch {
	case said == nil:
		return &truth
	case *said < 0:
		return nil
	}
	return new(*said)
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
