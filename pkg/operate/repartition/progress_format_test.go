package repartition

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// The progress that docs/FORMATS.md shows is what is written.
func TestProgressFormat(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	c := copier{target: topic{partitions: 2}}
	for hexed, id := range map[string]*[16]byte{
		"00112233445566778899aabbccddeeff": &c.source.id, "f0e1d2c3b4a5968778695a4b3c2d1e0f": &c.target.id,
	} {
		if _, err := hex.Decode(id[:], []byte(hexed)); err != nil {
			t.Fatal(err)
		}
	}
	notes := c.notes([]copiedTo{{42, 3}, {5, 0}, {7, 0}})
	if len(notes) != 2 || !strings.Contains(string(doc), "\n    "+notes[0]+"\n") {
		t.Errorf("docs/FORMATS.md does not have the example of progress: %q", notes)
	}
	// Worst case: the most source partitions for one of the new version, all numbers long.
	c.target.partitions = 1
	next := make([]copiedTo, mostShared)
	for p := range next {
		next[p] = copiedTo{next: 1 << 60, nulls: 1 << 60}
	}
	if n := len(c.notes(next)[0]); n > 4096 {
		t.Errorf("progress takes %d bytes; a broker takes 4096", n)
	}
}
