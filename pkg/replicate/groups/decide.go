package groups

import (
	"fmt"

	"replicator/pkg/offsets"
)

// Committed is a position as a cluster keeps it: the offset that is read next, and
// the text that was committed with it.
type Committed struct {
	Offset   int64
	Metadata string
}

// Kind says what became of a position; a bounded label for metrics.
type Kind string

// The kinds of Decision and Failure.
const (
	Moved         Kind = "moved"                  // written in this round
	InSync        Kind = "right"                  // the target holds it already
	NotCopiedYet  Kind = "not_copied_yet"         // ahead of what has been copied
	NoAnswer      Kind = "no_answer"              // cannot be translated now, for another reason
	Active        Kind = "active"                 // consumers use the group on the target
	ForeignCommit Kind = "foreign_commit"         // a consumer on the target committed it
	BeforeForeign Kind = "stopped_before_foreign" // may not pass a record that someone else wrote
	UnreadDeleted Kind = "unread_deleted"         // records that it has not read were deleted on the target alone
	BeyondEnd     Kind = "beyond_source_end"      // committed behind the end of the source's log: no position there
	OnBothSides   Kind = "on_both_sides"          // a shared group has members on both sides
	Refused       Kind = "refused"                // a cluster does not let us read or write it
	Retried       Kind = "retried"                // trouble that passes; the next round tries again
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{Moved, InSync, NotCopiedYet, NoAnswer, Active, ForeignCommit, BeforeForeign, UnreadDeleted,
		BeyondEnd, OnBothSides, Refused, Retried}
}

// Settled says that waiting changes nothing: the position stands right, or it is
// left alone for a reason that only people or consumers can change.
func (k Kind) Settled() bool { return k != NotCopiedYet && k != NoAnswer && k != Retried }

// LeftAlone says that the group does not follow the source as it was asked to.
func (k Kind) LeftAlone() bool {
	return k == Active || k == ForeignCommit || k == BeforeForeign || k == BeyondEnd ||
		k == OnBothSides || k == Refused
}

// Decision is what to do about one position.
type Decision struct {
	Write   bool
	Target  offsets.Target // what the group ought to stand at; without meaning unless Known
	Known   bool           // whether Target was translated
	Rule    offsets.Rule   // which rule gave it; 0 when nothing was translated
	Kind    Kind
	Why     string           // for the operator
	Foreign *offsets.Stretch // with BeforeForeign: the first stretch in the way
	Deleted int64            // with UnreadDeleted: how many records
	Reached *Reached         // with NotCopiedYet and Write: what Target is the translation of
}

// Ours says that a committed position is, to the offset, what this flow wrote: only
// then it may be moved.
func Ours(flow string, target Committed) bool {
	m, ok := ParseMark(target.Metadata)
	return ok && m.Flow == shortFlow(flow) && int64(m.Target) == target.Offset
}

// Decide says what to do about a position that stands at source on the source and at
// target on the target (nil: nothing committed there), of which a is the translation.
// What a says does not matter for a position that is not ours.
func Decide(flow string, source Committed, target *Committed, a Answer) Decision {
	if target != nil && !Ours(flow, *target) {
		return Decision{Kind: ForeignCommit, Why: whyForeign(flow, *target)}
	}
	d := Decision{Target: a.Target, Known: true, Rule: a.Rule, Foreign: a.Foreign}
	switch {
	case a.Beyond:
		return Decision{Kind: BeyondEnd, Rule: a.Rule, Why: a.Why + ": nothing is translated or written; a " +
			"consumer with it begins where its auto.offset.reset says, on either side"}
	case a.Rule == offsets.NotYet:
		d := Decision{Kind: NotCopiedYet, Rule: a.Rule, Why: orElse(a.Why, "the source position is ahead of the copy")}
		if r := a.Reached; r != nil && (target == nil || target.Offset < int64(r.Target)) {
			d.Write, d.Target, d.Known, d.Reached = true, r.Target, true, r // else one that is always ahead would never move
		}
		return d
	case !a.Ready:
		return Decision{Kind: NoAnswer, Rule: a.Rule, Why: orElse(a.Why, "it cannot be translated at the moment")}
	case a.Target < 0 || source.Offset < 0:
		return Decision{Kind: NoAnswer, Rule: a.Rule, Why: "an offset below 0 is not a position"}
	case target == nil:
		d.Write, d.Kind, d.Why = true, Moved, "nothing was committed on the target"
	case target.Offset != int64(a.Target):
		d.Write, d.Kind, d.Why = true, Moved, "it follows the source"
	default:
		d.Kind, d.Why = InSync, "the target holds it already"
	}
	switch {
	case a.Deleted > 0:
		d.Kind, d.Deleted = UnreadDeleted, a.Deleted
		d.Why = fmt.Sprintf("%d records that the group has not read were deleted on the target before it read them; the "+
			"source still holds them", a.Deleted)
	case a.Foreign != nil:
		d.Kind, d.Why = BeforeForeign, "the target holds records of someone else that the group has not read"
	}
	return d
}

// whyForeign tells who moved a position that is not ours.
func whyForeign(flow string, target Committed) string {
	m, ok := ParseMark(target.Metadata)
	switch {
	case !ok:
		return "a consumer on the target committed it"
	case m.Flow != shortFlow(flow):
		return "flow " + m.Flow + " committed it"
	}
	return "a consumer on the target moved it and kept our metadata"
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
