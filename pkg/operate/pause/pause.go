package pause

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
)

// Said is what becomes of one topic or partition.
type Said struct {
	Topic     string `json:"topic"` // of the source
	Partition *int32 `json:"partition"`
	// Changed: it was not so before. Words of a topic are in each partition of the ledger, and one that did not take it
	// is written again.
	Changed bool             `json:"changed"`
	Now     ledger.PauseWord `json:"now"`

	shards []int
}

func (s *Said) String() string {
	if s.Partition == nil {
		return s.Topic
	}
	return fmt.Sprintf("%s/%d", s.Topic, *s.Partition)
}

// Names are topics of the source and partitions, as orders or orders/0, and what a ledger says of them.
type Names struct {
	books []snapshot.Book
	names []Said
}

// Look reads the ledger, and finds the topics and partitions that are named. One that the flow does not copy is an
// error.
func Look(ctx context.Context, v *snapshot.Viewer, names []string) (*Names, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := v.Take(ctx, func(string) bool { return true }, false)
	if err == nil {
		err = snap.LedgerErr
	}
	if err == nil && len(snap.Books) == 0 {
		err = inspect.NeverRan(ctx, v, "start it with 'replicator run': only then there is something to pause")
	}
	if err != nil {
		return nil, err
	}
	known := map[string]int32{} // partitions by topic
	for _, view := range snap.Views() {
		known[view.Source.Topic] = max(known[view.Source.Topic], view.Source.Number+1)
	}
	found := &Names{books: snap.Books}
	for _, name := range names {
		one, err := parse(name)
		if err != nil {
			return nil, err
		}
		switch n, there := known[one.Topic]; {
		case !there:
			return nil, &kafka.Problem{What: fmt.Sprintf("flow %s copies no topic %s", v.Flow.Name(), one.Topic),
				Fix: "'replicator status' lists the topics, by their names on the source"}
		case one.Partition != nil && *one.Partition >= n:
			return nil, &kafka.Problem{What: fmt.Sprintf("topic %s has %d partitions: there is no %s", one.Topic, n, name),
				Fix: "'replicator status' lists them"}
		}
		found.names = append(found.names, one)
	}
	return found, nil
}

func parse(name string) (s Said, err error) {
	topic, number, one := strings.Cut(name, "/")
	s.Topic = topic
	if !one {
		return s, nil
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n < 0 {
		return s, &kafka.Problem{What: fmt.Sprintf("%q is neither a topic nor a partition", name),
			Fix: "name them as orders or orders/0"}
	}
	at := int32(n)
	s.Partition = &at
	return s, nil
}

// Of says what a word would change; word.Pause says which way. A topic goes on with all its partitions.
func (n *Names) Of(word ledger.PauseWord) ([]Said, error) {
	var list []Said
	for _, name := range n.names {
		if word.Pause {
			list = append(list, name)
			continue
		}
		paused, err := n.paused(name)
		if err != nil {
			return nil, err
		}
		list = append(list, paused...)
	}
	for i := range list {
		if err := n.compare(&list[i], word); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compare finds the ledger partitions that do not say so yet.
func (n *Names) compare(s *Said, word ledger.PauseWord) error {
	s.Now = word
	for _, shard := range n.shardsOf(s) {
		note, err := ledger.PausedOf(n.books[shard].Shard, ledger.PauseName(s.Topic, s.Partition))
		if err != nil {
			return err
		}
		now := note.Now()
		if (now != nil) != word.Pause {
			s.Changed, s.shards = true, append(s.shards, shard)
		} else if now != nil {
			s.Now = *now
		}
	}
	return nil
}

// shardsOf are the ledger partitions that have the note.
func (n *Names) shardsOf(s *Said) (shards []int) {
	if s.Partition != nil {
		return []int{chunk.Partition{Topic: s.Topic, Number: *s.Partition}.Shard(len(n.books))}
	}
	for shard := range n.books {
		shards = append(shards, shard)
	}
	return shards
}

// paused are the notes that keep a topic or a partition from going on.
func (n *Names) paused(name Said) (list []Said, err error) {
	whole := Said{Topic: name.Topic}
	for shard, book := range n.books {
		for _, note := range ledger.PauseNames(book.Shard) {
			topic, number, _ := strings.Cut(strings.TrimPrefix(note, ledger.PausePrefix), "/")
			said, err := ledger.PausedOf(book.Shard, note)
			if err != nil {
				return nil, err
			}
			if topic != name.Topic || said.Now() == nil {
				continue
			}
			one := whole
			if number != "" {
				if one, err = parse(topic + "/" + number); err != nil {
					return nil, fmt.Errorf("note %s of ledger partition %d: %w", note, shard, err)
				}
			}
			switch {
			case name.Partition != nil && one.Partition == nil:
				return nil, &kafka.Problem{What: fmt.Sprintf("%s is paused as a whole, so that %s alone cannot go on", topic,
					name.String()), Fix: fmt.Sprintf("'replicator resume %s' has all of it go on", topic)}
			case name.Partition != nil && *one.Partition != *name.Partition,
				slices.ContainsFunc(list, func(s Said) bool { return s.String() == one.String() }):
			default:
				list = append(list, one)
			}
		}
	}
	return list, nil
}

// Say writes a word about each that it changes. After an error the same call writes what is missing.
func (n *Names) Say(ctx context.Context, v *snapshot.Viewer, list []Said, word ledger.PauseWord) error {
	byShard := map[int][]ledger.Record{}
	for i := range list {
		for _, shard := range list[i].shards {
			name := ledger.PauseName(list[i].Topic, list[i].Partition)
			note, err := ledger.PausedOf(n.books[shard].Shard, name)
			if err != nil {
				return err
			}
			note.Say(word)
			text, err := json.Marshal(note)
			if err != nil {
				return err
			}
			byShard[shard] = append(byShard[shard], ledger.NoteRecord(name, text))
		}
	}
	for shard, records := range byShard {
		err := ledger.FenceAndWrite(ctx, v.TargetCluster, v.Flow.LedgerTopic(), v.Flow.TransactionalID(int32(shard)),
			int32(shard), records)
		if err != nil {
			return v.TargetCluster.ExplainTransactions(v.Flow.GroupID()+".", err)
		}
	}
	return nil
}
