package verify

import (
	"fmt"
	"slices"
	"time"

	"replicator/pkg/operate/compare"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// ReportVersion is the version of a report's JSON.
const ReportVersion = 1

// Verdict is what a verification comes to.
type Verdict string

// The verdicts.
const (
	Equal     Verdict = "equal"     // no difference among all that could be checked, and nothing of Incomplete
	Different Verdict = "different" // at least one difference
	// Incomplete: no difference was seen, but something of what was asked for is not known to be equal, or a group would
	// not read all of it on the target: see the field of that name.
	Incomplete Verdict = "incomplete"
)

// Report is that of one comparison of both sides. Its JSON is stable:
// fields may be added, none changes its name or meaning while Version stays.
type Report struct {
	Version int     `json:"version"`
	Program string  `json:"program"` // the version that compared
	Flow    string  `json:"flow"`    // as old->new
	Verdict Verdict `json:"verdict"`
	// Incomplete is why more than what was compared is not known to be equal; with the verdict different as well.
	Incomplete []Doubt           `json:"incomplete"`
	Filters    Filters           `json:"filters"`
	Source     ClusterName       `json:"source"`
	Target     ClusterName       `json:"target"`
	Delivery   settings.Delivery `json:"delivery"`
	Ledger     string            `json:"ledger"`    // the topic on the target that the map was read from
	NeverRan   bool              `json:"never_ran"` // the ledger is missing, or knows of no partition
	Begun      time.Time         `json:"begun"`
	Taken      time.Time         `json:"taken"` // when progress and ends were asked for: what came later was not compared
	Ended      time.Time         `json:"ended"`
	Since      *time.Time        `json:"since"` // what is older was not compared; null: all was
	Counts
	// KnownLost is how many records at most are in holes: the source deleted them before they were copied, or an order
	// of 'resume' or a failback gave them up.
	KnownLost  int64                   `json:"known_lost"`
	GivenUp    int64                   `json:"given_up"`   // how many of these an operator gave up
	Unverified map[string]int64        `json:"unverified"` // records that could not be checked, by reason
	NotCopied  int64                   `json:"not_copied"` // source offsets beyond progress, when progress was taken
	Partitions []Partition             `json:"partitions"` // by topic and number
	Groups     []inspect.GroupStatus   `json:"groups"`     // as status shows them, when the comparison had ended
	Problems   []inspect.ProblemStatus `json:"problems"`   // what could not be seen
	LeftOut    []inspect.LeftOut       `json:"left_out"`   // what the flow's patterns choose and a rule leaves out
	// NotCompared are the topics that the flow has copied, as its ledger says, and that the configuration leaves out, or
	// that the source does not show any more.
	NotCompared []inspect.LeftOut `json:"not_compared"`
}

// Filters are what was asked for, as it was typed; "" is no filter.
type Filters struct {
	Topics string `json:"topics"`
	Since  string `json:"since"` // the time that it meant is in the report's own field
}

// Doubt is one reason why a verification is incomplete.
type Doubt struct {
	Topic     string `json:"topic,omitempty"`     // of the source; "": it is about the whole flow
	Partition *int32 `json:"partition,omitempty"` // with a topic
	Why       string `json:"why"`
	Remedy    string `json:"remedy,omitempty"`
}

func (d *Doubt) String() string {
	if d.Topic == "" || d.Partition == nil {
		return d.Why
	}
	return fmt.Sprintf("%s/%d: %s", d.Topic, *d.Partition, d.Why)
}

// ClusterName tells a cluster by its name in the configuration and its own id.
type ClusterName struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Counts are numbers of records.
type Counts struct {
	Compared   int64 `json:"compared"` // on both sides at their places, equal or not
	Missing    int64 `json:"missing"`
	Changed    int64 `json:"changed"`
	Extra      int64 `json:"extra"`   // on the target, and not explained by the map
	Foreign    int64 `json:"foreign"` // the same, where the flow has noted that somebody else wrote
	OutOfOrder int64 `json:"out_of_order"`
}

// Differences is the sum of all but the compared ones.
func (c *Counts) Differences() int64 {
	return c.Missing + c.Changed + c.Extra + c.Foreign + c.OutOfOrder
}

// Partition is one source partition in a report.
type Partition struct {
	Topic       string          `json:"topic"` // of the source
	Partition   int32           `json:"partition"`
	TargetTopic string          `json:"target_topic"`
	State       partition.Phase `json:"state"`            // as status shows it
	Reason      string          `json:"reason,omitempty"` // with stopped and waiting
	// The ranges, half open; the last source offset is progress.
	SourceFrom int64 `json:"source_from"`
	SourceTo   int64 `json:"source_to"`
	TargetFrom int64 `json:"target_from"`
	TargetTo   int64 `json:"target_to"`
	NotCopied  int64 `json:"not_copied"` // source offsets from source_to to the last stable offset
	// KnownLost is how many records at most are in holes of the range, or were given up there; Holes are all that the
	// flow has noted, GivenUp what orders of 'resume' and failbacks have left out of the range.
	KnownLost int64               `json:"known_lost"`
	Holes     *inspect.HoleStatus `json:"holes,omitempty"`
	GivenUp   []inspect.GivenUp   `json:"given_up,omitempty"`
	Counts
	Unverified map[string]int64 `json:"unverified"`
	// Differences are the first ones; the counts are of all.
	Differences []compare.Difference `json:"differences"`
	// The digests are equal where there is no difference. "": nothing was compared.
	SourceDigest string `json:"source_digest"`
	TargetDigest string `json:"target_digest"`
	// Error and Remedy: why the partition could not be compared; its counts are 0 then.
	Error  string `json:"error,omitempty"`
	Remedy string `json:"remedy,omitempty"`

	remedy string // of Reason
}

// take fills in what a comparison found.
func (p *Partition) take(found *compare.Result) {
	p.Counts = Counts{found.Compared, found.Missing, found.Changed, found.Extra, found.Foreign,
		found.OutOfOrder}
	p.Unverified = found.Unverified
	p.Differences = append(p.Differences, found.Listed...)
	p.SourceDigest, p.TargetDigest = found.SourceDigest, found.TargetDigest
}

// add adds a partition to the report.
func (report *Report) add(p *Partition) {
	report.Partitions = append(report.Partitions, *p)
	report.Compared += p.Compared
	report.Missing += p.Missing
	report.Changed += p.Changed
	report.Extra += p.Extra
	report.Foreign += p.Foreign
	report.OutOfOrder += p.OutOfOrder
	report.NotCopied += p.NotCopied
	report.KnownLost += p.KnownLost
	for reason, n := range p.Unverified {
		report.Unverified[reason] += n
	}
	if why, remedy := p.doubt(); why != "" {
		report.Incomplete = append(report.Incomplete, Doubt{p.Topic, &p.Partition, why, remedy})
	}
	for _, g := range p.GivenUp {
		report.GivenUp += g.Most()
		report.Incomplete = append(report.Incomplete, Doubt{p.Topic, &p.Partition, g.String(),
			"they are on the source alone, as ordered. --since with a later time compares what came after"})
	}
}

// holes is KnownLost without what was given up.
func (p *Partition) holes() int64 {
	n := p.KnownLost
	for _, g := range p.GivenUp {
		n -= g.Most()
	}
	return n
}

// doubt is why not all of the partition is known to be equal, beside what was given up; "": it is.
func (p *Partition) doubt() (why, remedy string) {
	switch {
	case p.Error != "":
		return p.Error, p.Remedy
	case p.State == partition.PhaseStopped || p.State == partition.PhaseWaiting:
		return fmt.Sprintf("%s: %s; %d source offsets are not copied", p.State, p.Reason, p.NotCopied), p.remedy
	case p.State == partition.PhaseNotStarted && p.NotCopied > 0:
		return fmt.Sprintf("nothing of it is copied yet: %d source offsets", p.NotCopied),
			"let 'replicator run' copy it, and verify again"
	case p.holes() > 0:
		return fmt.Sprintf("up to %d records are lost: the source deleted them before they were copied, the last at [%d,%d)",
				p.holes(), p.Holes.Last.From, p.Holes.Last.To), "they are on neither side; raise retention on the source. " +
				"--since with a later time compares what came after"
	}
	return "", ""
}

// doubts are why the group would not read on the target all that it would read on the source.
func doubts(g *inspect.GroupStatus) (list []Doubt) {
	if g.Error != "" {
		list = append(list, Doubt{Why: fmt.Sprintf("group %s: its positions are not known: %s", g.Group, g.Error),
			Remedy: g.Remedy})
	}
	if slices.ContainsFunc(g.Positions, func(at inspect.PositionStatus) bool { return at.SourceUnknown }) {
		list = append(list, Doubt{Why: fmt.Sprintf("group %s: where it stands on the source is not known", g.Group),
			Remedy: "see what is said of the source"})
	}
	for i := range g.Positions {
		if at := &g.Positions[i]; at.UnreadDeleted > 0 {
			list = append(list, Doubt{at.Topic, &at.Partition, fmt.Sprintf("group %s has not read %d records that were "+
				"deleted on the target: it would pass them by there", g.Group, at.UnreadDeleted),
				groups.DeletedRemedy(at.TargetTopic)})
		}
	}
	return list
}

// judge gives the verdict, once all partitions are added.
func (report *Report) judge() {
	unverified, begun := int64(0), false
	for reason, n := range report.Unverified {
		if reason != compare.LeftOut && reason != compare.Native { // these are for the opposite flow to carry
			unverified += n
		}
	}
	for i := range report.Partitions {
		p := &report.Partitions[i]
		begun = begun || p.SourceTo > p.SourceFrom
	}
	var about []Doubt
	whole := func(why, remedy string) { about = append(about, Doubt{Why: why, Remedy: remedy}) }
	switch {
	case report.NeverRan:
		whole(fmt.Sprintf("the flow has never run: the ledger %s is missing or empty", report.Ledger),
			"start it with 'replicator run'; is this the right flow, and the right cluster?")
	case len(report.Partitions) == 0:
		whole("no partition was compared: no topic is selected", "see 'replicator check --connect' for the reason of each")
	case report.Since != nil && !begun:
		whole(fmt.Sprintf("nothing was compared: no record that was copied is as new as %s",
			report.Since.Format(time.RFC3339)),
			"give an earlier --since")
	case report.Compared == 0 && unverified > 0:
		whole(fmt.Sprintf("nothing could be compared: of all %d records one side has none any more", unverified), "")
	}
	for _, p := range report.Problems {
		whole(p.Error, p.Remedy)
	}
	for i := range report.Groups {
		report.Incomplete = append(report.Incomplete, doubts(&report.Groups[i])...)
	}
	report.Incomplete = append(about, report.Incomplete...)
	switch {
	case report.Counts.Differences() > 0:
		report.Verdict = Different
	case len(report.Incomplete) > 0:
		report.Verdict = Incomplete
	default:
		report.Verdict = Equal
	}
}
