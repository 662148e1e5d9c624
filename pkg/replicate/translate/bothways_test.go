package translate

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/scan"
)

// mapped is a map of runs.
func mapped(t *testing.T, runs ...offsets.Run) *offsets.Map {
	t.Helper()
	m := &offsets.Map{}
	for _, r := range runs {
		if err := m.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// A target whose log is n0 n1 c2 n3 c4 n5 c6, where n are natives and c copies of the source's 0, 1 and 2. The opposite
// flow has carried n0 and n1 to 3 and 4 of the source; it comes to n3 and n5 later. The natives that no map knows are
// found in the log.
func TestOverBothMaps(t *testing.T) {
	fake := kafkatest.Start(t)
	fake.Topic("t", 1)
	client := fake.Writer()
	for range 7 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t"}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	scanner := scan.Open(kafka.Config{Name: "new", Properties: fake.Properties()}, nil)
	defer scanner.Close()
	out := mapped(t, offsets.Run{Source: 0, Target: 2, Count: 1}, offsets.Run{Source: 1, Target: 4, Count: 1},
		offsets.Run{Source: 2, Target: 6, Count: 1})
	back := &ledger.State{Header: ledger.Header{Progress: 2}, Map: mapped(t, offsets.Run{Source: 0, Target: 3, Count: 2})}
	carried := &ledger.State{Header: ledger.Header{Progress: 6}, Map: mapped(t,
		offsets.Run{Source: 0, Target: 3, Count: 2}, offsets.Run{Source: 3, Target: 6, Count: 1},
		offsets.Run{Source: 5, Target: 8, Count: 1})}
	at := func(n offsets.Target) *offsets.Target { return &n }
	for _, c := range []struct {
		why    string
		back   *ledger.State
		all    bool
		s      offsets.Source
		stands groups.Place
		want   offsets.Target
		again  int64
		passes int64
	}{
		{"no native was read", back, true, 1, groups.Place{}, 0, 1, 0},
		{"one was", back, true, 4, groups.Place{}, 1, 3, 0},
		{"both were, and no more is carried", back, true, 5, groups.Place{}, 3, 2, 0},
		{"what it has read on the target counts", back, true, 1, groups.Place{At: at(4), Read: true}, 4, 0, 0},
		{"and what it has read on the source comes next there", back, true, 5, groups.Place{At: at(4), Read: true}, 5, 1, 1},
		{"to the end", back, true, 5, groups.Place{At: at(6), Read: true}, 7, 0, 1},
		{"a mark that is void does not count", back, true, 1, groups.Place{At: at(4)}, 0, 1, 0},
		{"one more is carried, and was read", carried, true, 7, groups.Place{}, 5, 1, 0},
		{"all were", carried, true, 9, groups.Place{}, 7, 0, 0},
		{"the flow back has not begun", nil, true, 5, groups.Place{}, 0, 3, 0},
		{"it leaves out what others brought", carried, false, 9, groups.Place{}, 7, 0, 0},
		{"it leaves out n3 and n5", back, false, 5, groups.Place{}, 3, 2, 0},
	} {
		on := Standing{Target: chunk.Partition{Topic: "t"}, Stable: 7,
			State:    &ledger.State{Header: ledger.Header{Progress: 9}, Map: out},
			Opposite: &Opposite{State: c.back, All: c.all}}
		tr := New(nil, scanner) // maps only grow, for one
		got, err := tr.Translate(t.Context(), on, c.s, c.stands)
		if err != nil || !got.Ready || got.Target != c.want || got.Foreign != nil || got.Passes != c.passes {
			t.Errorf("%s: %+v, %v, want %d past %d", c.why, got, err, c.want, c.passes)
			continue
		}
		again, err := tr.Again(t.Context(), on, c.s, got.Target)
		if err != nil || again != c.again {
			t.Errorf("%s: it reads %d again, %v, want %d", c.why, again, err, c.again)
		}
	}
}

// TestDeletedOfBoth: natives that the target has deleted and the group has not read are counted as copies are.
func TestDeletedOfBoth(t *testing.T) {
	back := &ledger.State{Header: ledger.Header{Progress: 7}, Map: mapped(t, offsets.Run{Source: 0, Target: 3, Count: 2})}
	at := offsets.Target(4)
	for _, c := range []struct {
		why        string
		stands     groups.Place
		start      offsets.Source
		only, both int64
	}{
		{"one copy and two natives", groups.Place{}, 0, 3, 0},
		{"the source has deleted the copy too", groups.Place{}, 2, 2, 1},
		{"it has read on the target what is deleted there", groups.Place{At: &at, Read: true}, 0, 0, 0},
	} {
		out := mapped(t, offsets.Run{Source: 0, Target: 2, Count: 2}, offsets.Run{Source: 2, Target: 6, Count: 1})
		on := Standing{Target: chunk.Partition{Topic: "t"}, Earliest: 4, Stable: 7,
			State:     &ledger.State{Header: ledger.Header{Progress: 9}, Map: out},
			Opposite:  &Opposite{State: back, All: true},
			SourceLog: func(context.Context) (Log, error) { return Log{Start: c.start, End: 9}, nil }}
		// It has read the source's first record: the copies of 1, 3 and 4 are unread there.
		got, err := New(nil, nil).Translate(t.Context(), on, 1, c.stands)
		if err != nil || got.Deleted != c.only || got.DeletedOnBoth != c.both {
			t.Errorf("%s: %+v, %v, want %d and %d", c.why, got, err, c.only, c.both)
		}
	}
}

// What was looked at once is not looked at again, and a native that was found there is asked about anew.
func TestLooksOnce(t *testing.T) {
	tr := New(nil, nil) // a look would panic
	tr.looked = map[lookedAt]looked{{behind: true}: {from: 2, to: 9, native: true}}
	w := &offsets.TwoWay{Out: &offsets.Map{}, Back: &offsets.Map{}}
	on := &Standing{State: &ledger.State{Map: w.Out}, Stable: 20}
	type found struct {
		at     offsets.Target
		native bool
	}
	var got []found
	for _, in := range []offsets.Stretch{{From: 2, To: 20}, {From: 5, To: 9}, {From: 9, To: 10}, {From: 7, To: 7}} {
		at, native, err := tr.look(context.Background(), on, w, true, in)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, found{at, native})
	}
	want := []found{{9, true}, {9, false}, {9, true}, {0, false}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
