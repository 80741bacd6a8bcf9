package verify

import "fmt"

// CheckCounts compares the records that were promised with those of all
// files, and reports whether there was a promise at all. The promise holds
// with a header row in each CSV file or without; files that are not countable
// neither hold nor break it.
func CheckCounts(promised int64, files []Count) (Check, bool) {
	if promised == Unknown {
		return Check{}, false
	}
	check := Check{Check: CheckRecords, Want: fmt.Sprint(promised)}
	rows, headers, countable := sum(files)
	check.Got = fmt.Sprint(rows)
	switch {
	case !countable:
		check.Got, check.Verdict = "not countable", NotComparable
	case rows == promised:
		check.Verdict = Held
	case rows-headers == promised:
		check.Got, check.Verdict = withHeaders(promised, headers), Held
	default:
		check.Verdict = Broken
	}
	return check, true
}

// sum adds up the rows, and the files that may have a header row: a file
// without rows has none.
func sum(files []Count) (rows, headers int64, countable bool) {
	for _, f := range files {
		if f.Format == formatNone {
			return 0, 0, false
		}
		rows += f.Rows
		if f.Format == formatCSV && f.Rows > 0 {
			headers++
		}
	}
	return rows, headers, true
}

func withHeaders(rows, headers int64) string {
	if headers == 1 {
		return fmt.Sprintf("%d and a header row in 1 file", rows)
	}
	return fmt.Sprintf("%d and a header row in each of %d files", rows, headers)
}
