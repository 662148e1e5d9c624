package ledger

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// fakeLog is a ledger partition: records at offsets, holes where markers and
// compacted records are.
type fakeLog struct {
	records []fakeRecord
	next    int64
}

type fakeRecord struct {
	Record
	at int64
}

// commit appends records as one transaction does, marker included.
func (l *fakeLog) commit(p *Prepared) []int64 {
	var at []int64
	for _, r := range p.Records {
		l.records = append(l.records, fakeRecord{r, l.next})
		at = append(at, l.next)
		l.next++
	}
	l.next++
	return at
}

// compact keeps the latest record of each key below the offset, at its old place,
// and drops the tombstones among them.
func (l *fakeLog) compact(below int64) {
	latest := map[string]int64{}
	for _, r := range l.records {
		latest[string(r.Key)] = r.at
	}
	l.records = slices.DeleteFunc(l.records, func(r fakeRecord) bool {
		last := latest[string(r.Key)]
		return r.at < below && (r.at < last || r.Value == nil)
	})
}

func (l *fakeLog) read() (*Shard, error) {
	a := newAssembly()
	for _, r := range l.records {
		if err := a.take(&kgo.Record{Key: r.Key, Value: r.Value, Offset: r.at}); err != nil {
			return nil, err
		}
	}
	return a.shard()
}

// segment is the Load of a map whose ledger is l.
func (l *fakeLog) segment(head offsets.Head) ([]offsets.Run, error) {
	for _, r := range l.records {
		if r.at == head.Ledger {
			_, runs, err := decodeSeal(r.Value)
			return runs, err
		}
	}
	return nil, fmt.Errorf("nothing lies at %d", head.Ledger)
}

// picture is all of a state that must survive, in a form that can be compared.
type picture struct {
	Header  Header
	Stop    Stop
	Cuts    Cuts
	Heads   []offsets.Head
	Tail    []offsets.Run
	Number  int64
	Last    offsets.Run
	Foreign []offsets.Stretch
	First   int64
	Slots   int64
}

func pictures(s *Shard) map[Key]picture {
	all := map[Key]picture{}
	for _, k := range s.Keys() {
		st := s.State(k)
		last, _ := st.Map.Last()
		p := picture{Header: st.Header, Heads: append([]offsets.Head{}, st.Map.Heads()...),
			Tail: append([]offsets.Run{}, st.Map.Tail()...), Number: st.Map.TailNumber(), Last: last,
			Foreign: append([]offsets.Stretch{}, st.Map.Foreign()...), First: st.first, Slots: st.slots}
		if st.Stop != nil {
			p.Stop = *st.Stop
		}
		if st.Cuts != nil {
			p.Cuts = *st.Cuts
		}
		p.Header.Stop, p.Header.Cuts = nil, nil
		all[k] = p
	}
	return all
}

// history makes random changes to a shard and keeps, as a dumb second memory, every
// run of the present generation.
type history struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	log    fakeLog
	shard  *Shard
	runs   map[Key][]offsets.Run
	next   map[Key]offsets.Run // Source and Target: where the next run may begin
}

func keyOf(i int) Key {
	p := chunk.Partition{Topic: fmt.Sprintf("t%d", i/2), Number: int32(i % 2)}
	return Key{Topic: chunk.TopicID{byte(i)}, Partition: p}
}

// cutRuns are the runs of what stands before a source offset.
func cutRuns(runs []offsets.Run, at offsets.Source) []offsets.Run {
	var kept []offsets.Run
	for _, r := range runs {
		r.Count = min(r.Count, int64(at-r.Source))
		if r.Count > 0 {
			kept = append(kept, r)
		}
	}
	return kept
}

// change makes a random change of one partition; the effects on h come with took.
func (h *history) change(k Key) (c Change, took func()) {
	var header Header
	if s := h.shard.State(k); s != nil {
		header = s.Header
	}
	runs, next := h.runs[k], h.next[k]
	if h.random.IntN(60) == 0 {
		header = Header{Generation: header.Generation + 1, TargetTopic: chunk.TopicID{byte(h.random.Int())},
			Floor: next.Target}
		runs, next = nil, offsets.Run{Target: next.Target}
	}
	c = Change{Key: k, Header: header}
	if header.Progress > 0 && h.random.IntN(30) == 0 { // the source was cut, and an operator has copying go on from there
		at := offsets.Source(h.random.Int64N(int64(header.Progress)))
		c.Cut = &MapCut{At: at, Load: h.log.segment}
		runs = cutRuns(runs, at)
		c.Header.Cuts = header.Cuts.Add(Cut{At: at, Copied: header.Progress, Epoch: chunk.UnknownEpoch,
			Seen: time.UnixMilli(h.random.Int64N(1 << 40)), Resumed: at, Decided: time.UnixMilli(1),
			Left: offsets.Stretch{From: next.Target, To: next.Target + 3}})
		c.Header.MarkerFollows, header.Progress, next.Source = false, at, at
	}
	count := h.random.IntN(4)
	if h.random.IntN(25) == 0 {
		count = h.random.IntN(700) // some seal a segment, some two
	}
	for range count {
		r := run(next.Source+offsets.Source(h.random.IntN(3)), next.Target+offsets.Target(h.random.IntN(3)),
			1+h.random.Int64N(5))
		c.Runs = append(c.Runs, r)
		next = offsets.Run{Source: r.SourceEnd(), Target: r.TargetEnd()}
	}
	c.Header.Progress = max(header.Progress, next.Source+offsets.Source(h.random.IntN(3)))
	next.Source = c.Header.Progress
	c.Header.Epoch = int32(h.random.IntN(4)) - 1
	if len(c.Runs) > 0 {
		c.Header.MarkerFollows = h.random.IntN(2) == 0
	}
	switch h.random.IntN(20) {
	case 0:
		c.Header.Stop = &Stop{Kind: chunk.StopTooLarge, Reason: "reason", Fix: "fix",
			Since: time.UnixMilli(h.random.Int64N(1 << 40))}
	case 1:
		c.Header.Stop = nil
	case 2:
		c.Header.Holes, c.Header.Lost = c.Header.Holes+1, c.Header.Lost+5
		c.Header.LastHole = chunk.Hole{From: 5, To: 10}
	case 3:
		c.Foreign = append(c.Foreign, offsets.Stretch{From: next.Target, To: next.Target + 2})
		next.Target += 2
	case 4:
		c.Trim = &LogStarts{Source: next.Source / 2, Target: next.Target / 2}
	}
	return c, func() { h.runs[k], h.next[k] = append(slices.Clone(runs), c.Runs...), next }
}

// commit prepares a few changes, and mostly commits them.
func (h *history) commit() {
	h.t.Helper()
	var changes []Change
	var took []func()
	for _, i := range h.random.Perm(5)[:1+h.random.IntN(3)] {
		c, then := h.change(keyOf(i))
		changes, took = append(changes, c), append(took, then)
	}
	before := pictures(h.shard)
	p, err := h.shard.Prepare(changes)
	if err != nil {
		h.t.Fatalf("seed %d: prepare %+v: %v", h.seed, changes, err)
	}
	if !h.shard.Made {
		h.shard.PrepareMade(p, 8)
	}
	if after := pictures(h.shard); !reflect.DeepEqual(before, after) {
		h.t.Fatalf("seed %d: Prepare has changed %+v to %+v", h.seed, before, after)
	}
	if h.random.IntN(10) == 0 {
		return // the transaction was aborted
	}
	p.Apply(h.log.commit(p))
	for _, then := range took {
		then()
	}
}

// check reads the log anew and compares it with what the shard holds, and all
// translations with the dumb memory.
func (h *history) check() {
	h.t.Helper()
	read, err := h.log.read()
	if err != nil {
		h.t.Fatalf("seed %d: read: %v", h.seed, err)
	}
	got, want := pictures(read), pictures(h.shard)
	if !reflect.DeepEqual(got, want) || read.Made != h.shard.Made {
		h.t.Fatalf("seed %d: the log is read as\n%+v, want\n%+v", h.seed, got, want)
	}
	for i := range 5 { // in this order, as each draws from random: a history is the same every time
		k := keyOf(i)
		runs, state := h.runs[k], read.State(k)
		if len(runs) == 0 {
			continue
		}
		first, mapped := state.Map.First()
		for range min(len(runs), 40) {
			r := runs[h.random.IntN(len(runs))]
			if !mapped || r.Source < first.Source {
				continue // trimmed
			}
			at := r.Source + offsets.Source(h.random.Int64N(r.Count))
			answer, err := state.Map.Translate(at, state.Progress, h.log.segment)
			if want := r.Target + offsets.Target(at-r.Source); err != nil || answer.Target != want {
				h.t.Fatalf("seed %d: %s: source %d is translated to %+v, %v, want %d",
					h.seed, k.Partition, at, answer, err, want)
			}
		}
	}
	if h.random.IntN(2) == 0 {
		h.shard = read
	}
}

// TestRandomHistories: whatever was committed is read back the same, however the
// topic was compacted in between.
func TestRandomHistories(t *testing.T) {
	sealed, reused := 0, 0
	for seed := range uint64(8) {
		h := &history{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), shard: NewShard(),
			runs: map[Key][]offsets.Run{}, next: map[Key]offsets.Run{}}
		for i := range 400 {
			h.commit()
			if i%20 == 19 {
				if h.random.IntN(3) > 0 {
					h.log.compact(h.random.Int64N(h.log.next + 1))
				}
				h.check()
			}
		}
		h.log.compact(h.log.next)
		h.check()
		for _, p := range pictures(h.shard) {
			sealed += len(p.Heads)
			if p.Number > 0 && p.Slots > 0 {
				reused++
			}
		}
	}
	if sealed < 10 || reused < 10 {
		t.Errorf("too little is tested: %d segments were sealed, %d times were slots used again", sealed, reused)
	}
}
