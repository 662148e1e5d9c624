package cutover

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/verify"
)

// tailCheck compares the last records of both sides.
type tailCheck struct {
	viewer *snapshot.Viewer
	tail   time.Duration // how far back; 0: not at all
	ends   string        // up to which it has compared; "": it has not
	differ []unmet       // what that has found
}

// run compares, up to the ends of a standing.
func (c *tailCheck) run(ctx context.Context, seen *standing) error {
	ends := seen.ends()
	report, err := verify.Flow(ctx, c.viewer, verify.Options{Since: time.Now().Add(-c.tail), OwnOnly: true})
	if err != nil {
		return err
	}
	c.ends, c.differ = ends, nil
	for i := range report.Partitions {
		if u, differs := c.notEqual(&report.Partitions[i], seen); differs {
			c.differ = append(c.differ, u)
		}
	}
	return nil
}

// notEqual is a partition whose last records are not the same on both sides; false: they are.
func (c *tailCheck) notEqual(p *verify.Partition, seen *standing) (unmet, bool) {
	name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
	switch {
	case p.Error != "":
		n := p.SourceTo - p.SourceFrom
		if part := seen.partition(p.Topic, p.Partition); n == 0 && part != nil {
			n = int64(part.SourceEnd - part.SourceStart)
		}
		costs := fmt.Sprintf("%s cannot be compared: %s: whether up to %d records are equal is not known", name, p.Error, n)
		return unmet{costs: costs, remedy: cmp.Or(p.Remedy, seeStatus)}, true
	case p.Counts.Differences()-p.Foreign > 0:
		costs := fmt.Sprintf("%s: of the records of the last %s, %d are missing, %d changed, %d extra, %d out of order", name,
			c.tail, p.Missing, p.Changed, p.Extra, p.OutOfOrder)
		return unmet{costs: costs, remedy: "see 'replicator verify' for each of them"}, true
	}
	return unmet{}, false
}
