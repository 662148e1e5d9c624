package report

import (
	"fmt"
	"io"
	"time"

	"replicator/internal/terminal"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/operate/replay"
)

// orphansListed is how many partitions are listed where nothing is wrong with them.
const orphansListed = 20

// Orphans writes which records the source holds and the target lacks, what is not known, and where they were put.
func Orphans(w io.Writer, r orphans.Kept) error {
	p := terminal.NewPrinter(w)
	p.Wrapped("  ", "flow %s: what %s holds and was not copied, as of %s", r.Flow, r.Source, r.Taken.Format(time.RFC3339))
	listed, with, leftOut := 0, 0, int64(0)
	for i := range r.Partitions {
		one := &r.Partitions[i]
		leftOut += one.LeftOut
		if one.Records > 0 {
			if with++; listed < orphansListed {
				listed++
				p.Wrapped("      ", "  %s/%d: %s, %s, [%d,%d), %s to %s", one.Topic, one.Partition, records(one.Records),
					terminal.Size(&one.Bytes), one.First.Offset, one.Last.Offset+1, clock(one.First), clock(one.Last))
			}
		}
		orphanTroubles(p, r.Source, one)
	}
	if with > listed {
		p.Line("  and %d partitions more; --json lists all", with-listed)
	}
	for _, g := range r.Gone {
		p.Wrapped("      ", "  ! topic %s: %s; what else it held is not known", g.Name, g.Why)
	}
	if leftOut > 0 {
		p.Wrapped("      ", "  left out: %s that the opposite flow has written: %s has them", records(leftOut), r.Target)
	}
	p.Line("  orphans: %s, %s, in %s", records(r.Records), terminal.Size(&r.Bytes), terminal.Count(with, "partition"))
	if r.File != "" {
		p.Line("written to %s, sha256 %s", r.File, r.SHA256)
	}
	if r.Written != nil {
		replayed(p, r.Target, *r.Written)
	}
	return p.Err()
}

// orphanTroubles says what of a partition is lost, or not known.
func orphanTroubles(p *terminal.Printer, source string, one *orphans.Partition) {
	at := fmt.Sprintf("%s/%d", one.Topic, one.Partition)
	if one.Deleted > 0 {
		p.Wrapped("      ", "  ! %s: up to %s were deleted on %s before they were copied: nobody has them any more", at,
			records(one.Deleted), source)
	}
	if one.Open > 0 {
		p.Wrapped("      ", "  ! %s: transactions are open behind offset %d, over %d offsets: what is committed of them is "+
			"an orphan as well; look again once they have ended", at, one.To, one.Open)
	}
	if one.Error != "" {
		p.Note(fmt.Sprintf("  ! %s: not known beyond that: %s", at, one.Error), one.Remedy)
	}
}

func clock(at *orphans.Place) string { return time.UnixMilli(at.At).UTC().Format(time.RFC3339) }

func records(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}

// replayed writes what a job has written.
func replayed(p *terminal.Printer, cluster string, done replay.Written) {
	text := fmt.Sprintf("written to %s: %s", cluster, records(done.Records))
	if done.Before > 0 {
		text += fmt.Sprintf("; %s were by former runs, and are not written again", records(done.Before))
	}
	p.Line("%s", text)
}

// Imported writes what is in a file, and, unless that failed, what became of it.
func Imported(w io.Writer, im *replay.Imported, failed error) error {
	p := terminal.NewPrinter(w)
	p.Line("%s: %s, sha256 %s", im.File, records(im.Records), im.SHA256)
	for i := range im.Partitions[:min(orphansListed, len(im.Partitions))] {
		one := &im.Partitions[i]
		p.Line("  %s/%d: %s, %s", one.Topic, one.Partition, records(one.Records), terminal.Size(&one.Bytes))
	}
	if more := len(im.Partitions) - orphansListed; more > 0 {
		p.Line("  and %d partitions more; --json lists all", more)
	}
	switch {
	case failed != nil:
	case im.DryRun:
		p.Line("all of it can be written to %s; nothing was", im.Cluster)
	default:
		replayed(p, im.Cluster, im.Written)
	}
	return p.Err()
}
