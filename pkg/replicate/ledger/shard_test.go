package ledger

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// one is a shard with one partition.
type one struct {
	t     *testing.T
	log   fakeLog
	shard *Shard
	key   Key
	sent  []Record // of the last commit
}

func newOne(t *testing.T) *one { return &one{t: t, shard: NewShard(), key: keyOf(0)} }

func (o *one) commit(c Change) {
	o.t.Helper()
	c.Key = o.key
	for _, r := range c.Runs {
		c.Header.Progress = max(c.Header.Progress, r.SourceEnd())
	}
	p, err := o.shard.Prepare([]Change{c})
	if err != nil {
		o.t.Fatal(err)
	}
	o.sent = p.Records
	p.Apply(o.log.commit(p))
}

// spread is n runs that do not touch, from the i-th on.
func spread(i, n int) []offsets.Run {
	var runs []offsets.Run
	for ; n > 0; i, n = i+1, n-1 {
		runs = append(runs, run(offsets.Source(3*i), offsets.Target(5*i), 1))
	}
	return runs
}

func (o *one) kinds() string {
	o.t.Helper()
	var list []string
	for _, r := range o.sent {
		k, err := decodeKey(r.Key)
		if err != nil {
			o.t.Fatal(err)
		}
		word := map[byte]string{kindShard: "shard", kindState: "state", kindDelta: "delta", kindSeal: "seal"}[k.kind]
		if k.kind != kindState {
			word += fmt.Sprint(k.number)
		}
		if r.Value == nil {
			word = "-" + word
		}
		list = append(list, word)
	}
	return strings.Join(list, " ")
}

// A tail is sealed when it is full, and the next one writes over its slots.
func TestFullTailIsSealed(t *testing.T) {
	o := newOne(t)
	for _, c := range []struct {
		runs int
		want string
		tail int
	}{
		{1, "delta0 state", 1},
		{0, "state", 1},
		{3, "delta1 state", 4},
		{251, "delta2 state", 255},
		{1, "delta3 state", 256}, // full, but nothing has to follow it yet
		{2, "seal0 delta0 state", 2},
		{1, "delta1 state", 3},
		{600, "seal1 seal2 delta0 state", 91},
	} {
		state := o.shard.State(o.key)
		have := 0
		if state != nil {
			have = len(state.Map.Heads())*offsets.SegmentRuns + state.Map.TailLen()
		}
		header := Header{}
		if state != nil {
			header = state.Header
		}
		o.commit(Change{Header: header, Runs: spread(have, c.runs)})
		if got, tail := o.kinds(), o.shard.State(o.key).Map.TailLen(); got != c.want || tail != c.tail {
			t.Errorf("after %d runs, %d more are written as %q with a tail of %d, want %q and %d",
				have, c.runs, got, tail, c.want, c.tail)
		}
	}
	o.log.compact(o.log.next)
	if len(o.log.records) != 3+1+3+1 { // segments, used slots, slots of former tails, state
		t.Errorf("the compacted ledger holds %d records", len(o.log.records))
	}
	read, err := o.log.read()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := pictures(read), pictures(o.shard); !reflect.DeepEqual(got, want) {
		t.Errorf("read as %+v, want %+v", got, want)
	}
}

// Segments below both logs' starts are deleted, and not missed.
func TestSegmentsBelowBothLogsAreDeleted(t *testing.T) {
	o := newOne(t)
	o.commit(Change{Runs: spread(0, 600)}) // segments 0 and 1, tail
	head := o.shard.State(o.key).Map.Heads()[1].First
	for _, c := range []struct {
		starts LogStarts
		want   string
		first  offsets.Run
	}{
		{LogStarts{head.Source, head.Target - 1}, "state", run(0, 0, 1)},
		{LogStarts{head.Source - 1, head.Target}, "state", run(0, 0, 1)},
		{LogStarts{head.Source, head.Target}, "-seal0 state", head},
		{LogStarts{1 << 40, 1 << 40}, "-seal1 state", spread(512, 1)[0]}, // the tail stays
		{LogStarts{1 << 40, 1 << 40}, "state", spread(512, 1)[0]},
	} {
		o.commit(Change{Header: o.shard.State(o.key).Header, Trim: &c.starts})
		if got := o.kinds(); got != c.want {
			t.Errorf("trimmed to %+v: written %q, want %q", c.starts, got, c.want)
		}
		o.log.compact(o.log.next)
		read, err := o.log.read()
		if err != nil {
			t.Fatalf("trimmed to %+v: %v", c.starts, err)
		}
		if first, _ := read.State(o.key).Map.First(); first != c.first {
			t.Errorf("trimmed to %+v: the map begins with %v, want %v", c.starts, first, c.first)
		}
	}
}

// Another generation begins an empty map; what is left of the former one is not
// taken for its own.
func TestNewGenerationBeginsEmpty(t *testing.T) {
	o := newOne(t)
	o.commit(Change{Runs: spread(0, 300)})
	o.commit(Change{Header: o.shard.State(o.key).Header, Runs: spread(300, 1)})
	o.commit(Change{Header: Header{Generation: 1, Floor: 7}})
	for _, want := range []int{0, 2, 300} {
		read, err := o.log.read()
		if err != nil {
			t.Fatal(err)
		}
		state := read.State(o.key)
		if got := len(state.Map.Heads())*offsets.SegmentRuns + state.Map.TailLen(); got != want || state.Floor != 7 {
			t.Errorf("generation 1 is read with %d runs and floor %d, want %d and 7", got, state.Floor, want)
		}
		header := state.Header
		if want == 0 {
			o.commit(Change{Header: header, Runs: spread(0, 2)})
		} else {
			o.commit(Change{Header: header, Runs: spread(want, 298)})
		}
	}
}

func TestFillsItsOwnTopicAlone(t *testing.T) {
	o := newOne(t)
	o.commit(Change{Header: Header{TargetTopic: chunk.TopicID{7}}})
	p := o.key.Partition
	other := chunk.Partition{Topic: p.Topic, Number: p.Number + 1}
	for why, got := range map[string]bool{
		"the topic that it fills":           o.shard.Fills(p, chunk.TopicID{7}),
		"not another topic":                 !o.shard.Fills(p, chunk.TopicID{8}),
		"not for a partition without state": !o.shard.Fills(other, chunk.TopicID{7}),
	} {
		if !got {
			t.Errorf("Fills: %s", why)
		}
	}
}

// Runs that do not follow what is mapped are refused, and nothing is prepared.
func TestPrepareRefuses(t *testing.T) {
	o := newOne(t)
	o.commit(Change{Runs: spread(0, 3)})
	for why, runs := range map[string][]offsets.Run{
		"again":         spread(2, 1),
		"source behind": {run(0, 100, 1)},
		"target behind": {run(100, 0, 1)},
		"empty":         {run(100, 100, 0)},
		"out of order":  {run(100, 100, 1), run(99, 101, 1)},
	} {
		p, err := o.shard.Prepare([]Change{{Key: o.key, Header: Header{Progress: 200}, Runs: runs}})
		if err == nil || p != nil || !strings.Contains(err.Error(), o.key.Partition.String()) {
			t.Errorf("%s: %v is prepared as %v, %v", why, runs, p, err)
		}
	}
}

// What does not fit together is Damage, with the partition's name and a remedy.
func TestContradictionsAreDamage(t *testing.T) {
	for why, spoil := range map[string]func(o *one) func(fakeRecord) bool{
		"a part of the tail is gone": func(o *one) func(fakeRecord) bool { return is(encodeDeltaKey(o.key, 0)) },
		"a later part is gone":       func(o *one) func(fakeRecord) bool { return is(encodeDeltaKey(o.key, 1)) },
		"a segment is gone":          func(o *one) func(fakeRecord) bool { return is(encodeSealKey(o.key, 0)) },
		"the map beyond the progress": func(o *one) func(fakeRecord) bool {
			header := o.shard.State(o.key).Header
			header.Progress -= 2
			o.commit(Change{Header: header})
			return never
		},
		"an old part in place of the new": func(o *one) func(fakeRecord) bool {
			o.write(encodeDeltaKey(o.key, 1), encodeDelta(0, 0, spread(300, 1)))
			return never
		},
		"a part of another generation": func(o *one) func(fakeRecord) bool {
			o.write(encodeDeltaKey(o.key, 1), encodeDelta(1, 1, spread(300, 1)))
			return never
		},
		"parts that overlap": func(o *one) func(fakeRecord) bool {
			o.write(encodeDeltaKey(o.key, 1), encodeDelta(0, 1, spread(257, 1)))
			return never
		},
		"a segment of another generation": func(o *one) func(fakeRecord) bool {
			o.write(encodeSealKey(o.key, 0), encodeSeal(3, spread(0, 256)))
			return never
		},
		"a segment without runs": func(o *one) func(fakeRecord) bool {
			o.write(encodeSealKey(o.key, 0), encodeSeal(0, nil))
			return never
		},
		"a marker after no record": func(o *one) func(fakeRecord) bool {
			header := o.shard.State(o.key).Header
			header.Generation, header.MarkerFollows = 1, true
			o.commit(Change{Header: header})
			return never
		},
		"neither a marker nor none": func(o *one) func(fakeRecord) bool {
			state := encodeState(o.shard.State(o.key))
			state[len(state)-6] = 2 // after it: four zeros about holes, no Stop
			o.write(encodeStateKey(o.key), state)
			return never
		},
		"a state that ends early": func(o *one) func(fakeRecord) bool {
			state := encodeState(o.shard.State(o.key))
			o.write(encodeStateKey(o.key), state[:len(state)-1])
			return never
		},
		"runs that are no runs": func(o *one) func(fakeRecord) bool {
			o.write(encodeDeltaKey(o.key, 0), []byte{version, 0, 1, offsets.Version, 200})
			return never
		},
	} {
		o := newOne(t)
		o.commit(Change{Runs: spread(0, 300)})
		o.commit(Change{Header: o.shard.State(o.key).Header, Runs: spread(300, 1)})
		if _, err := o.log.read(); err != nil {
			t.Fatal(err)
		}
		gone := spoil(o)
		o.log.records = slices.DeleteFunc(o.log.records, gone)
		_, err := o.log.read()
		var damage *Damage
		if !errors.As(err, &damage) || damage.Partition != o.key.Partition || damage.Remedy() == "" {
			t.Errorf("%s: %v, want Damage of %s", why, err, o.key.Partition)
		}
	}
}

func is(key []byte) func(fakeRecord) bool {
	return func(r fakeRecord) bool { return string(r.Key) == string(key) }
}

func never(fakeRecord) bool { return false }

// write appends what no Shard would.
func (o *one) write(key, value []byte) {
	o.log.commit(&Prepared{Records: []Record{{Key: key, Value: value}}})
}

// A ledger of a later release is refused as that, not as damage.
func TestLaterRelease(t *testing.T) {
	for why, r := range map[string]Record{
		"key":       {Key: []byte{2, 0}, Value: []byte{1, 8}},
		"kind":      {Key: append([]byte{1, 9}, encodeStateKey(keyOf(0))[2:]...), Value: []byte{1}},
		"value":     {Key: encodeStateKey(keyOf(0)), Value: []byte{2}},
		"runs":      {Key: encodeDeltaKey(keyOf(0), 0), Value: []byte{1, 0, 0, 2, 0}},
		"segment":   {Key: encodeSealKey(keyOf(0), 0), Value: []byte{1, 0, 2, 0}},
		"stretches": {Key: encodeStateKey(keyOf(0)), Value: stretchesOf(2)},
	} {
		o := newOne(t)
		o.commit(Change{Runs: spread(0, 3)})
		o.write(r.Key, r.Value)
		_, err := o.log.read()
		var later *VersionError
		var damage *Damage
		if !errors.As(err, &later) || errors.As(err, &damage) {
			t.Errorf("%s: %v, want a VersionError", why, err)
		}
	}
}

// stretchesOf is a state whose stretches are of that version.
func stretchesOf(version byte) []byte {
	state := encodeState(&State{Map: &offsets.Map{}})
	state[len(state)-8] = version // before: their length; after: their number, no marker, four zeros about holes, no Stop
	return state
}

func TestApplyNeedsEveryOffset(t *testing.T) {
	o := newOne(t)
	p, err := o.shard.Prepare([]Change{{Key: o.key, Runs: spread(0, 1), Header: Header{Progress: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("offsets of other records are accepted")
		}
	}()
	p.Apply([]int64{1})
}

// TestTopicThatGetsItsIDIsTheSame: a topic that gets its id when the upgrade of its cluster is finished is the
// same; one with yet another id is not, nor one that was known by its id before.
func TestTopicThatGetsItsIDIsTheSame(t *testing.T) {
	p, none := chunk.Partition{Topic: "orders", Number: 3}, chunk.TopicID{}
	one, other := chunk.TopicID{1}, chunk.TopicID{2}
	type states map[chunk.TopicID]chunk.TopicID // the id that the topic has got since, by that of the key
	for _, c := range []struct {
		why      string
		has      states
		id, want chunk.TopicID
	}{
		{"nothing is known", states{}, one, one},
		{"it is known", states{one: none}, one, one},
		{"it has none yet", states{none: none}, none, none},
		{"it gets one", states{none: none}, one, none},
		{"it has got that one", states{none: one}, one, none},
		{"it is not told for once", states{none: one}, none, none},
		{"it is another", states{none: one}, other, other},
		{"it was copied by both", states{none: none, one: none}, one, one},
	} {
		s := NewShard()
		for id, got := range c.has {
			s.states[Key{id, p}] = &State{Header: Header{SourceTopic: got}, Map: &offsets.Map{}}
		}
		if got := s.KeyOf(c.id, p); got != (Key{c.want, p}) {
			t.Errorf("%s: %v, want %v", c.why, got, c.want)
		}
	}
}
