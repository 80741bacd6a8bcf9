package verify

import (
	"fmt"
	"testing"
)

func TestCheckCountsAllowsOneHeaderRowInEachFile(t *testing.T) {
	csvRows := func(rows ...int64) (files []Count) {
		for _, n := range rows {
			files = append(files, Count{"csv", n})
		}
		return files
	}
	jsonFile, sqlFile := Count{"json", 10}, Count{"", Unknown}
	for _, tt := range []struct {
		name         string
		promised     int64
		files        []Count
		got, verdict string
	}{
		{"no header", 1234, csvRows(1234), "1234", Held},
		{"header", 1233, csvRows(1234), "1233 and a header row in 1 file", Held},
		{"headers", 28, csvRows(10, 20), "28 and a header row in each of 2 files", Held},
		{"header in one of two", 29, csvRows(10, 20), "30", Broken},
		{"too few", 12, csvRows(10), "10", Broken},
		{"too many", 8, csvRows(10), "10", Broken},
		{"header alone", 0, csvRows(1), "0 and a header row in 1 file", Held},
		{"no rows", 0, csvRows(0), "0", Held},
		{"an empty file has no header", 9, csvRows(10, 0), "9 and a header row in 1 file", Held},
		{"an empty file has no header to miss", 8, csvRows(10, 0), "10", Broken},
		{"JSON", 10, []Count{jsonFile}, "10", Held},
		{"JSON has no header", 9, []Count{jsonFile}, "10", Broken},
		{"CSV and JSON", 19, []Count{{"csv", 10}, jsonFile}, "19 and a header row in 1 file", Held},
		{"no files", 0, nil, "0", Held},
		{"no files, but records", 1, nil, "0", Broken},
		{"not countable", 10, []Count{sqlFile}, "not countable", NotComparable},
		{"one of two not countable", 10, []Count{jsonFile, sqlFile}, "not countable", NotComparable},
	} {
		want := Check{CheckRecords, fmt.Sprint(tt.promised), tt.got, tt.verdict}
		if got, ok := CheckCounts(tt.promised, tt.files); got != want || !ok {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, ok, want)
		}
	}
}

func TestCheckCountsChecksNothingWithoutAPromise(t *testing.T) {
	if got, ok := CheckCounts(Unknown, []Count{{"csv", 1}}); ok || got != (Check{}) {
		t.Errorf("%+v, %v, want no check", got, ok)
	}
}
