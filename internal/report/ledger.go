package report

import (
	"fmt"
	"io"
	"time"

	"replicator/pkg/operate/ownership"
)

// Ledger prints what one ledger says.
func Ledger(w io.Writer, v *ownership.LedgerView) error {
	switch {
	case v.NotThere != "" && v.Refused != "": // whose remedy comes with the error
		_, err := fmt.Fprintln(w, v.NotThere)
		return err
	case v.NotThere != "":
		_, err := fmt.Fprintf(w, "%s\n  remedy: %s\n", v.NotThere, v.Remedy)
		return err
	case v.Says == nil:
		_, err := fmt.Fprintf(w, "flow %s: ledger %s does not say whose it is\n", v.Flow, v.Ledger)
		return err
	}
	s := v.Says
	naming := s.Naming
	if s.Separator != "" {
		naming += fmt.Sprintf(" with separator %q", s.Separator)
	}
	fmt.Fprintf(w, "flow %s: ledger %s\n  flow      %s, since %s\n  source    %s (id %s)\n  target    %s (id %s)\n",
		v.Flow, v.Ledger, s.Flow(), s.Since.Format(time.RFC3339), s.From, s.SourceCluster, s.To, s.TargetCluster)
	_, err := fmt.Fprintf(w, "  naming    %s\n  shards    %d\n  program   %s\n", naming, s.Shards, s.Program)
	for _, c := range s.Changes {
		if _, err := fmt.Fprintf(w, "  changed   %s: %s was %s, is %s\n", c.At.Format(time.RFC3339), c.What, c.Was,
			c.Is); err != nil {
			return err
		}
	}
	return err
}
