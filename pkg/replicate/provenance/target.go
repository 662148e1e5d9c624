package provenance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/wait"
)

// keptPrefix begins the names of the notes, in partition 0 of the ledger, about what a
// flow has set on a target topic; the rest is the topic's name on the source.
const keptPrefix = "settings/"

// judgedAgain is for how long the verdict on a target topic that is foreign, or whose settings were
// put back, is good: each one costs a reading of the ledger.
const judgedAgain = 30 * time.Second

// Target knows whose the target topics of a flow are, and what the flow has set on
// them. A topic is the flow's own where the ledger has a map of it or says that the flow
// has created it, or where it holds no record. It may be used by several goroutines.
type Target struct {
	cfg     *settings.Config
	target  kafka.Config
	logs    *listoffsets.Client // of the target
	scanner *scan.Scanner
	writers *Writers

	mu   sync.Mutex
	ours map[chunk.TopicID]bool
	left map[chunk.TopicID]leftAlone
}

// leftAlone is a verdict that is remembered for a while.
type leftAlone struct {
	verdict topics.Verdict
	until   time.Time
}

// NewTarget opens nothing of its own: what it is given stays the caller's.
func NewTarget(cfg *settings.Config, target kafka.Config, logs *listoffsets.Client, scanner *scan.Scanner,
	writers *Writers) *Target {
	return &Target{cfg: cfg, target: target, logs: logs, scanner: scanner, writers: writers,
		ours: map[chunk.TopicID]bool{}, left: map[chunk.TopicID]leftAlone{}}
}

// Judge tells which topics the flow must not alter.
func (b *Target) Judge(ctx context.Context, there []topics.Mirrored) (map[string]topics.Verdict, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	verdicts, open := b.remembered(there)
	foreign, err := b.foreign(ctx, open)
	if err != nil {
		return nil, err
	}
	until := time.Now().Add(judgedAgain)
	leave := func(t *topics.Mirrored, v topics.Verdict) {
		verdicts[t.Target] = v
		if v.Stop == nil || v.Stop.Kind == chunk.StopForeign || v.Stop.Kind == chunk.StopTaken {
			b.left[t.TargetID] = leftAlone{v, until}
		}
	}
	var own []topics.Mirrored
	for i := range open {
		if stop := foreign[open[i].Target]; stop != nil {
			leave(&open[i], topics.Verdict{Stop: stop})
			continue
		}
		own = append(own, open[i])
	}
	if len(own) == 0 {
		return verdicts, nil
	}
	first, err := ledger.ReadFirst(ctx, b.target, b.cfg.LedgerTopic(), b.cfg.Shards, 1)
	if err != nil || len(first) == 0 {
		return verdicts, err
	}
	id, over, err := handover.RestoredAfter(first[0])
	if err != nil {
		return nil, err
	}
	for i := range own {
		if over[own[i].Source] {
			leave(&own[i], topics.Verdict{Why: fmt.Sprintf("cutover %s is done: the topic's settings are its users'", id)})
		}
	}
	return verdicts, nil
}

// remembered gives the verdicts that still count, and the topics that have none.
func (b *Target) remembered(there []topics.Mirrored) (map[string]topics.Verdict, []topics.Mirrored) {
	verdicts := map[string]topics.Verdict{}
	var open []topics.Mirrored
	for _, t := range there {
		if left, known := b.left[t.TargetID]; known && time.Now().Before(left.until) {
			verdicts[t.Target] = left.verdict
			continue
		}
		delete(b.left, t.TargetID)
		open = append(open, t)
	}
	return verdicts, open
}

// ForeignTopics tells, by target name, which topics hold records and are not the flow's own.
func (b *Target) ForeignTopics(ctx context.Context, there []topics.Mirrored) (map[string]*chunk.Stop, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.foreign(ctx, there)
}

// foreign does the work of ForeignTopics. Where logs begin and end is asked before the ledger is
// read: a replica's first record comes after its map. What stands there is looked at last,
// up to those ends, and only where the ledger does not know the topic.
func (b *Target) foreign(ctx context.Context, there []topics.Mirrored) (map[string]*chunk.Stop, error) {
	there = slices.DeleteFunc(slices.Clone(there), func(t topics.Mirrored) bool { return b.ours[t.TargetID] })
	if len(there) == 0 {
		return nil, nil
	}
	earliest, stable, err := b.ends(ctx, there)
	if err != nil {
		return nil, err
	}
	taken, err := b.writers.Taken(ctx, there)
	if err != nil {
		return nil, err
	}
	doubtful := slices.DeleteFunc(slices.Clone(there), func(t topics.Mirrored) bool {
		return taken[t.Target] == nil && isEmpty(&t, earliest, stable)
	})
	var books []*ledger.Shard
	if len(doubtful) > 0 {
		if books, err = ledger.ReadWhole(ctx, b.target, b.cfg.LedgerTopic(), b.cfg.Shards); err != nil {
			return nil, err
		}
	}
	stops, native := map[string]*chunk.Stop{}, map[chunk.TopicID]bool{}
	for _, t := range doubtful {
		if own, err := IsOwn(books, &t); own || err != nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		if taken[t.Target] == nil && b.writers.CarriesBack(t.Target) {
			native[t.TargetID] = true // what else stands there began its way there
			continue
		}
		stop, err := b.firstRecord(ctx, &t, earliest, stable)
		if err != nil {
			return nil, err
		}
		if other := taken[t.Target]; other != nil && (stop == nil || stop.Kind != chunk.StopForeign) { // else it says more
			stop = other
		}
		if stop != nil {
			stops[t.Target] = stop
		}
	}
	for _, t := range there {
		if stops[t.Target] == nil && !native[t.TargetID] { // a pair may end
			b.ours[t.TargetID] = true
		}
	}
	return stops, nil
}

// isEmpty says that no partition of a target topic holds anything, markers included.
func isEmpty(t *topics.Mirrored, earliest, stable listoffsets.Offsets) bool {
	for n := range t.TargetPartitions {
		at := chunk.Partition{Topic: t.Target, Number: int32(n)}
		from, err := listoffsets.OffsetOf(earliest, at)
		to, errTo := listoffsets.OffsetOf(stable, at)
		if err != nil || errTo != nil || from < to {
			return false
		}
	}
	return true
}

// IsOwn says whether a ledger has a map of the target topic, or says that its flow has
// created it.
func IsOwn(books []*ledger.Shard, t *topics.Mirrored) (bool, error) {
	for n, book := range books {
		for _, k := range book.Keys() {
			if k.Partition.Topic == t.Source && book.State(k).TargetTopic == t.TargetID {
				return true, nil
			}
		}
		if n > 0 {
			continue
		}
		kept, err := KeptNote(book, t.Source)
		if err != nil || kept.TargetID == t.TargetID.String() {
			return err == nil, err
		}
	}
	return false, nil
}

// ends asks where the logs begin and end; a topic that was just created may have no leaders yet.
func (b *Target) ends(ctx context.Context, there []topics.Mirrored) (earliest, stable listoffsets.Offsets, err error) {
	var names []string
	for _, t := range there {
		names = append(names, t.Target)
	}
	for giveUp := time.Now().Add(listoffsets.ElectionLimit); ; {
		if earliest, err = b.logs.Earliest(ctx, names); err != nil {
			return nil, nil, err
		}
		if stable, err = b.logs.Stable(ctx, names); err != nil {
			return nil, nil, err
		}
		waits := func(m listoffsets.Listed) bool { return m.Err != nil && kerr.IsRetriable(m.Err) }
		if !slices.ContainsFunc(slices.Collect(maps.Values(stable)), waits) || time.Now().After(giveUp) {
			return earliest, stable, nil
		}
		if err := wait.Pause(ctx, listoffsets.ElectionLimit/100); err != nil {
			return nil, nil, err
		}
	}
}

// firstRecord is the Stop for the first record that a target topic holds; nil: none. A
// partition that does not tell is a Stop as well.
func (b *Target) firstRecord(ctx context.Context, t *topics.Mirrored,
	earliest, stable listoffsets.Offsets) (*chunk.Stop, error) {
	for n := range t.TargetPartitions {
		at := chunk.Partition{Topic: t.Target, Number: int32(n)}
		p := chunk.Partition{Topic: t.Source, Number: int32(n)}
		from, err := listoffsets.OffsetOf(earliest, at)
		to, errTo := listoffsets.OffsetOf(stable, at)
		if err = cmp.Or(err, errTo); err != nil {
			return &chunk.Stop{Partition: p, Kind: chunk.StopUnavailable, Err: err,
				Reason: fmt.Sprintf("whether topic %s holds records of somebody else cannot be told", t.Target),
				Fix:    "see whether the leaders of its partitions are up; it is tried again by itself"}, nil
		}
		if from >= to {
			continue
		}
		first, found, err := b.scanner.First(ctx, at.Topic, at.Number, offsets.Target(from), offsets.Target(to), true)
		if err != nil {
			return nil, fmt.Errorf("look for foreign records in %s: %w", at, err)
		}
		if found {
			return b.writers.Stop(ctx, p, at, first), nil
		}
	}
	return nil, nil
}

// Keep notes what is about to be set. Where there is no ledger nothing is kept.
func (b *Target) Keep(ctx context.Context, kept []topics.Kept) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	books, err := ledger.ReadFirst(ctx, b.target, b.cfg.LedgerTopic(), b.cfg.Shards, 1)
	if err != nil || len(books) == 0 {
		return err
	}
	var notes []ledger.Record
	for _, k := range kept {
		before, err := KeptNote(books[0], k.Topic)
		if err != nil {
			return err
		}
		notes = append(notes, NoteOf(k.After(before)))
	}
	return ledger.WriteNotes(ctx, b.target, b.cfg.LedgerTopic(), 0, notes)
}

// NoteOf is the record of what is kept about one topic.
func NoteOf(k topics.Kept) ledger.Record {
	return ledger.NoteRecord(keptPrefix+k.Topic, handover.Encode(k))
}

// KeptNote is what a ledger's first partition says about a topic of the source.
func KeptNote(book *ledger.Shard, topic string) (k topics.Kept, err error) {
	text := book.Note(keptPrefix + topic)
	if text == nil {
		return k, nil
	}
	if err := json.Unmarshal(text, &k); err != nil {
		return k, fmt.Errorf("note %s%s of the ledger: %w", keptPrefix, topic, err)
	}
	return k, nil
}

// KeptOf lists what a ledger's first partition says about all topics.
func KeptOf(book *ledger.Shard) (map[string]topics.Kept, error) {
	all := map[string]topics.Kept{}
	for _, name := range book.Notes() {
		topic, about := strings.CutPrefix(name, keptPrefix)
		if !about {
			continue
		}
		k, err := KeptNote(book, topic)
		if err != nil {
			return nil, err
		}
		all[topic] = k
	}
	return all, nil
}

// SortedKept orders what is kept by topic.
func SortedKept(all map[string]topics.Kept) []topics.Kept {
	return slices.SortedFunc(maps.Values(all), func(a, b topics.Kept) int { return cmp.Compare(a.Topic, b.Topic) })
}
