package compare

import (
	"context"
	"github.com/twmb/franz-go/pkg/kgo"
	"strings"
	"testing"
)

// Behind the map may be what the flow has just written, in order from its progress on and perhaps more than once; what
// is not like that is somebody else's.
func TestBehindTheMap(t *testing.T) {
	for _, c := range []struct {
		why          string
		next, behind string // values
		change       func(*story)
		want         string
		unverified   int64
	}{
		{"ours", "a b c", "a b", nil, "", 2},
		{"ours, begun again", "a b c", "a b a b c", nil, "", 5},
		{"nothing more on the source", "", "x", nil, "extra ->120", 0},
		{"somebody else's", "a b c", "a x b", nil, "extra ->121", 2},
		{"not in the order of a copy", "a b c", "c a", nil, "extra ->120", 1},
		{"the source has deleted what comes next", "b c", "a x", func(s *story) { s.p.SourceStart = 7 }, "", 2},
		{"the source has compacted it", "b c", "a", func(s *story) { s.p.SourceCompacts = true }, "", 1},
		{"the opposite flow's on the source", "a o b", "a o b", func(s *story) {
			s.p.Next.(*fakeLog).records[1].ProducerID = 99
			s.p.LeftOut = func(_ context.Context, r *kgo.Record) (bool, error) { return r.ProducerID == 99, nil }
		}, "extra ->121", 2},
		{"no way to tell", "", "x", func(s *story) { s.p.Next = nil }, "", 1},
	} {
		s := plain(6)
		s.p.Settled, s.p.Progress = 106, 6
		next := &fakeLog{page: func() int { return 1 }, more: true}
		for i, value := range strings.Fields(c.next) {
			next.records = append(next.records, record(int64(6+i), "k", value))
		}
		s.p.Next = next
		for i, value := range strings.Fields(c.behind) {
			s.target.records = append(s.target.records, record(int64(120+i), "k", value))
		}
		if c.change != nil {
			c.change(s)
		}
		if got := s.compare(t); said(got) != c.want || got.Unverified[NotNotedYet] != c.unverified {
			t.Errorf("%s: %q and %v, want %q and %d", c.why, said(got), got.Unverified, c.want, c.unverified)
		}
	}
}
