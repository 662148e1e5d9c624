package report

import (
	"fmt"
	"io"
	"time"

	"replicator/pkg/operate/inspect"
)

// Cuts says of each cut what either way of going on gives up, or, of the two, the one that was chosen.
func Cuts(w io.Writer, cuts []inspect.OpenCut, fromCut, fromEnd bool) {
	if len(cuts) == 0 {
		fmt.Fprintln(w, "no partition waits for an order")
	}
	either := fromCut == fromEnd
	for _, c := range cuts {
		fmt.Fprintf(w, "%s: the %s's log was cut at source offset %d, seen %s, when %d was copied up to; the source ends at "+
			"%d now\n", c.Partition, c.Side, c.At, c.Seen.Format(time.RFC3339), c.Copied, c.SourceEnd)
		if c.Unknown != nil {
			fmt.Fprintf(w, "  where the source ends is not known: %v\n", c.Unknown)
		}
		if o := c.Ordered; o != nil {
			fmt.Fprintf(w, "  an order of %s to go on at offset %d waits for a replica to carry it out; a new one replaces it\n",
				o.At.Format(time.RFC3339), o.From)
		}
		stays := fmt.Sprintf("; up to %d that it has lost stay on the target", c.Lost)
		if c.Side == "target" {
			stays = fmt.Sprintf(", up to %d of them such as the target has lost", min(c.Lost, c.New))
		}
		if fromCut || either {
			fmt.Fprintf(w, "  --from-cut gives up nothing that the source holds: up to %d records are copied from offset %d "+
				"on%s\n", c.New, c.At, stays)
		}
		if fromEnd || either {
			fmt.Fprintf(w, "  --from-end gives up up to %d records of the source at [%d,%d)%s\n", c.New, c.At,
				max(c.SourceEnd, c.At), stays)
		}
	}
}
