package report

import (
	"fmt"
	"io"

	"replicator/internal/terminal"
	"replicator/pkg/operate/inspect"
)

// Drained writes how far the consumers of a flow's source are.
func Drained(w io.Writer, d *inspect.DrainedStatus) {
	fmt.Fprintf(w, "flow %s\n", d.Flow)
	for _, cut := range d.Cuts {
		fmt.Fprintf(w, "  ! %s\n    remedy: %s\n", cut.String(), cut.Remedy)
	}
	for _, g := range d.Groups {
		switch {
		case g.Error != "":
			fmt.Fprintf(w, "  group %s: not known: %s\n", g.Group, g.Error)
		case g.Lag > 0:
			fmt.Fprintf(w, "  group %s: up to %d records of %d partitions not read, %d members%s\n", g.Group, g.Lag, g.Behind,
				g.Members, g.LostThere())
		case g.Open > 0:
			fmt.Fprintf(w, "  group %s: %s, %d members\n", g.Group, g.OpenBehind(), g.Members)
		case !g.Drained():
			fmt.Fprintf(w, "  group %s: has read what is there, but %s/%d was cut, %d members\n", g.Group, g.Cuts[0].Topic,
				g.Cuts[0].Partition, g.Members)
		default:
			fmt.Fprintf(w, "  group %s: drained, %d members\n", g.Group, g.Members)
		}
	}
	LeftOut(terminal.NewPrinter(w), d.LeftOut)
	for _, t := range d.Topics {
		switch {
		case t.Lacks > 0:
			fmt.Fprintf(w, "  topic %s: the target lacks %s%s\n", t.Topic, t.Lacking(), basis(&t))
		case len(t.ByTimestamps) > 0:
			fmt.Fprintf(w, "  topic %s: the target begins where the source does, or earlier%s\n", t.Topic, basis(&t))
		default:
			fmt.Fprintf(w, "  topic %s: the target has all that the source holds\n", t.Topic)
		}
	}
	drained := fmt.Sprint(d.Drained())
	if len(d.Groups) == 0 {
		drained = "not known, no group has a position in a selected topic"
	}
	aged := fmt.Sprint(d.AgedOut())
	if len(d.ByTimestamps()) > 0 {
		aged += ", by timestamps alone where nothing is copied by a flow"
	}
	fmt.Fprintf(w, "  drained: %s, aged out: %s\n", drained, aged)
}

// basis says what an answer goes by that is not exact.
func basis(t *inspect.TopicAged) string {
	if len(t.ByTimestamps) == 0 {
		return ""
	}
	var list []string
	for _, n := range t.ByTimestamps {
		list = append(list, fmt.Sprint(n))
	}
	return fmt.Sprintf(" (by timestamps alone in partition %s, which no flow has copied)", terminal.Few(list))
}
