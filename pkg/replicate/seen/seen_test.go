package seen

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/ledger"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// bookWith is a ledger partition with one note.
func bookWith(text []byte) *ledger.Shard {
	book, p := ledger.NewShard(), &ledger.Prepared{}
	book.PrepareNote(p, NoteName, text)
	p.Apply(make([]int64, len(p.Records)))
	return book
}

// What was noted is read again, and what was not is not made up.
func TestNoteIsReadAgain(t *testing.T) {
	orders := func(n int32) chunk.Partition { return chunk.Partition{Topic: "orders", Number: n} }
	behind := End{High: 30, Stable: 20, Seen: noon, Since: noon.Add(-time.Minute)}
	earlier := End{High: 5, Stable: 5, Seen: noon.Add(-time.Hour)}
	made := Make(noon, map[chunk.Partition]End{orders(0): behind, orders(2): earlier, {Topic: "users"}: {}})
	n, err := Of(bookWith(made.Text()))
	if err != nil || !n.SameBut(&made) || !n.Seen.Equal(noon) {
		t.Fatalf("%s is read as %+v, %v", made.Text(), n, err)
	}
	for p, want := range map[chunk.Partition]End{
		orders(0):        behind,
		orders(1):        {High: 7, Stable: 7, Seen: noon, Since: noon}, // its progress is 7
		orders(2):        earlier,
		{Topic: "users"}: {},
	} {
		if got := n.End(p, 7); got != want {
			t.Errorf("%s ended at %+v, want %+v", p, got, want)
		}
	}
	if got := (&Note{}).End(orders(0), 7); got.Known() {
		t.Errorf("where nothing was noted %s ended at %+v", orders(0), got)
	}
	if beyond, held := behind.Beyond(7), behind.Held(); beyond != 13 || held != 10 {
		t.Errorf("%d beyond progress and %d held, want 13 and 10", beyond, held)
	}
	if _, err := Of(bookWith([]byte(`{"version":2}`))); err == nil {
		t.Error("a later version is read")
	}
	page, err := os.ReadFile("../../../docs/FORMATS.md")
	if err != nil || !strings.Contains(strings.Join(strings.Fields(string(page)), ""), string(made.Text())) {
		t.Errorf("docs/FORMATS.md does not have the example %s (%v)", made.Text(), err)
	}
}

// A note has bounds; of what has no room in it nothing is known.
func TestNoteIsBounded(t *testing.T) {
	ends := map[chunk.Partition]End{}
	for topic := range 100 {
		for n := range int32(100) {
			p := chunk.Partition{Topic: fmt.Sprintf("%s%02d", strings.Repeat("long", 50), topic), Number: n}
			ends[p] = End{High: 1 << 60, Stable: 1 << 60, Seen: noon.Add(-time.Hour), Since: noon.Add(-time.Hour)}
		}
	}
	n := Make(noon, ends)
	listed := 0
	for _, topic := range n.Topics {
		listed += len(topic.Partitions)
	}
	if size := len(n.Text()); size > most || listed == 0 || listed+n.Omitted != len(ends) {
		t.Errorf("%d bytes, %d listed, %d omitted of %d", size, listed, n.Omitted, len(ends))
	}
	if got := n.End(chunk.Partition{Topic: "zzz"}, 7); got.Known() {
		t.Errorf("what may have been omitted ended at %+v", got)
	}
}

// What a former owner noted holds while the partition has not fallen back behind it.
func TestWatchRemembers(t *testing.T) {
	var w Watch
	p := chunk.Partition{Topic: "orders"}
	w.Remember(p, 10, noon)
	for next, want := range map[offsets.Source]time.Time{9: {}, 10: noon, 11: noon} {
		if got := w.Since(p, next); !got.Equal(want) {
			t.Errorf("at %d: %v, want %v", next, got, want)
		}
	}
}
