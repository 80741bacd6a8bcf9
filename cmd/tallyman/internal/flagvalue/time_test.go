package flagvalue

import (
	"testing"
	"time"
)

func TestTimesAreNamedAsPeopleDo(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, zone) // a Wednesday
	for text, want := range map[string]string{
		"90m":                       "2026-03-04T03:36:07+02:00",
		"7d":                        "2026-02-25T05:06:07+02:00",
		"1w1d":                      "2026-02-24T05:06:07+02:00",
		"0":                         "2026-03-04T05:06:07+02:00",
		"now":                       "2026-03-04T05:06:07+02:00",
		"today":                     "2026-03-04T00:00:00+02:00",
		"yesterday":                 "2026-03-03T00:00:00+02:00",
		"Yesterday":                 "2026-03-03T00:00:00+02:00",
		"2 days ago":                "2026-03-02T05:06:07+02:00",
		"1 week ago":                "2026-02-25T05:06:07+02:00",
		"90 minutes":                "2026-03-04T03:36:07+02:00",
		"7d ago":                    "2026-02-25T05:06:07+02:00",
		"tue":                       "2026-03-03T00:00:00+02:00",
		"Wed":                       "2026-03-04T00:00:00+02:00",
		"thursday":                  "2026-02-26T00:00:00+02:00",
		"FRI":                       "2026-02-27T00:00:00+02:00",
		"sun":                       "2026-03-01T00:00:00+02:00",
		"2026-01-31":                "2026-01-31T00:00:00+02:00",
		"2026-01-31T06:00:00Z":      "2026-01-31T06:00:00Z",
		"2026-01-31T06:00:00-07:00": "2026-01-31T06:00:00-07:00",
	} {
		if got, err := parseTime(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s is %s, %v; want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
	for _, text := range []string{"", "f", "fr", "frid", "-1d", "ago", "-1 days ago", "fri ago", "2 fortnights ago", "tomorrow", "2026-02-30", "2026-1-2", "2026-01-31 06:00", "2026-01-31T06:00:00", "06:00", "99999w"} {
		if got, err := ParseTime(text); err == nil || !got.IsZero() {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
}

// A day may have 23 or 25 hours, and a weekday begins at midnight all the same.
func TestAWeekdayBeginsAtMidnightAcrossAChangeOfClocks(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	now := time.Date(2026, 3, 30, 9, 0, 0, 0, zone) // clocks went forward the day before
	got, err := parseTime("sat", now)
	if want := time.Date(2026, 3, 28, 0, 0, 0, 0, zone); err != nil || !got.Equal(want) {
		t.Errorf("sat is %v, want %v", got, want)
	}
}

func TestADurationIsWrittenAsShortAsItIsRead(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", time.Minute: "1m", 10 * time.Minute: "10m", 10 * time.Second: "10s",
		time.Hour + time.Second: "1h0m1s", 0: "0s", 20 * time.Hour: "20h", 1500 * time.Millisecond: "1.5s",
	} {
		got := FormatDuration(d)
		if back, err := ParseDuration(got); got != want || back != d || err != nil {
			t.Errorf("%v: got %s, which is %v, %v", d, got, back, err)
		}
	}
}
