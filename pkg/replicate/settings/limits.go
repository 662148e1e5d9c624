package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on machines that have none
)

// Limits bound what a flow copies, by all of its replicas together.
type Limits struct {
	BytesPerSecond int64    // as the batches stand in the source's log, compressed; 0: no bound
	Calendar       []Window // the first one that a time falls into says instead
	TimeZone       string   // of the calendar, as Europe/Berlin
}

// Window is a time of some days of the week.
type Window struct {
	Days           string // as mon-fri, or sat,sun; "": every day
	From, To       string // as 08:00; To may be 24:00, and lie before From: then it is on the next day
	BytesPerSecond int64
}

// DefaultTimeZone is that of a calendar without one.
const DefaultTimeZone = "UTC"

// minBytesPerSecond: below it one batch of the source may take minutes.
const minBytesPerSecond = 10_000

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts

// None says that nothing is ever bounded.
func (l Limits) None() bool { return l.BytesPerSecond == 0 && len(l.Calendar) == 0 }

// Schedule says what the bound is at a time, in bytes per second; 0: there is none.
func (l Limits) Schedule() func(time.Time) int64 {
	zone, err := time.LoadLocation(l.TimeZone)
	if err != nil { // Validate has refused it
		zone = time.UTC
	}
	return func(t time.Time) int64 {
		for _, w := range l.Calendar {
			if w.holds(t.In(zone)) {
				return w.BytesPerSecond
			}
		}
		return l.BytesPerSecond
	}
}

// holds says whether the time falls into the window. One over midnight is that of the day on which it begins.
func (w Window) holds(t time.Time) bool {
	days, _ := w.days()
	from, _ := minutes(w.From)
	to, _ := minutes(w.To)
	now, today := t.Hour()*60+t.Minute(), int(t.Weekday())
	if from < to {
		return days[today] && now >= from && now < to
	}
	return days[today] && now >= from || days[(today+6)%7] && now < to
}

// days are those of the week that the window begins on, from Sunday.
func (w Window) days() (days [7]bool, err error) {
	if w.Days == "" {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for _, part := range strings.Split(w.Days, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(weekdays, first), slices.Index(weekdays, last)
		if from < 0 || to < 0 {
			return days, fmt.Errorf("%q is no day; use mon, tue, wed, thu, fri, sat, sun, as mon-fri or sat,sun", part)
		}
		for day := from; ; day = (day + 1) % 7 {
			days[day] = true
			if day == to {
				break
			}
		}
	}
	return days, nil
}

// minutes reads a time of the day.
func minutes(text string) (int, error) {
	if text == "24:00" {
		return 24 * 60, nil
	}
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time of the day; use 00:00 to 24:00", text)
	}
	return at.Hour()*60 + at.Minute(), nil
}

func (l Limits) validate(bad func(path, format string, args ...any)) {
	rate := func(path string, bytes int64) {
		if bytes != 0 && bytes < minBytesPerSecond {
			bad(path, "%d is too low; use 10kB or more, or 0 for no bound", bytes)
		}
	}
	rate("limits.bytes_per_second", l.BytesPerSecond)
	if _, err := time.LoadLocation(l.TimeZone); err != nil || l.TimeZone == "Local" {
		bad("limits.time_zone", "%q is no time zone; name one as Europe/Berlin (default %s)", l.TimeZone, DefaultTimeZone)
	}
	for i, w := range l.Calendar {
		at := fmt.Sprintf("limits.calendar[%d]", i)
		rate(at+".bytes_per_second", w.BytesPerSecond)
		if _, err := w.days(); err != nil {
			bad(at+".days", "%v", err)
		}
		from, err := minutes(w.From)
		if err != nil || from == 24*60 {
			bad(at+".from", "%q is no time of the day; use 00:00 to 23:59", w.From)
		}
		to, err := minutes(w.To)
		if err != nil {
			bad(at+".to", "%v", err)
		} else if from == to {
			bad(at+".to", "%q is where it begins; use 00:00 to 24:00 for whole days", w.To)
		}
	}
}
