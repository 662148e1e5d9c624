package inspect

import (
	"fmt"
	"strings"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/translate"
)

// Skips is what a reader that goes on at its exact translation passes by, since it was never copied: it stands before
// the first record copied, or in a stretch that was lost or given up. An operator may have chosen that.
type Skips struct {
	Records int64  `json:"records"` // source offsets: at most that many
	Why     string `json:"why"`
}

// skips is what lies between a source offset and the next record that was copied, and never will be; nil: nothing.
func skips(v *snapshot.Viewer, view *snapshot.PartitionView, from offsets.Source, answer translate.Answer) *Skips {
	next := view.State.Progress
	switch answer.Rule {
	case offsets.InRun:
		return nil
	case offsets.InGap, offsets.BeforeFirst:
		next = answer.Run.Source
	}
	all, why := int64(0), []string{}
	part := func(begin, end offsets.Source, format string, args ...any) {
		if n := int64(min(end, next) - max(begin, from)); n > 0 {
			all += n
			why = append(why, fmt.Sprintf("up to %d records ", n)+fmt.Sprintf(format, args...))
		}
	}
	began := ""
	if v.Flow.Start != settings.Earliest {
		began = fmt.Sprintf(" (start: %s)", v.Flow.Start)
	}
	part(view.Earliest, view.State.Start, "are older than where the flow began%s", began)
	hole := view.State.LastHole
	if view.State.Holes > 1 && from < hole.From && from < view.Earliest { // where former ones were is not known
		hole.From = from
	}
	part(hole.From, hole.To, "were deleted on the source before they were copied")
	for _, g := range givenUp(view) {
		if in := g.Within(int64(from), int64(next)); in.Counted() {
			all, why = all+in.Records, append(why, fmt.Sprintf("%d records were given up by a failback", in.Records))
			continue
		}
		part(offsets.Source(g.From), offsets.Source(g.To), "were given up by an operator")
	}
	if all == 0 {
		return nil
	}
	return &Skips{all, strings.Join(why, ", ") + ": it will not read them on the target"}
}
