package doctor

import (
	"strings"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// works says what each trial has shown.
var works = map[string]string{
	"write":                   "files are written and made durable",
	"rename":                  "directories are renamed",
	"hard links":              "files have several names",
	"locks":                   "files are locked",
	"locks between processes": "a second process sees the locks of the first",
}

// Trials tells what the archive's file system can do.
func (r *Report) Trials(trials []archive.Trial) {
	for _, trial := range trials {
		check := "archive." + strings.ReplaceAll(trial.Name, " ", "-")
		if trial.Err == nil {
			r.OK(check, "%s", works[trial.Name])
			continue
		}
		advice := "put the archive on a local file system, or on NFS 4"
		if trial.Name == "write" {
			advice = "see that the disk is mounted, and that the user who runs tallyman may write there"
		}
		r.Fail(check, advice, "%v", trial.Err)
	}
}

const (
	scarce      = 5       // hundredths of a file system that are little
	scarceFiles = 100_000 // files that are few: an export takes about ten
)

// Space judges what is left of the archive's file system.
func (r *Report) Space(s archive.Space) {
	free := flagvalue.FormatSize(s.Free)
	const advice = "make room, or put the archive on a larger disk"
	switch {
	case s.Free <= s.Kept:
		r.Fail("archive.space", advice, "%s are free, and %s of them are kept free", free, flagvalue.FormatSize(s.Kept))
	case s.Free < s.Total/100*scarce:
		r.Warn("archive.space", advice, "%s are free, of %s", free, flagvalue.FormatSize(s.Total))
	default:
		r.OK("archive.space", "%s are free, of %s", free, flagvalue.FormatSize(s.Total))
	}
	switch {
	case s.Files == verify.Unknown:
		r.OK("archive.inodes", "the file system makes room for files as they come")
	case s.Files < s.KeptFiles:
		r.Fail("archive.inodes", advice+": it is full of small files", "%d more files can be made", s.Files)
	case s.Files < scarceFiles:
		r.Warn("archive.inodes", advice+": an export takes about ten files", "%d more files can be made", s.Files)
	default:
		r.OK("archive.inodes", "%d more files can be made", s.Files)
	}
}
