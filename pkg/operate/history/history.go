// Package history is what operators have decided about a flow, as its ledger keeps it: who paused what and had it go
// on, orders about cuts, cutovers, failovers and what came of them.
//
// It reaches the target alone, and reads the ledger alone. Of pauses it knows the last fifty words about each topic and
// partition, of cutovers and of failovers the latest.
package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
)

// Event is one thing that was decided, or came of that.
type Event struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"` // pause, resume, cutover, failover, failback or return
	What  string    `json:"what"`  // topic or partition, by names of the source; "": the flow
	By    string    `json:"by"`    // user@host; "": it was not kept
	Text  string    `json:"text"`
}

// Of lists what a ledger keeps, the oldest first.
func Of(ctx context.Context, target kafka.Config, topic string) ([]Event, error) {
	if err := reach(ctx, target); err != nil {
		return nil, err
	}
	books, err := ledger.ReadAsItIs(ctx, target, topic)
	if err != nil {
		return nil, err
	}
	if len(books) == 0 {
		return nil, &kafka.Problem{What: fmt.Sprintf("there is no ledger %s on cluster %s: the flow has never run", topic,
			target.Name), Fix: "start it with 'replicator run'; until then nothing can be decided about it"}
	}
	list := []Event{}
	for n, book := range books {
		said, err := words(book)
		if err != nil {
			return nil, err
		}
		list = append(list, said...)
		if n > 0 {
			continue
		}
		moved, err := handovers(book)
		if err != nil {
			return nil, err
		}
		list = append(list, moved...)
	}
	slices.SortStableFunc(list, func(a, b Event) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.What, b.What), strings.Compare(a.Event, b.Event))
	})
	return slices.Compact(list), nil // words about a topic stand in each partition of the ledger
}

// reach says at once why a cluster does not answer: whoever reads waits for it.
func reach(ctx context.Context, target kafka.Config) error {
	client, err := listoffsets.Open(target)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Reach(ctx)
}

// words are those about pauses and cuts.
func words(book *ledger.Shard) (list []Event, err error) {
	for _, name := range ledger.PauseNames(book) {
		note, err := ledger.PausedOf(book, name)
		if err != nil {
			return nil, err
		}
		for _, word := range note.Words {
			one := Event{word.At, "resume", strings.TrimPrefix(name, ledger.PausePrefix), word.By, word.Why}
			if word.Pause {
				one.Event = "pause"
			}
			list = append(list, one)
		}
	}
	orders, err := ledger.Orders(book)
	if err != nil {
		return nil, err
	}
	for _, o := range orders {
		text := fmt.Sprintf("after a cut at offset %d copying goes on at %d; up to %d records are given up", o.At, o.From,
			o.Skips)
		list = append(list, Event{o.Ordered, "resume", fmt.Sprintf("%s/%d", o.Topic, o.Partition), "", text})
	}
	return list, nil
}

// handovers are the latest cutover and the latest failover.
func handovers(first *ledger.Shard) (list []Event, err error) {
	moved, err := handover.RecordOf(first)
	if err != nil {
		return nil, err
	}
	for _, one := range []Event{
		{moved.Begun, "cutover", "", "", fmt.Sprintf("%s began", moved.ID)},
		{moved.Ended, "cutover", "", "", fmt.Sprintf("%s: done with %d groups, %d partitions%s%s", moved.ID, moved.Groups,
			moved.Partitions, given(moved.GivenUp), since[moved.State])},
	} {
		if !one.At.IsZero() {
			list = append(list, one)
		}
	}
	lost, err := handover.FailoverOf(first)
	if err != nil {
		return nil, err
	}
	for _, one := range []Event{
		{lost.Begun, "failover", "", "", fmt.Sprintf("%s began", lost.ID)},
		{lost.Ended, "failover", "", "", fmt.Sprintf("%s: done with %d groups, %d partitions; the source answered: %s",
			lost.ID, lost.Groups, lost.Partitions, lost.Source)},
		{lost.FailedBack, "failback", "", "", fmt.Sprintf("%s: the flow is open again; of %d orphans: %s", lost.ID,
			lost.OrphansFound, cmp.Or(lost.Orphans, "none"))},
		{lost.Returned, "return", "", "", fmt.Sprintf("%s: applications are back on the source", lost.ID)},
	} {
		if !one.At.IsZero() {
			list = append(list, one)
		}
	}
	return list, nil
}

// since is what became of a cutover that was done; the ledger does not keep when.
var since = map[string]string{handover.RolledBack: "; taken back since", handover.Undone: "; undone since"}

func given(up []string) string {
	if len(up) == 0 {
		return ""
	}
	return "; given up: " + strings.Join(up, "; ")
}
