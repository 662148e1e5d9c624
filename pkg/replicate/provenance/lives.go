package provenance

import (
	"context"
	"slices"
	"sync"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
)

// lives knows from which offset on a partition of the source holds what the opposite flow copied from the topic of the
// target that is there now: what it copied before came from a topic that was deleted since.
type lives struct {
	source kafka.Config
	logs   *listoffsets.Client // of the source

	mu    sync.Mutex
	known map[lifeOf]life
	books map[bookOf]*ledger.Shard // as they were read last
}

// bookOf is a partition of a flow's ledger.
type bookOf struct {
	ledger string
	shard  int32
}

// lifeOf is a partition of the source, and the topics on both sides that have its name now.
type lifeOf struct {
	ledger    string // of the opposite flow
	partition chunk.Partition
	topics    Topics
}

// Topics are the ids of a topic of the source and of the one that it is copied to.
type Topics struct{ Source, Target chunk.TopicID }

// life is what the opposite flow's ledger says of one.
type life struct {
	first offsets.Target // of what was copied from that topic; -1: nothing yet
	about bool           // the ledger knows the partition, of whatever topic of that name
	upTo  int64          // offset of the source below which that is all
}

func openLives(source kafka.Config) (*lives, error) {
	logs, err := listoffsets.Open(source)
	if err != nil {
		return nil, err
	}
	return &lives{source: source, logs: logs, known: map[lifeOf]life{}, books: map[bookOf]*ledger.Shard{}}, nil
}

func (l *lives) close() { l.logs.Close() }

func (l *lives) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.known)
	clear(l.books)
}

// judge says what becomes of what a flow has copied to that place of the source: it is left out where the topic that it
// was copied from is on the target still.
func (l *lives) judge(ctx context.Context, by *sourceFlow, r chunk.Written, topics Topics) (judgement, error) {
	at := lifeOf{by.author.Ledger, r.Partition, topics}
	now, known := l.recall(by, at)
	if !known || now.first < 0 && r.Offset >= now.upTo {
		var err error
		if now, err = l.ask(ctx, by, at); err != nil {
			return nobodys, &ledger.UnknownClaimsError{Ledger: by.author.Ledger, Cluster: l.source.Name,
				Err: l.source.Explain(err)}
		}
	}
	switch {
	case now.first >= 0 && r.Offset >= int64(now.first):
		return leftOut, nil
	case now.about:
		return carried, nil
	}
	return elsewhere, nil
}

// recall is what is known without a question. That a topic was copied from is told by a book of whenever, as it stays
// so; that it was not, by one that was read after its log's end was asked for.
func (l *lives) recall(by *sourceFlow, at lifeOf) (now life, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now, known = l.known[at]; known {
		return now, true
	}
	book := l.books[by.bookOf(at.partition)]
	if book == nil {
		return life{}, false
	}
	if now = lifeIn(book, at); now.first < 0 {
		return life{}, false
	}
	l.known[at] = now
	return now, true
}

// ask reads the flow's ledger. What it copied below the end that is asked for first, it has noted there.
func (l *lives) ask(ctx context.Context, by *sourceFlow, at lifeOf) (life, error) {
	stable, err := l.logs.Stable(ctx, []string{at.partition.Topic})
	if err != nil {
		return life{}, err
	}
	end, err := listoffsets.OffsetOf(stable, at.partition)
	if err != nil {
		return life{}, err
	}
	of := by.bookOf(at.partition)
	book, err := ledger.ReadOne(ctx, l.source, of.ledger, by.id.Shards, of.shard)
	if err != nil {
		return life{}, err
	}
	now := life{first: -1}
	if book != nil {
		now = lifeIn(book, at)
	}
	now.upTo = end
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[at], l.books[of] = now, book
	return now, nil
}

// bookOf is where the flow's ledger tells of a partition.
func (f *sourceFlow) bookOf(p chunk.Partition) bookOf {
	return bookOf{f.author.Ledger, int32(p.Shard(f.id.Shards))}
}

// lifeIn is what a ledger partition says.
func lifeIn(book *ledger.Shard, at lifeOf) life {
	now := life{first: -1}
	now.about = slices.ContainsFunc(book.Keys(), func(k ledger.Key) bool { return k.Partition == at.partition })
	state := book.State(book.KeyOf(at.topics.Target, at.partition))
	if state == nil || state.TargetTopic != at.topics.Source {
		return now
	}
	if run, mapped := state.Map.First(); mapped {
		now.first = run.Target
	}
	return now
}
