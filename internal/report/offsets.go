package report

import (
	"fmt"
	"io"

	"replicator/pkg/operate/inspect"
)

// Translation prints one fact a line; the answer has the third.
func Translation(w io.Writer, t *inspect.Translation) error {
	from := fmt.Sprintf("source    %s/%d offset %d", t.Topic, t.Partition, t.Source)
	to := fmt.Sprintf("target    %s/%d offset %d", t.TargetTopic, t.Partition, t.Target)
	if t.Inverse {
		from, to = to, from
	}
	text := fmt.Sprintf("flow      %s\n%s\n%s\nrule      %s: %s\n", t.Flow, from, to, t.RuleCode, t.Words())
	if t.Run.Count > 0 {
		text += fmt.Sprintf("run       %s\n", t.Run)
	}
	if t.EndsUnknown {
		text += fmt.Sprintf("progress  copied up to source offset %d; the target ends at %d\nsource    %s\n", t.Progress,
			t.TargetEnd, t.SourceWords())
	} else {
		text += fmt.Sprintf("progress  copied up to source offset %d of %d; the target ends at %d\n",
			t.Progress, t.SourceEnd, t.TargetEnd)
	}
	for _, f := range t.Foreign {
		text += fmt.Sprintf("foreign   target offsets %s hold records of somebody else\n", f)
	}
	if t.Deleted > 0 {
		text += fmt.Sprintf("deleted   %d records from there on are gone from the target; skipped, held by the source\n",
			t.Deleted)
	}
	if t.DeletedOnBoth > 0 {
		text += fmt.Sprintf("deleted   %d records from there on are gone from both sides\n", t.DeletedOnBoth)
	}
	if t.OneMap != "" {
		text += fmt.Sprintf("one map   %s\n", t.OneMap)
	}
	if t.GivenUp != nil {
		text += fmt.Sprintf("given up  %s: the answer is what was copied next\n", t.GivenUp)
	}
	if t.Skips != nil && t.GivenUp == nil {
		text += fmt.Sprintf("skips     a reader from there on: %s\n", t.Skips.Why)
	}
	if t.SourceLost {
		text += "lost      what stood there the source has lost since it was copied: the answer is what comes next there\n"
	}
	_, err := io.WriteString(w, text)
	return err
}
