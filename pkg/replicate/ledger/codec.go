package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// version is the first byte of every key and of every value.
const version byte = 1

// kinds of records, the second byte of a key.
const (
	kindShard byte = 0 // once per ledger partition
	kindState byte = 1 // header of a partition: rewritten by each commit that touches it
	kindDelta byte = 2 // new runs of a commit: a slot is used again by the next segment
	kindSeal  byte = 3 // all runs of a full segment: never rewritten
	kindClaim byte = 4 // a producer id that writes for the flow: never deleted
	kindNote  byte = 5 // a text under a name, for whoever comes later
)

// VersionError reports a ledger written by a later release.
type VersionError struct {
	What string
	Got  byte
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("ledger: %s has format version %d, this release knows version %d", e.What, e.Got, version)
}

// Remedy tells what to do.
func (e *VersionError) Remedy() string {
	return "run the release that wrote the ledger, or a later one; nothing was changed"
}

// Damage reports records of the ledger that do not fit together.
type Damage struct {
	Partition chunk.Partition
	Err       error
}

func (e *Damage) Error() string {
	return fmt.Sprintf("ledger: what it says of %s does not fit together: %v", e.Partition, e.Err)
}

func (e *Damage) Unwrap() error { return e.Err }

// Remedy tells what to do.
func (e *Damage) Remedy() string {
	return "somebody else wrote to the ledger topic or deleted from it (its cleanup.policy must be compact, without " +
		"delete); find out who may, and restore it. Where that cannot be, begin anew beside what is there, which stays as " +
		"it is: ledger: NAME, with naming: prefix or into a target where nobody uses the topics"
}

// NotLedgerError reports a record that no release has written: the topic is somebody
// else's, or somebody else writes to it.
type NotLedgerError struct{ Err error }

func (e *NotLedgerError) Error() string {
	return fmt.Sprintf("the topic holds a record that is none of a ledger: %v", e.Err)
}

func (e *NotLedgerError) Unwrap() error { return e.Err }

// Remedy tells what to do.
func (e *NotLedgerError) Remedy() string {
	return "leave the topic to whom it belongs and name another one, which is created: ledger: NAME in the flow. If it " +
		"was the flow's ledger, find out who else writes to it; nothing was changed"
}

var errShort = errors.New("it ends early")

func encodeShardKey() []byte { return []byte{version, kindShard} }

// partitionKey begins every key that is about a partition.
func partitionKey(kind byte, k Key) []byte {
	b := append([]byte{version, kind}, k.Topic[:]...)
	b = appendString(b, k.Partition.Topic)
	return binary.AppendUvarint(b, uint64(k.Partition.Number))
}

func encodeStateKey(k Key) []byte { return partitionKey(kindState, k) }

func encodeDeltaKey(k Key, slot int64) []byte {
	return binary.AppendUvarint(partitionKey(kindDelta, k), uint64(slot))
}

func encodeSealKey(k Key, number int64) []byte {
	return binary.AppendUvarint(partitionKey(kindSeal, k), uint64(number))
}

func encodeClaimKey(producer int64) []byte {
	return binary.AppendUvarint([]byte{version, kindClaim}, uint64(producer))
}

func encodeNoteKey(name string) []byte { return appendString([]byte{version, kindNote}, name) }

// decodedKey is a key taken apart; number is the slot, the segment or the producer id.
type decodedKey struct {
	kind   byte
	key    Key
	number int64
	note   string // its name
}

func decodeKey(b []byte) (decodedKey, error) {
	k, err := readKey(b)
	var later *VersionError
	if err != nil && !errors.As(err, &later) {
		err = &NotLedgerError{err}
	}
	return k, err
}

// lastVersion is the highest that a version may become: what is above begins a text.
const lastVersion = ' ' - 1

func readKey(b []byte) (decodedKey, error) {
	r := reader{rest: b}
	if v := r.byte(); v > lastVersion {
		return decodedKey{}, fmt.Errorf("its key begins with %q", v)
	} else if v != version && r.err == nil {
		return decodedKey{}, &VersionError{What: "a key", Got: v}
	}
	k := decodedKey{kind: r.byte()}
	switch {
	case r.err != nil:
	case k.kind > kindNote:
		return k, &VersionError{What: "a kind of record", Got: k.kind}
	case k.kind == kindNote:
		k.note = r.string()
	case k.kind != kindShard && k.kind != kindClaim:
		copy(k.key.Topic[:], r.bytes(len(k.key.Topic)))
		k.key.Partition.Topic = r.string()
		number := r.uvarint()
		if number > math.MaxInt32 {
			return k, fmt.Errorf("%d is not the number of a partition", number)
		}
		k.key.Partition.Number = int32(number)
	}
	if k.kind == kindDelta || k.kind == kindSeal || k.kind == kindClaim {
		k.number = int64(r.uvarint())
	}
	return k, r.end()
}

func encodeShard(shards int) []byte { return binary.AppendUvarint([]byte{version}, uint64(shards)) }

func decodeShard(b []byte) (int, error) {
	r, err := open("the shard record", b)
	if err != nil {
		return 0, err
	}
	return int(r.uvarint()), r.end()
}

func encodeNote(text []byte) []byte { return append([]byte{version}, text...) }

func decodeNote(b []byte) ([]byte, error) {
	r, err := open("a note", b)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(r.rest), nil // what it was read with may be much larger
}

func encodeClaim(since time.Time) []byte {
	return binary.AppendVarint([]byte{version}, since.UnixMilli())
}

func decodeClaim(b []byte) (since time.Time, err error) {
	r, err := open("a claim of a producer id", b)
	if err != nil {
		return since, err
	}
	return time.UnixMilli(r.varint()), r.end()
}

// stateRecord is a state without the runs, which other records hold.
type stateRecord struct {
	Header
	tail, first, slots int64
	foreign            []offsets.Stretch
}

func encodeState(s *State) []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(s.Generation))
	b = append(b, s.TargetTopic[:]...)
	b = binary.AppendUvarint(b, uint64(s.Floor))
	b = binary.AppendVarint(b, int64(s.Start))
	b = binary.AppendVarint(b, int64(s.Progress))
	b = binary.AppendVarint(b, int64(s.Epoch))
	b = binary.AppendUvarint(b, uint64(s.Map.TailNumber()))
	b = binary.AppendUvarint(b, uint64(s.first))
	b = binary.AppendUvarint(b, uint64(s.slots))
	b = appendString(b, string(offsets.EncodeStretches(s.Map.Foreign())))
	b = appendFlag(b, s.MarkerFollows)
	b = binary.AppendUvarint(b, uint64(s.Holes))
	b = binary.AppendUvarint(b, uint64(s.Lost))
	b = binary.AppendUvarint(b, uint64(s.LastHole.From))
	b = binary.AppendUvarint(b, uint64(s.LastHole.To))
	b = appendFlag(b, s.Stop != nil)
	if s.Stop != nil {
		b = appendString(b, s.Stop.Kind)
		b = appendString(b, s.Stop.Reason)
		b = appendString(b, s.Stop.Fix)
		b = binary.AppendVarint(b, s.Stop.Since.UnixMilli())
	}
	if s.Cuts != nil {
		b = appendString(append(b, fieldCuts), string(encodeCuts(s.Cuts)))
		if orphans := encodeOrphans(s.Cuts); orphans != nil {
			b = appendString(append(b, fieldOrphans), string(orphans))
		}
	}
	if s.SourceTopic != (chunk.TopicID{}) {
		b = appendString(append(b, fieldSourceTopic), string(s.SourceTopic[:]))
	}
	return b
}

// What may follow in the state of a partition: a byte that names it, and its length.
const (
	fieldCuts        byte = 1
	fieldSourceTopic byte = 2
	fieldOrphans     byte = 3
)

func decodeState(b []byte) (stateRecord, error) {
	var s stateRecord
	r, err := open("the state of a partition", b)
	if err != nil {
		return s, err
	}
	s.Generation = int64(r.uvarint())
	copy(s.TargetTopic[:], r.bytes(len(s.TargetTopic)))
	s.Floor = offsets.Target(r.uvarint())
	s.Start = offsets.Source(r.varint())
	s.Progress = offsets.Source(r.varint())
	s.Epoch = int32(r.varint())
	s.tail, s.first, s.slots = int64(r.uvarint()), int64(r.uvarint()), int64(r.uvarint())
	foreign := r.string()
	s.MarkerFollows = r.flag("a marker follows the last record")
	s.Holes, s.Lost = int64(r.uvarint()), int64(r.uvarint())
	s.LastHole = chunk.Hole{From: offsets.Source(r.uvarint()), To: offsets.Source(r.uvarint())}
	if r.flag("it is stopped") {
		s.Stop = &Stop{Kind: r.string(), Reason: r.string(), Fix: r.string(), Since: time.UnixMilli(r.varint())}
	}
	for r.err == nil && len(r.rest) > 0 {
		switch field := r.byte(); field {
		case fieldCuts:
			if s.Cuts, err = decodeCuts([]byte(r.string())); r.err == nil && err != nil {
				return s, err
			}
		case fieldOrphans:
			if counted := []byte(r.string()); r.err == nil {
				if err := takeOrphans(s.Cuts, counted); err != nil {
					return s, err
				}
			}
		case fieldSourceTopic:
			id := r.string()
			if r.err == nil && len(id) != len(s.SourceTopic) {
				return s, fmt.Errorf("the id of a topic has %d bytes", len(id))
			}
			copy(s.SourceTopic[:], id)
		default:
			return s, &VersionError{What: "a field of the state of a partition", Got: field}
		}
	}
	if err := r.end(); err != nil {
		return s, err
	}
	s.foreign, err = offsets.DecodeStretches([]byte(foreign))
	return s, err
}

func encodeDelta(generation, segment int64, runs []offsets.Run) []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(generation))
	b = binary.AppendUvarint(b, uint64(segment))
	return append(b, offsets.EncodeRuns(runs)...)
}

// delta is a commit's new runs, and the map and segment that they are part of.
type delta struct {
	generation, segment int64
	runs                []offsets.Run
}

func decodeDelta(b []byte) (delta, error) {
	var d delta
	r, err := open("new runs", b)
	if err != nil {
		return d, err
	}
	d.generation, d.segment = int64(r.uvarint()), int64(r.uvarint())
	if r.err != nil {
		return d, r.err
	}
	d.runs, err = offsets.DecodeRuns(r.rest)
	return d, err
}

func encodeSeal(generation int64, runs []offsets.Run) []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(generation))
	return append(b, offsets.EncodeRuns(runs)...)
}

func decodeSeal(b []byte) (generation int64, runs []offsets.Run, err error) {
	r, err := open("a sealed segment", b)
	if err != nil {
		return 0, nil, err
	}
	generation = int64(r.uvarint())
	if r.err != nil {
		return 0, nil, r.err
	}
	runs, err = offsets.DecodeRuns(r.rest)
	if err == nil && len(runs) == 0 {
		err = errors.New("a sealed segment without runs")
	}
	return generation, runs, err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, 1)
	}
	return append(b, 0)
}

// open starts reading a value, whose first byte is the version.
func open(what string, b []byte) (*reader, error) {
	r := &reader{rest: b}
	if v := r.byte(); r.err == nil && v != version {
		return nil, &VersionError{What: what, Got: v}
	}
	return r, r.err
}

// reader takes an encoding apart; after its first error everything is zero.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.rest) {
		r.err = errShort
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// flag reads whether something holds.
func (r *reader) flag(what string) bool {
	b := r.byte()
	if b > 1 && r.err == nil {
		r.err = fmt.Errorf("%d does not tell whether %s", b, what)
	}
	return b == 1
}

func (r *reader) string() string { return string(r.bytes(int(r.uvarint()))) }

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.err != nil || n <= 0 {
		r.err = errShort
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if r.err != nil || n <= 0 {
		r.err = errShort
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) end() error {
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%d bytes are left over", len(r.rest))
	}
	return r.err
}
