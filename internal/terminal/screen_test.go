package terminal

import (
	"bytes"
	"testing"
	"time"

	"replicator/pkg/replicate/chunk"
)

func TestPace(t *testing.T) {
	begin := time.Date(2026, 1, 31, 6, 0, 0, 0, time.UTC)
	p := pace{}
	for _, c := range []struct {
		second float64
		got    chunk.Progress
		step   int64
		text   string
	}{
		{0, chunk.Progress{}, 0, "0 records  comparing the clusters"},
		{1, chunk.Progress{Goal: 1000}, 0, "0 records  0.0 MB/s"},
		{2, chunk.Progress{Records: 100, Bytes: 4e6, Done: 200, Goal: 1000}, 2000, "100 records  2.0 MB/s  8s left"},
		// A shard that starts over shows less for a while: the bar stands still.
		{3, chunk.Progress{Records: 100, Bytes: 4e6, Done: 50, Goal: 1000}, 2000, "100 records  1.3 MB/s  57s left"},
		// What is older than 5 s does not count any more: 6 MB and 750 offsets since second 3.
		{8, chunk.Progress{Records: 700, Bytes: 10e6, Done: 800, Goal: 1000}, 8000, "700 records  1.2 MB/s  2s left"},
		// Full only at the end.
		{9, chunk.Progress{Records: 900, Bytes: 12e6, Done: 1000, Goal: 1000}, 9999,
			"900 records  2.0 MB/s  settling groups"},
	} {
		step, text := p.at(begin.Add(time.Duration(c.second*float64(time.Second))), c.got)
		if step != c.step || text != c.text {
			t.Errorf("second %v: %d %q, want %d %q", c.second, step, text, c.step, c.text)
		}
	}
}

func TestNoBarWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out, true)
	f := s.Follow(func() chunk.Progress { return chunk.Progress{Done: 1, Goal: 2} })
	f.End()
	if _, err := s.Write([]byte("a log line\n")); err != nil || out.String() != "a log line\n" {
		t.Errorf("wrote %q, %v, want the log line alone", out.String(), err)
	}
}
