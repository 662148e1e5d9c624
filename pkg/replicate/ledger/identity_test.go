package ledger

import (
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"replicator/pkg/replicate/kafka"
)

// TestFirstIdentityHolds: of two notes that know nothing of each other the first holds, and a change
// that knows the note takes its place.
func TestFirstIdentityHolds(t *testing.T) {
	ctx, fake, _ := topicOf(t)
	cluster := kafka.Config{Name: "new", Properties: fake.Properties()}
	read := func(want string) *Identity {
		t.Helper()
		kept, err := ReadIdentity(ctx, cluster, "ledger")
		if err != nil {
			t.Fatal(err)
		}
		reader, err := OpenReader(cluster, "ledger")
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close() // only read
		shard, err := reader.Shard(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		assembled, err := shard.Identity()
		if err != nil {
			t.Fatal(err)
		}
		got, again := "", ""
		if kept != nil && assembled != nil {
			got, again = kept.SourceCluster, assembled.SourceCluster
		}
		if got != want || again != want {
			t.Fatalf("the ledger is of source %q, and of %q when it is read whole; want %q", got, again, want)
		}
		return kept
	}
	note := func(i Identity) {
		t.Helper()
		err := WriteNotes(ctx, cluster, "ledger", 0, []Record{NoteRecord(IdentityName, EncodeIdentity(i))})
		if err != nil {
			t.Fatal(err)
		}
	}
	read("")
	first := Identity{Revision: 1, From: "old", To: "new", SourceCluster: "A", Since: time.UnixMilli(5).UTC()}
	note(first)
	note(Identity{Revision: 1, From: "old", To: "new", SourceCluster: "B"})
	kept := read("A")
	note(kept.Successor(Identity{From: "aws", To: "new", SourceCluster: "C"}, []Changed{{What: "source"}}))
	kept = read("C")
	if kept.Revision != 2 || !kept.Since.Equal(first.Since) || len(kept.Changes) != 1 || kept.Formerly[0] != "old->new" {
		t.Errorf("the successor is %+v", kept)
	}
	if nothing, err := ReadIdentity(ctx, cluster, "nothing"); nothing != nil || err != nil {
		t.Errorf("a topic that is not there says %+v, %v", nothing, err)
	}
	var later *VersionError
	if _, err := decodeIdentity([]byte(`{"version":2}`)); !errors.As(err, &later) {
		t.Errorf("a note of a later release gives %v", err)
	}
}

// TestIdentityFormat: the example of docs/FORMATS.md is what is written.
func TestIdentityFormat(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/FORMATS.md")
	if err != nil {
		t.Fatal(err)
	}
	text := EncodeIdentity(Identity{Revision: 1, From: "old", To: "new", SourceCluster: "S", TargetCluster: "T",
		Naming: "prefix", Separator: ".", Shards: 8, Program: "v1", Since: time.Unix(1767225600, 0).UTC()})
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	if !strings.Contains(squeeze(string(doc)), squeeze(string(text))) {
		t.Errorf("docs/FORMATS.md does not have %s", text)
	}
	if key := hex.EncodeToString(encodeNoteKey(IdentityName)); !strings.Contains(squeeze(string(doc)), key) {
		t.Errorf("docs/FORMATS.md does not have the key %s", key)
	}
}
