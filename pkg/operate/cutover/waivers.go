package cutover

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"replicator/pkg/replicate/kafka"
)

// unmet is one thing for which a step does not hold.
type unmet struct {
	waits  string // how it is reported while it may come by itself
	costs  string // what it means, in records, to go on without it
	remedy string // it does not come by waiting: what takes it out of the way; "": it may
}

// seeStatus is the remedy where nothing better is known.
const seeStatus = "see 'replicator status'"

// waivers are what is given up: by --force, step by step, and by operators before.
type waivers struct {
	force    bool
	patience time.Duration // how long a step is waited for before it is given up; 0: without end
	report   func(step, missing string)
	preview  bool                 // nothing is brought about: nothing is given up by waiting, or reported
	since    map[string]time.Time // when a step was first found unmet
	waived   map[string][]string  // what is given up, by step
	inVain   map[string]bool      // steps that were waited for in vain
}

// Keys of what was given up before any step.
const (
	atBegin  = "begun"  // when the cutover began, or before it was begun again
	byResume = "resume" // by orders of 'resume'
)

func newWaivers(o *Options) waivers {
	return waivers{force: o.Force, patience: o.Patience, report: o.Report, since: map[string]time.Time{},
		waived: map[string][]string{}, inVain: map[string]bool{}}
}

// decide says what becomes of a step that is unmet: what may come is waited for, which is the answer; the rest is
// refused. With --force it is given up, at once or when the step was waited for long enough.
func (w *waivers) decide(step string, list []unmet) (missing string, err error) {
	if _, known := w.since[step]; !known && len(list) > 0 {
		w.since[step] = time.Now()
	}
	enough := w.force && w.patience > 0 && !w.preview && len(list) > 0 && time.Since(w.since[step]) >= w.patience
	var waits, waived []string
	delete(w.inVain, step)
	for _, u := range list {
		switch {
		case u.remedy == "" && !enough:
			waits = append(waits, cmp.Or(u.waits, u.costs))
			continue
		case u.remedy == "":
			w.inVain[step] = true
		case !w.force:
			return "", &kafka.Problem{What: u.costs, Fix: u.remedy + "; or --force to give that up"}
		}
		waived = append(waived, u.costs)
	}
	if len(waived) > 0 && len(waits) == 0 && len(w.waived[step]) == 0 && !w.preview {
		w.report(step, "given up: "+kafka.Few(waived))
	}
	w.waived[step] = waived
	return kafka.Few(waits), nil
}

// resumed takes up what orders of 'resume' gave up before: it is no reason to stop, and no surprise later.
func (w *waivers) resumed(step string, list []string) {
	if len(list) > len(w.waived[byResume]) {
		w.report(step, "given up before: "+kafka.Few(list))
	}
	w.waived[byResume] = list
}

// all lists what is given up.
func (w *waivers) all() []string {
	var all []string
	for _, step := range slices.Sorted(maps.Keys(w.waived)) {
		all = append(all, w.waived[step]...)
	}
	return all
}

// steps are those of which something is given up, by name.
func (w *waivers) steps() []string {
	var steps []string
	for step, waived := range w.waived {
		if len(waived) > 0 {
			steps = append(steps, step)
		}
	}
	slices.Sort(steps)
	return steps
}
