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
		return "given up by an order: the next record copied"
	case t.SourceLost && (t.Rule == offsets.InGap || t.Rule == offsets.AtEnd):
		return "the source has lost it: its next record"
	case t.Inverse && t.Rule == offsets.InGap:
		return "no record of this flow there: its next record"
	case t.Inverse && t.Rule == offsets.AtEnd:
		return "after all that was copied: progress"
	}
	return t.Rule.String()
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
