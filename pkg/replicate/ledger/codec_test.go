package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// These bytes are format version 1: a later release must still read them. Each of
// them stands in docs/FORMATS.md as well.
const (
	goldenID       = "00112233445566778899aabbccddeeff"
	goldenPart     = goldenID + "066f726465727303" // orders/3
	goldenTarget   = "f0e1d2c3b4a5968778695a4b3c2d1e0f"
	goldenShardKey = "0100"
	goldenStateKey = "0101" + goldenPart
	goldenDeltaKey = "0102" + goldenPart + "05"
	goldenSealKey  = "0103" + goldenPart + "ac02"
	goldenClaimKey = "0104" + "d20f"
	goldenClaim    = "01" + "80a0abfef962"
	goldenNoteKey  = "0105" + "076375746f766572"
	goldenNote     = "01" + "7b7d"
	goldenShard    = "0108"
	goldenState    = "0101" + goldenTarget + "0714d80406" + "020104" + "0401010a02" + "01" + "0105050a" + "00"
	goldenStopped  = "0100" + goldenTarget + "00010101" + "000000" + "020100" + "00" + "00000000" +
		"01" + "0d746f7069635f6d697373696e67" + "04676f6e65" + "0477616974" + "80a0abfef962"
	goldenCut = "0100" + goldenTarget + "6500980201" + "000000" + "020100" + "00" + "00000000" + "00" +
		"0126" + "023202" + "3c640480a0abfef9627880a0abfef9623c6400" + "82018c010180a0abfef9620100000001"
	goldenUpgraded = "0100" + goldenTarget + "0000980201" + "000000" + "020100" + "00" + "00000000" + "00" +
		"0210" + goldenID
	goldenGivenUp = "0100" + goldenTarget + "0000aa0201" + "000000" + "020100" + "00" + "00000000" + "00" +
		"0119" + "010001" + "8c018c010180a0abfef962aa0280a0abfef962000000" + "030107"
	goldenDelta = "010102" + "0102006404020201"
	goldenSeal  = "0101" + "0101000000"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenKey(t *testing.T) Key {
	k := Key{Partition: chunk.Partition{Topic: "orders", Number: 3}}
	copy(k.Topic[:], unhex(t, goldenID))
	return k
}

func run(source offsets.Source, target offsets.Target, count int64) offsets.Run {
	return offsets.Run{Source: source, Target: target, Count: count}
}

// goldenStates are a state in the middle of its life and one that never began.
func goldenStates(t *testing.T) (copied, stopped *State) {
	t.Helper()
	m, err := offsets.Restore(offsets.Saved{
		Heads: []offsets.Head{{Number: 1, First: run(10, 7, 1)}}, TailNumber: 2,
		Tail:    []offsets.Run{run(20, 30, 1)},
		Foreign: []offsets.Stretch{{From: 10, To: 13}},
	})
	if err != nil {
		t.Fatal(err)
	}
	copied = &State{Map: m, first: 1, slots: 4, Header: Header{
		Generation: 1, Floor: 7, Start: 10, Progress: 300, Epoch: 3, MarkerFollows: true, Holes: 1, Lost: 5,
		LastHole: chunk.Hole{From: 5, To: 10}}}
	copy(copied.TargetTopic[:], unhex(t, goldenTarget))
	stopped = &State{Map: &offsets.Map{}, Header: Header{
		TargetTopic: copied.TargetTopic, Start: NotStarted, Progress: NotStarted, Epoch: chunk.UnknownEpoch,
		Stop: &Stop{Kind: chunk.StopMissing, Reason: "gone", Fix: "wait", Since: time.UnixMilli(1_700_000_000_000)}}}
	return copied, stopped
}

// goldenCutState is one that was cut on either side: about the first cut an operator has decided.
func goldenCutState(t *testing.T) *State {
	t.Helper()
	at := time.UnixMilli(1_700_000_000_000)
	var cuts *Cuts
	cuts = cuts.Add(Cut{At: 60, Copied: 100, Epoch: 2, Seen: at, Resumed: 60, Decided: at,
		Left: offsets.Stretch{From: 60, To: 100}})
	cuts = cuts.Add(Cut{Target: true, At: 130, Copied: 140, Epoch: chunk.UnknownEpoch, Seen: at, Resumed: Undecided})
	s := &State{Map: &offsets.Map{}, Header: Header{Floor: 101, Progress: 140, Epoch: chunk.UnknownEpoch, Cuts: cuts}}
	copy(s.TargetTopic[:], unhex(t, goldenTarget))
	return s
}

// goldenGivenUpState is one of which a failback gave up 7 records that stand in 9 offsets.
func goldenGivenUpState(t *testing.T) *State {
	t.Helper()
	at := time.UnixMilli(1_700_000_000_000)
	var cuts *Cuts
	cuts = cuts.Add(Cut{At: 140, Copied: 140, Epoch: chunk.UnknownEpoch, Seen: at, Resumed: 149, Decided: at, Orphans: 7})
	s := &State{Map: &offsets.Map{}, Header: Header{Progress: 149, Epoch: chunk.UnknownEpoch, Cuts: cuts}}
	copy(s.TargetTopic[:], unhex(t, goldenTarget))
	return s
}

// goldenUpgradedState is one whose source topic got its id later.
func goldenUpgradedState(t *testing.T) *State {
	t.Helper()
	s := &State{Map: &offsets.Map{}, Header: Header{Progress: 140, Epoch: chunk.UnknownEpoch}}
	copy(s.TargetTopic[:], unhex(t, goldenTarget))
	s.SourceTopic = goldenKey(t).Topic
	return s
}

func TestGoldenBytes(t *testing.T) {
	k := goldenKey(t)
	copied, stopped := goldenStates(t)
	cut := goldenCutState(t)
	doc, err := os.ReadFile("../../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	written := strings.Join(strings.Fields(string(doc)), "")
	for _, c := range []struct {
		what, want string
		got        []byte
	}{
		{"key of the shard", goldenShardKey, encodeShardKey()},
		{"key of a state", goldenStateKey, encodeStateKey(k)},
		{"key of new runs", goldenDeltaKey, encodeDeltaKey(k, 5)},
		{"key of a segment", goldenSealKey, encodeSealKey(k, 300)},
		{"key of a claim", goldenClaimKey, encodeClaimKey(2002)},
		{"claim", goldenClaim, encodeClaim(time.UnixMilli(1_700_000_000_000))},
		{"key of a note", goldenNoteKey, encodeNoteKey("cutover")},
		{"note", goldenNote, encodeNote([]byte("{}"))},
		{"shard", goldenShard, encodeShard(8)},
		{"state", goldenState, encodeState(copied)},
		{"state that is stopped", goldenStopped, encodeState(stopped)},
		{"state that was cut twice", goldenCut, encodeState(cut)},
		{"state whose topic got its id later", goldenUpgraded, encodeState(goldenUpgradedState(t))},
		{"state of which a failback gave up orphans", goldenGivenUp, encodeState(goldenGivenUpState(t))},
		{"new runs", goldenDelta, encodeDelta(1, 2, []offsets.Run{run(0, 100, 5), run(7, 107, 2)})},
		{"segment", goldenSeal, encodeSeal(1, []offsets.Run{run(0, 0, 1)})},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s is encoded as %s, want %s", c.what, got, c.want)
		}
		if !strings.Contains(written, c.want) {
			t.Errorf("docs/FORMATS.md does not have the example of the %s: %s", c.what, c.want)
		}
	}
}

func TestDecodeGoldenBytes(t *testing.T) {
	k := goldenKey(t)
	for text, want := range map[string]decodedKey{
		goldenShardKey: {kind: kindShard},
		goldenStateKey: {kind: kindState, key: k},
		goldenDeltaKey: {kind: kindDelta, key: k, number: 5},
		goldenSealKey:  {kind: kindSeal, key: k, number: 300},
		goldenClaimKey: {kind: kindClaim, number: 2002},
		goldenNoteKey:  {kind: kindNote, note: "cutover"},
	} {
		if got, err := decodeKey(unhex(t, text)); err != nil || got != want {
			t.Errorf("key %s is read as %v, %v, want %v", text, got, err, want)
		}
	}
	if n, err := decodeShard(unhex(t, goldenShard)); n != 8 || err != nil {
		t.Errorf("shard is read as %d, %v, want 8", n, err)
	}
	if at, err := decodeClaim(unhex(t, goldenClaim)); at.UnixMilli() != 1_700_000_000_000 || err != nil {
		t.Errorf("claim is read as %v, %v", at, err)
	}
	copied, stopped := goldenStates(t)
	for text, want := range map[string]stateRecord{
		goldenState:    {Header: copied.Header, tail: 2, first: 1, slots: 4, foreign: copied.Map.Foreign()},
		goldenStopped:  {Header: stopped.Header, foreign: []offsets.Stretch{}},
		goldenCut:      {Header: goldenCutState(t).Header, foreign: []offsets.Stretch{}},
		goldenUpgraded: {Header: goldenUpgradedState(t).Header, foreign: []offsets.Stretch{}},
		goldenGivenUp:  {Header: goldenGivenUpState(t).Header, foreign: []offsets.Stretch{}},
	} {
		if got, err := decodeState(unhex(t, text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("state %s is read as %+v, %v, want %+v", text, got, err, want)
		}
	}
	d, err := decodeDelta(unhex(t, goldenDelta))
	if want := (delta{1, 2, []offsets.Run{run(0, 100, 5), run(7, 107, 2)}}); err != nil || !reflect.DeepEqual(d, want) {
		t.Errorf("new runs are read as %v, %v, want %v", d, err, want)
	}
	generation, runs, err := decodeSeal(unhex(t, goldenSeal))
	if err != nil || generation != 1 || !reflect.DeepEqual(runs, []offsets.Run{run(0, 0, 1)}) {
		t.Errorf("segment is read as %d, %v, %v", generation, runs, err)
	}
}

// decodeAny reads a value of the kind, as an assembly does.
func decodeAny(kind byte, b []byte) error {
	var err error
	switch kind {
	case kindShard:
		_, err = decodeShard(b)
	case kindState:
		_, err = decodeState(b)
	case kindDelta:
		_, err = decodeDelta(b)
	case kindSeal:
		_, _, err = decodeSeal(b)
	case kindClaim:
		_, err = decodeClaim(b)
	}
	return err
}

// Every cut of a golden value, and every one with a byte too many, is refused.
func TestCutValuesAreRefused(t *testing.T) {
	for kind, values := range map[byte][]string{
		kindShard: {goldenShard}, kindDelta: {goldenDelta},
		kindState: {goldenState, goldenStopped, goldenCut, goldenUpgraded, goldenGivenUp},
		kindSeal:  {goldenSeal}, kindClaim: {goldenClaim},
	} {
		for _, text := range values {
			whole := unhex(t, text)
			for n := range whole {
				if text == goldenCut && n == len(whole)-2-0x26 || text == goldenUpgraded && n == len(whole)-2-0x10 ||
					text == goldenGivenUp && (n == len(whole)-3 || n == len(whole)-3-2-0x19) {
					continue // the fields at the end may be left out
				}
				if err := decodeAny(kind, whole[:n]); err == nil {
					t.Errorf("kind %d: %x is accepted, %s is whole", kind, whole[:n], text)
				}
			}
			if err := decodeAny(kind, append(bytes.Clone(whole), 0)); err == nil {
				t.Errorf("kind %d: %s with a byte too many is accepted", kind, text)
			}
		}
	}
	for _, text := range []string{goldenShardKey, goldenStateKey, goldenDeltaKey, goldenSealKey, goldenClaimKey} {
		whole := unhex(t, text)
		for n := range whole {
			if k, err := decodeKey(whole[:n]); err == nil {
				t.Errorf("key %x is accepted as %v, %s is whole", whole[:n], k, text)
			}
		}
	}
}

// A number that a hostile record claims, of runs, bytes or parts, takes no memory, and
// what such records say together is no map.
func TestClaimedNumbersTakeNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tried := 0
	for _, number := range []uint64{1 << 20, 1 << 31, 1 << 62, 1<<64 - 1} {
		claim := binary.AppendUvarint(nil, number)
		for kind, values := range map[byte][]string{
			kindShard: {goldenShard}, kindDelta: {goldenDelta},
			kindState: {goldenState, goldenStopped, goldenCut, goldenUpgraded, goldenGivenUp},
			kindSeal:  {goldenSeal}, kindClaim: {goldenClaim}, kindNote: {goldenNote},
		} {
			for _, text := range values {
				whole := unhex(t, text)
				for at := 1; at < len(whole); at++ {
					_ = decodeAny(kind, slices.Concat(whole[:at], claim, whole[at+1:]))
					tried++
				}
			}
		}
		for _, text := range []string{goldenStateKey, goldenDeltaKey, goldenSealKey, goldenClaimKey, goldenNoteKey} {
			whole := unhex(t, text)
			for at := 2; at < len(whole); at++ {
				_, _ = decodeKey(slices.Concat(whole[:at], claim, whole[at+1:]))
				tried++
			}
		}
		record := stateRecord{tail: int64(number >> 2), slots: int64(number >> 2)}
		if _, err := newAssembly().state(goldenKey(t), record); record.tail > 0 && err == nil {
			t.Errorf("%d segments and parts that are not there are a map", record.tail)
		}
	}
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 10; took > uint64(tried) { // a KiB for each
		t.Errorf("%d records took %d KiB", tried, took)
	}
}

// Another version is told apart from damage: only the release is wrong then.
func TestUnknownVersion(t *testing.T) {
	for what, decode := range map[string]func() error{
		"key":                      func() error { _, err := decodeKey(unhex(t, "02"+goldenStateKey[2:])); return err },
		"kind of key":              func() error { _, err := decodeKey(unhex(t, "0106"+goldenPart)); return err },
		"shard":                    func() error { return decodeAny(kindShard, unhex(t, "02"+goldenShard[2:])) },
		"state":                    func() error { return decodeAny(kindState, unhex(t, "02"+goldenState[2:])) },
		"new runs":                 func() error { return decodeAny(kindDelta, unhex(t, "02"+goldenDelta[2:])) },
		"segment":                  func() error { return decodeAny(kindSeal, unhex(t, "02"+goldenSeal[2:])) },
		"empty state of version 9": func() error { return decodeAny(kindState, []byte{9}) },
	} {
		err := decode()
		var version *VersionError
		if !errors.As(err, &version) || version.Remedy() == "" {
			t.Errorf("%s: %v, want a VersionError", what, err)
		}
	}
}

// FuzzDecode: nothing makes the decoder panic, and what it accepts has one meaning:
// written again and read again it is the same.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{goldenShardKey, goldenStateKey, goldenDeltaKey, goldenSealKey, goldenClaimKey,
		goldenShard, goldenState, goldenStopped, goldenCut, goldenUpgraded, goldenGivenUp,
		goldenDelta, goldenSeal, goldenClaim,
		"", "01", "0200",
		"0102ffffffffffffffffff01"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzKey(t, b)
		if d, err := decodeDelta(b); err == nil {
			again, err := decodeDelta(encodeDelta(d.generation, d.segment, d.runs))
			if err != nil || !reflect.DeepEqual(again, d) {
				t.Errorf("%x is new runs %v, and again %v, %v", b, d, again, err)
			}
		}
		if generation, runs, err := decodeSeal(b); err == nil {
			g, again, err := decodeSeal(encodeSeal(generation, runs))
			if err != nil || g != generation || !reflect.DeepEqual(again, runs) {
				t.Errorf("%x is segment %d %v, and again %d %v, %v", b, generation, runs, g, again, err)
			}
		}
		if s, err := decodeState(b); err == nil && s.tail == 0 {
			state := &State{Header: s.Header, Map: &offsets.Map{}, first: s.first, slots: s.slots}
			for _, f := range s.foreign {
				state.Map.AddForeign(f)
			}
			s.foreign = append([]offsets.Stretch{}, state.Map.Foreign()...) // those that touch have become one
			again, err := decodeState(encodeState(state))
			if err != nil || !reflect.DeepEqual(again, s) {
				t.Errorf("%x is state %+v, and again %+v, %v", b, s, again, err)
			}
		}
	})
}

func fuzzKey(t *testing.T, b []byte) {
	k, err := decodeKey(b)
	if err != nil {
		return
	}
	var again []byte
	switch k.kind {
	case kindShard:
		again = encodeShardKey()
	case kindState:
		again = encodeStateKey(k.key)
	case kindDelta:
		again = encodeDeltaKey(k.key, k.number)
	case kindSeal:
		again = encodeSealKey(k.key, k.number)
	case kindClaim:
		again = encodeClaimKey(k.number)
	case kindNote:
		again = NoteRecord(k.note, nil).Key
	}
	if got, err := decodeKey(again); err != nil || got != k {
		t.Errorf("%x is key %v, and again %v, %v", b, k, got, err)
	}
}
