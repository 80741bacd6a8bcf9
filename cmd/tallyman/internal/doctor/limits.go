package doctor

import (
	"os"
	"strconv"
	"strings"

	"tallyman/cmd/tallyman/internal/flagvalue"
)

// OpenFiles judges how many files a process may have open, for so many exports at once
// with so many requests each.
func (r *Report) OpenFiles(limit uint64, parallel int) {
	const others = 128 // the ledger, the catalog, Redis, libraries
	need := uint64(others + parallel*(parallel+16))
	if limit < need {
		r.Fail("limits.files", "raise it by ulimit -n or LimitNOFILE=, or lower --parallel", "%d files may be open, and --parallel %d may need %d", limit, parallel, need)
		return
	}
	r.OK("limits.files", "%d may be open, and --parallel %d may need %d", limit, parallel, need)
}

// Memory judges the limit that the system sets to the memory of this process and of
// those beside it, read from a file of control groups. decoders is what --max-memory
// allows. Without a limit there is nothing to tell.
func (r *Report) Memory(file string, decoders int64) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	const others = 256 << 20
	switch shown := flagvalue.FormatSize(limit); {
	case err != nil: // "max"
	case limit < decoders+others:
		r.Warn("limits.memory", "raise the limit, or lower --max-memory", "%s may be used, and decoders alone may take %s", shown, flagvalue.FormatSize(decoders))
	default:
		r.OK("limits.memory", "%s may be used, and decoders may take %s", shown, flagvalue.FormatSize(decoders))
	}
}
