package published

import (
	"context"
	"errors"
	"testing"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

// TestStateWaitsForCommit: whoever asks for a state while a commit is under way gets none, or what was committed.
func TestStateWaitsForCommit(t *testing.T) {
	p := chunk.Partition{Topic: "t"}
	key := ledger.Key{Topic: chunk.TopicID{1}, Partition: p}
	s, book := New(), ledger.NewShard()
	s.Open(book)
	s.Put(p, func(r *Route) { r.Key = key })
	prepared, err := book.Prepare([]ledger.Change{{Key: key, Header: ledger.Header{Progress: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	answer := make(chan offsets.Source)
	failed := errors.New("made by the test")
	if err := s.Commit(t.Context(), prepared, func() ([]int64, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("a commit that fails: %v", err)
	}
	if state, _ := s.State(t.Context(), p); state != nil {
		t.Errorf("it is published although it failed: %+v", state)
	}
	err = s.Commit(t.Context(), prepared, func() ([]int64, error) {
		if state, route := s.State(gone, p); state != nil || route.Key == key {
			t.Errorf("a state comes before the commit: %+v", state)
		}
		go func() {
			state, _ := s.State(t.Context(), p)
			answer <- state.Progress
		}()
		return make([]int64, len(prepared.Records)), nil
	})
	if got := <-answer; err != nil || got != 7 {
		t.Errorf("progress is %d, %v", got, err)
	}
}
