package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLimitsByTheCalendar: the first window that a time falls into counts, in the calendar's zone, over midnight too.
func TestLimitsByTheCalendar(t *testing.T) {
	l := Limits{BytesPerSecond: 100_000, TimeZone: "Europe/Berlin", Calendar: []Window{
		{Days: "fri-sun", From: "22:00", To: "06:00", BytesPerSecond: 0},
		{Days: "mon-fri", From: "08:00", To: "18:00", BytesPerSecond: 20_000},
		{From: "12:00", To: "24:00", BytesPerSecond: 50_000},
	}}
	for at, want := range map[string]int64{
		"2026-11-30T07:30:00Z": 20_000,  // Monday, 8:30 there
		"2026-11-30T06:59:00Z": 100_000, // 7:59
		"2026-11-30T17:00:00Z": 50_000,  // 18:00
		"2026-12-04T21:30:00Z": 0,       // Friday, 22:30
		"2026-12-07T04:30:00Z": 0,       // Monday, 5:30: since Sunday
		"2026-12-07T05:00:00Z": 100_000,
		"2026-12-08T04:30:00Z": 100_000, // Tuesday
		"2026-12-05T22:59:00Z": 0,       // Saturday, 23:59
		"2026-07-01T06:30:00Z": 20_000,  // 8:30 in summer
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Schedule()(when); got != want {
			t.Errorf("at %s: %d, want %d", at, got, want)
		}
	}
}

func TestBadLimits(t *testing.T) {
	for _, c := range []struct {
		limits Limits
		want   string
	}{
		{Limits{TimeZone: "UTC", BytesPerSecond: 9}, "limits.bytes_per_second: 9 is too low"},
		{Limits{TimeZone: "Berlin"}, `limits.time_zone: "Berlin"`},
		{Limits{TimeZone: "Local"}, `limits.time_zone: "Local"`},
		{Limits{TimeZone: "UTC", Calendar: []Window{{From: "24:00", To: "25:00", Days: "monday", BytesPerSecond: -1}}},
			"limits.calendar[0].bytes_per_second: -1, limits.calendar[0].days: \"monday\", " +
				"limits.calendar[0].from: \"24:00\", limits.calendar[0].to: \"25:00\""},
		{Limits{TimeZone: "UTC", Calendar: []Window{{From: "08:00", To: "08:00"}}},
			`limits.calendar[0].to: "08:00" is where`},
		{Limits{TimeZone: "UTC", Calendar: []Window{{From: "00:00", To: "24:00", Days: "sun, tue-mon"}}}, ""},
	} {
		var found []string
		c.limits.validate(func(path, format string, args ...any) {
			found = append(found, path+": "+fmt.Sprintf(format, args...))
		})
		want := strings.Split(c.want, ", ")
		if c.want == "" {
			want = nil
		}
		if len(found) != len(want) {
			t.Errorf("%+v: %q, want %q", c.limits, found, want)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(found[i], want[i]) {
				t.Errorf("%+v: %q, want %q", c.limits, found[i], want[i])
			}
		}
	}
}
