package pause

import (
	"cmp"
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
	// Changes: it is not so yet. Words of a topic are in each partition of the ledger, and one that did not take it
	// is written again.
	Changes bool              `json:"changes"`
	Paused  *ledger.PauseWord `json:"paused"` // the word by which it waits now; null: it does not

	shards []int
}

// Changes says whether a word changes anything.
func Changes(list []Said) bool {
	return slices.ContainsFunc(list, func(s Said) bool { return s.Changes })
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
// error, unless it was paused when the flow did.
func Look(ctx context.Context, v *snapshot.Viewer, names []string) (*Names, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := inspect.TakeRan(ctx, v, func(string) bool { return true }, false,
		"start it with 'replicator run': only then there is something to pause")
	if err != nil {
		return nil, err
	}
	found := &Names{books: snap.Books}
	waiting, err := found.Waiting()
	if err != nil {
		return nil, err
	}
	known := map[string]int32{} // partitions by topic
	for _, one := range waiting {
		known[one.Topic] = max(known[one.Topic], one.partitions())
	}
	for _, view := range snap.Views() {
		known[view.Source.Topic] = max(known[view.Source.Topic], view.Source.Number+1)
	}
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

// Waiting is what is paused of the topics and partitions that are named; none: of all.
func Waiting(ctx context.Context, v *snapshot.Viewer, names []string) ([]Said, error) {
	found, err := Look(ctx, v, nil)
	if err != nil {
		return nil, err
	}
	list, err := found.Waiting()
	return slices.DeleteFunc(list, func(s Said) bool { return len(names) > 0 && !slices.ContainsFunc(names, s.Is) }), err
}

// Is says whether that name means it, or its topic.
func (s *Said) Is(name string) bool { return name == s.Topic || name == s.String() }

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
	for _, shard := range n.shardsOf(s) {
		note, err := ledger.PausedOf(n.books[shard].Shard, ledger.PauseName(s.Topic, s.Partition))
		if err != nil {
			return err
		}
		now := note.Now()
		if (now != nil) != word.Pause {
			s.Changes, s.shards = true, append(s.shards, shard)
		}
		if now != nil {
			s.Paused = now
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

// Waiting is all that is paused, by topic and number; a topic comes before its partitions.
func (n *Names) Waiting() (list []Said, err error) {
	seen := map[string]bool{}
	for _, book := range n.books {
		for _, name := range ledger.PauseNames(book.Shard) {
			note, err := ledger.PausedOf(book.Shard, name)
			if err != nil {
				return nil, err
			}
			if note.Now() == nil || seen[name] {
				continue
			}
			seen[name] = true
			one, err := parse(strings.TrimPrefix(name, ledger.PausePrefix))
			if err != nil {
				return nil, err
			}
			one.Paused = note.Now()
			list = append(list, one)
		}
	}
	slices.SortFunc(list, func(a, b Said) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.partitions(), b.partitions()))
	})
	return list, nil
}

// partitions is how many the topic has at least.
func (s *Said) partitions() int32 {
	if s.Partition == nil {
		return 0
	}
	return *s.Partition + 1
}

// paused are the notes that keep a topic or a partition from going on.
func (n *Names) paused(name Said) (list []Said, err error) {
	waiting, err := n.Waiting()
	if err != nil {
		return nil, err
	}
	for _, one := range waiting {
		switch {
		case one.Topic != name.Topic:
		case name.Partition == nil, one.String() == name.String():
			list = append(list, one)
		case one.Partition == nil:
			return nil, &kafka.Problem{What: fmt.Sprintf("%s is paused as a whole, so that %s alone cannot go on", one.Topic,
				name.String()), Fix: fmt.Sprintf("'replicator resume %s' has all of it go on", one.Topic)}
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
		if err := ledger.WriteInShard(ctx, v.TargetCluster, &v.Flow, shard, records); err != nil {
			return err
		}
	}
	return nil
}
