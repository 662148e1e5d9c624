package inspect

import (
	"fmt"
	"strings"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/groups"
)

// Words says a rule in words; seen from the target some read otherwise.
func (t *Translation) Words() string {
	switch {
	case t.GivenUp != nil && (t.Rule == offsets.InGap || t.Rule == offsets.AtEnd):
		return "given up: the next record copied"
	case t.SourceLost && (t.Rule == offsets.InGap || t.Rule == offsets.AtEnd):
		return "the source has lost it: its next record"
	case t.Inverse && t.ByBoth && t.Rule == offsets.AtEnd:
		return "after all that the source has: its end"
	case t.Inverse && t.Rule == offsets.InGap && t.ByBoth:
		return "the first record of the source that was not read on the target"
	case t.Inverse && t.Rule == offsets.InGap:
		return "no record of this flow there: its next record"
	case t.Inverse && t.Rule == offsets.AtEnd:
		return "after all that was copied: progress"
	}
	return t.Rule.String()
}

// SourceWords say where the source ends.
func (t *Translation) SourceWords() string {
	if t.EndsUnknown {
		return seenWords(t.LastSeen)
	}
	return fmt.Sprintf("the source ends at %d", t.SourceEnd)
}

// seenWords say where the source ended when it was last seen.
func seenWords(last *LastSeen) string {
	if last == nil {
		return "where the source ends is not known, and was never noted"
	}
	return fmt.Sprintf("the source does not tell where it ends: it was at %d when it last did, at %s", last.SourceEnd,
		last.Seen.Format(time.RFC3339))
}

// KnownAlone says what is known of a partition while the source does not tell.
func KnownAlone(p *PartitionStatus) string {
	if p.Progress == nil {
		return "nothing of it was copied, and " + seenWords(p.LastSeen)
	}
	return fmt.Sprintf("copied up to source offset %d, and %s", *p.Progress, seenWords(p.LastSeen))
}

// Standing is a position's state as people say it: right is only what passes nothing by.
func (one *PositionStatus) Standing() string {
	if one.State == string(groups.InSync) && one.Skips != nil {
		return "skips records"
	}
	return strings.ReplaceAll(one.State, "_", " ")
}

// OpenBehind says that what a group has not read is not known before a transaction's end.
func (g *GroupDrained) OpenBehind() string {
	return fmt.Sprintf("has read what is there, but a transaction is open on the source, and %d offsets wait for its end",
		g.Open)
}

// LostThere says what the target has lost of that.
func (g *GroupDrained) LostThere() string {
	if g.UnreadDeleted == 0 {
		return ""
	}
	return fmt.Sprintf("; %d of them were deleted on the target: only the source has them", g.UnreadDeleted)
}

// Lacking says what the target lacks of a topic, and for how long.
func (t *TopicAged) Lacking() string {
	if t.Left < 0 {
		return fmt.Sprintf("up to %d records: %s", t.Lacks, t.Why)
	}
	return fmt.Sprintf("up to %d records, for %s and until their segments are deleted", t.Lacks,
		time.Duration(t.Left)*time.Second)
}
