//go:build integration

package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
	"replicator/pkg/replicate/kafka"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// TestClaimsOutliveAFreeze: a cluster that did not answer for a while is asked again.
func TestClaimsOutliveAFreeze(t *testing.T) {
	c := cluster.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(failureLasts)
	defer tick.Stop()
	for _, topic := range []string{"nothing", "ledger"} {
		if topic == "ledger" {
			if err := workload.Topics(ctx, c.Bootstrap(), 8, nil, topic); err != nil {
				t.Fatal(err)
			}
		}
		claims, err := OpenClaims(kafka.Config{Name: "new",
			Properties: map[string]string{"bootstrap.servers": c.Bootstrap()}}, topic)
		if err != nil {
			t.Fatal(err)
		}
		defer claims.Close() // only read
		if _, err := claims.Claimed(ctx, 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		c.Pause()
		for id := range int64(3) {
			if _, err := claims.Claimed(ctx, 2+id, time.Now()); err == nil {
				t.Fatal("a frozen cluster answers")
			}
			<-tick.C
		}
		c.Resume()
		for id, err := int64(5), error(nil); ; id++ {
			if _, err = claims.Claimed(ctx, id, time.Now()); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatal(err)
			case <-tick.C:
			}
		}
	}
}

// TestReaderOutlivesAFreeze: a cluster that does not answer is an error in time, and the same
// reader goes on when it is back.
func TestReaderOutlivesAFreeze(t *testing.T) {
	c := cluster.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	target := kafka.Config{Name: "new", Properties: map[string]string{"bootstrap.servers": c.Bootstrap()}}
	if err := workload.Topics(ctx, c.Bootstrap(), 2, nil, "ledger"); err != nil {
		t.Fatal(err)
	}
	if err := WriteNotes(ctx, target, "ledger", 1, []Record{NoteRecord("note", []byte("text"))}); err != nil {
		t.Fatal(err)
	}
	reader, err := OpenReader(target, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() // only read
	read := func() string {
		t.Helper()
		shards, err := reader.Shards(ctx, []int64{0, 1})
		if err != nil {
			t.Fatal(err)
		}
		return string(shards[1].Note("note"))
	}
	if got := read(); got != "text" {
		t.Fatalf("the note is %q", got)
	}
	c.Pause()
	begun := time.Now()
	_, err = reader.Shard(ctx, 1, 1)
	var problem *kafka.Problem
	if lasted := time.Since(begun); !errors.As(target.Explain(err), &problem) || lasted > 45*time.Second ||
		!strings.Contains(problem.What, "cannot be reached") {
		t.Errorf("a frozen cluster is told after %s as %v", lasted, target.Explain(err))
	}
	c.Resume()
	if got := read(); got != "text" {
		t.Errorf("after the freeze the note is %q", got)
	}
}
