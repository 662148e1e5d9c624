package integration

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"replicator/integration/workload"
)

// What was never copied is exported, and imported by a run that is killed and one that goes on: then the judge finds
// both sides equal.
func TestOrphansRoundTrip(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 4*time.Minute)
	mixed, plain := unique(t)+"-mixed", unique(t)+"-plain"
	topics := []string{mixed, plain}
	must(t, workload.Topics(ctx, source.Bootstrap(), 4, workload.KeepConfigs(), topics...))
	_, err := workload.Mixed(ctx, source.Bootstrap(), mixed, workload.MixedSpec{Seed: 21, Records: 3000, Partitions: 4})
	must(t, err)
	s := newSite(t, source, target, patterns(t, topics)...)
	s.copyOnce()
	w, err := workload.Mixed(ctx, source.Bootstrap(), mixed, workload.MixedSpec{Seed: 22, Records: 30_000, Partitions: 4,
		From: 3000})
	must(t, err)
	p, err := workload.Plain(ctx, source.Bootstrap(), plain, workload.PlainSpec{Seed: 23, Records: 5000, Partitions: 4,
		Large: 40})
	must(t, err)

	file := filepath.Join(t.TempDir(), "orphans.jsonl")
	var answer struct{ Records int64 }
	s.answer(&answer, "orphans", "--json", "--export", file)
	if want := int64(w.Visible + p.Visible); answer.Records != want {
		t.Fatalf("exported %d records, want %d", answer.Records, want)
	}
	killed := exec.Command(s.binary, "import-records", "-c", s.path, "--to", "new", file)
	must(t, killed.Start())
	admin := adminOf(t, target)
	eventually(t, time.Minute, "something is imported", func() bool {
		ends, err := admin.ListCommittedOffsets(ctx, plain)
		moved := int64(0)
		for _, end := range ends[plain] {
			moved += end.Offset
		}
		return err == nil && moved > 0
	})
	must(t, killed.Process.Kill())
	_ = killed.Wait()
	var im struct {
		Before int64 `json:"written_before"`
	}
	for _, run := range []string{"that goes on", "that finds all written"} {
		s.answer(&im, "import-records", "--to", "new", "--json", file)
		t.Logf("the run %s found %d written before, of %d", run, im.Before, answer.Records)
		judged(ctx, t, s.sides(), topics, nil)
	}
	if im.Before != answer.Records {
		t.Errorf("the last run found %d written, want all %d", im.Before, answer.Records)
	}
}

// answer runs a verb that must succeed, and reads the JSON that it prints.
func (s *site) answer(into any, args ...string) {
	s.t.Helper()
	out, err := exec.Command(s.binary, append(args, "-c", s.path)...).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		s.t.Fatalf("replicator %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
