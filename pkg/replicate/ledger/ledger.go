// Package ledger keeps what a flow knows in a compacted topic on the target:
// for every source partition its progress, and the map between source and
// target offsets. One ledger partition belongs to one shard.
//
// The central type is [Shard]: what one ledger partition says. It guarantees:
//
//  1. a Shard holds only what was committed: [Shard.Prepare] changes nothing,
//     and what it prepared takes effect by [Prepared.Apply], after the commit;
//  2. progress, map and all else about a partition come from one commit;
//  3. memory holds the tail of each map and one entry per sealed segment, so it
//     does not grow with every commit;
//  4. what does not fit together is refused when it is read ([Damage]), never
//     repaired by a guess.
//
// The byte formats are in docs/FORMATS.md and in codec.go. Writing is done by
// the sink, inside the transaction of the data.
package ledger

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// Key names one source partition for ever: a topic that is created again under
// its old name has another id. [Shard.KeyOf] finds it.
type Key struct {
	Topic     chunk.TopicID
	Partition chunk.Partition
}

// Stop is why a partition is not copied, as kept for `status`.
type Stop struct {
	Kind, Reason, Fix string
	Since             time.Time // to the millisecond
}

// NotStarted is the Start of a partition that could not even begin.
const NotStarted offsets.Source = -1

// Header is what is known of a partition besides its map.
type Header struct {
	Generation    int64          // counts maps: a target topic that was created again begins another
	TargetTopic   chunk.TopicID  // the map's target offsets belong to this one
	Floor         offsets.Target // target offsets below belong to an earlier map, or to nobody
	Start         offsets.Source
	Progress      offsets.Source // the next source offset to fetch
	Epoch         int32          // leader epoch of Progress, or chunk.UnknownEpoch
	MarkerFollows bool           // the map's last record was written in a transaction: a marker of ours follows it
	Holes         int64          // how many there have been
	Lost          int64          // source offsets in all holes: no more records than that were lost
	LastHole      chunk.Hole
	Stop          *Stop
	Cuts          *Cuts // nil: neither side was ever cut
	// SourceTopic is the id that the source topic has got since the partition was first copied; then it had none. Zero:
	// none yet, or it is in the key.
	SourceTopic chunk.TopicID
}

// Equal tells whether two headers say the same.
func (h Header) Equal(o Header) bool {
	a, b := h.Stop, o.Stop
	same := a == nil && b == nil || a != nil && b != nil && a.Kind == b.Kind && a.Reason == b.Reason
	same = same && h.Cuts.equal(o.Cuts)
	h.Stop, o.Stop, h.Cuts, o.Cuts = nil, nil, nil, nil
	return same && h == o
}

// State is one partition's committed state.
type State struct {
	Header
	Map *offsets.Map

	first int64 // number of the oldest sealed segment that is kept
	slots int64 // deltas that make up the tail
}

// Expected is the target offset at which the next record of ours is expected, or our
// marker before it: behind all that is mapped, and what a cut source has left there.
func (st *State) Expected() offsets.Target {
	end := st.Floor
	if last, mapped := st.Map.Last(); mapped {
		end = max(end, last.TargetEnd())
	}
	for _, left := range st.Cuts.Left() {
		end = max(end, left.To)
	}
	return end
}

// Shard is the committed content of one ledger partition. It is not safe for
// concurrent use.
type Shard struct {
	Made   bool // the flow has looked at its partitions once: what appears later starts at the beginning
	states map[Key]*State
	claims map[int64]bool // producer ids
	notes  map[string][]byte
}

// NewShard is what an empty ledger partition says.
func NewShard() *Shard {
	return &Shard{states: map[Key]*State{}, claims: map[int64]bool{}, notes: map[string][]byte{}}
}

// Note is what was noted under a name; nil: nothing.
func (s *Shard) Note(name string) []byte { return s.notes[name] }

// Notes lists the names of all notes, in no order.
func (s *Shard) Notes() []string { return slices.Collect(maps.Keys(s.notes)) }

// Claims says whether the shard has said that it writes under a producer id.
func (s *Shard) Claims(producer int64) bool { return s.claims[producer] }

// State gives the committed state of a partition, or nil. It must not be changed.
func (s *Shard) State(k Key) *State { return s.states[k] }

// KeyOf names a partition of the source topic that has that id now. What was copied while
// the topic had no id stays under the key without one: topics get ids when the upgrade of
// an old cluster is finished, and are the same as before.
func (s *Shard) KeyOf(id chunk.TopicID, p chunk.Partition) Key {
	own, before := Key{id, p}, Key{Partition: p}
	state := s.states[before]
	if s.states[own] != nil || state == nil || state.SourceTopic != (chunk.TopicID{}) && state.SourceTopic != id {
		return own
	}
	return before
}

// Keys lists all partitions that the shard knows, in no order.
func (s *Shard) Keys() []Key { return slices.Collect(maps.Keys(s.states)) }

// Fills says whether some state of the partition, perhaps of a source topic that
// was deleted since, has its records in the target topic with that id.
func (s *Shard) Fills(p chunk.Partition, target chunk.TopicID) bool {
	for k, state := range s.states {
		if k.Partition == p && state.TargetTopic == target {
			return true
		}
	}
	return false
}

// Change is what one commit does to a partition.
type Change struct {
	Key     Key
	Header  Header            // in whole; another Generation starts an empty map
	Runs    []offsets.Run     // new ones, ascending
	Foreign []offsets.Stretch // new ones
	// Cut, when not nil, forgets what is mapped from where the source was cut; before Runs are added.
	Cut *MapCut
	// Trim, when not nil, gives the first offsets that both logs still hold: segments wholly below go.
	Trim *LogStarts
}

// MapCut says from which source offset on a map is void, and reads sealed segments back.
type MapCut struct {
	At   offsets.Source
	Load offsets.Load
}

// LogStarts are the first offsets that both logs still hold.
type LogStarts struct {
	Source offsets.Source
	Target offsets.Target
}

// Record is one record for the ledger partition; a nil Value deletes Key.
type Record = chunk.LedgerRecord

// Prepared is what a commit has to write. After the commit, Apply makes it part
// of the shard; without a commit it is thrown away.
type Prepared struct {
	Records []Record
	applies []func(at []int64)
}

// Apply takes the offsets that the records got in the ledger partition.
func (p *Prepared) Apply(at []int64) {
	if len(at) != len(p.Records) {
		panic(fmt.Sprintf("ledger: %d records were committed, %d offsets are known", len(p.Records), len(at)))
	}
	for _, apply := range p.applies {
		apply(at)
	}
}

// Prepare encodes changes. It fails only where runs do not follow what is
// mapped, which means that something else was copied than what was asked for.
func (s *Shard) Prepare(changes []Change) (*Prepared, error) {
	p := &Prepared{}
	for _, c := range changes {
		if err := s.prepare(p, c); err != nil {
			return nil, fmt.Errorf("ledger: %s: %w", c.Key.Partition, err)
		}
	}
	return p, nil
}

// PrepareMade encodes that the shard's partitions have been looked at once.
func (s *Shard) PrepareMade(p *Prepared, shards int) {
	p.Records = append(p.Records, Record{Key: encodeShardKey(), Value: encodeShard(shards)})
	p.applies = append(p.applies, func([]int64) { s.Made = true })
}

// PrepareNote encodes a text that is kept under a name until another takes its place.
func (s *Shard) PrepareNote(p *Prepared, name string, text []byte) {
	p.Records = append(p.Records, NoteRecord(name, text))
	p.applies = append(p.applies, func([]int64) { s.notes[name] = text })
}

// NoteRecord is the record of a note; a nil text deletes it.
func NoteRecord(name string, text []byte) Record {
	if text == nil {
		return Record{Key: encodeNoteKey(name)}
	}
	return Record{Key: encodeNoteKey(name), Value: encodeNote(text)}
}

// PrepareClaim encodes that the shard writes to the target under a producer id from
// now on. It is committed before the first batch that carries the id, so that
// whoever finds the id in a batch can tell that a flow wrote it ([Claims]).
func (s *Shard) PrepareClaim(producer int64, now time.Time) *Prepared {
	return &Prepared{
		Records: []Record{{Key: encodeClaimKey(producer), Value: encodeClaim(now)}},
		applies: []func([]int64){func([]int64) { s.claims[producer] = true }},
	}
}

// prepare encodes one change. The new state is built beside the old one.
func (s *Shard) prepare(p *Prepared, c Change) error {
	old := s.states[c.Key]
	next := old.successor(c.Header)
	if old != nil && old.Generation != c.Header.Generation {
		for _, head := range old.Map.Heads() { // nobody can ask for the former map any more
			p.Records = append(p.Records, Record{Key: encodeSealKey(c.Key, head.Number)})
		}
	}
	for _, f := range c.Foreign {
		next.Map.AddForeign(f)
	}
	if c.Trim != nil {
		for _, head := range next.Map.Trim(c.Trim.Source, c.Trim.Target) {
			p.Records = append(p.Records, Record{Key: encodeSealKey(c.Key, head.Number)})
			next.first = head.Number + 1
		}
	}
	if c.Cut != nil {
		if err := next.cut(p, c); err != nil {
			return err
		}
	}
	sealedBefore := next.Map.TailNumber()
	var seals []int // indexes in p.Records of the segments sealed here
	for _, run := range c.Runs {
		if next.Map.TailLen() >= offsets.SegmentRuns {
			seals = append(seals, len(p.Records))
			p.Records = append(p.Records, Record{
				Key:   encodeSealKey(c.Key, next.Map.TailNumber()),
				Value: encodeSeal(c.Header.Generation, next.Map.Tail()),
			})
			next.Map.Seal(0) // its place is known after the commit
			next.slots = 0
		}
		if err := next.Map.Append(run); err != nil {
			return err
		}
	}
	if len(c.Runs) > 0 {
		delta := c.Runs
		if len(seals) > 0 {
			delta = next.Map.Tail()
		}
		p.Records = append(p.Records, Record{
			Key:   encodeDeltaKey(c.Key, next.slots),
			Value: encodeDelta(c.Header.Generation, next.Map.TailNumber(), delta),
		})
		next.slots++
	}
	p.Records = append(p.Records, Record{Key: encodeStateKey(c.Key), Value: encodeState(next)})
	p.applies = append(p.applies, func(at []int64) {
		for i, record := range seals {
			next.Map.Place(sealedBefore+int64(i), at[record])
		}
		s.states[c.Key] = next
	})
	return nil
}

// cut encodes a map without what the source has lost: its tail is one delta then.
func (st *State) cut(p *Prepared, c Change) error {
	dropped, err := st.Map.Cut(c.Cut.At, c.Cut.Load)
	if err != nil {
		return err
	}
	for _, head := range dropped {
		p.Records = append(p.Records, Record{Key: encodeSealKey(c.Key, head.Number)})
	}
	st.first, st.slots = min(st.first, st.Map.TailNumber()), 0
	if tail := st.Map.Tail(); len(tail) > 0 {
		p.Records = append(p.Records, Record{
			Key: encodeDeltaKey(c.Key, 0), Value: encodeDelta(c.Header.Generation, st.Map.TailNumber(), tail),
		})
		st.slots = 1
	}
	return nil
}

// successor is a copy of the state under a new header; a nil state and another
// generation give an empty map.
func (st *State) successor(h Header) *State {
	if st == nil || st.Generation != h.Generation {
		return &State{Header: h, Map: &offsets.Map{}}
	}
	return &State{Header: h, Map: st.Map.Clone(), first: st.first, slots: st.slots}
}
