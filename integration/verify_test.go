package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
)

// proof is what is asked of a report here; its fields are stable.
type proof struct {
	Flows []struct {
		Verdict    string           `json:"verdict"`
		Compared   int64            `json:"compared"`
		Foreign    int64            `json:"foreign"`
		Extra      int64            `json:"extra"`
		Unverified map[string]int64 `json:"unverified"`
		Partitions []struct {
			SourceDigest string `json:"source_digest"`
			TargetDigest string `json:"target_digest"`
			Differences  []struct {
				Kind   string `json:"kind"`
				Target *int64 `json:"target_offset"`
			} `json:"differences"`
		} `json:"partitions"`
		Groups []struct {
			Positions []struct {
				State string `json:"state"`
			} `json:"positions"`
		} `json:"groups"`
	} `json:"flows"`
}

func (s *site) verify(args ...string) (p proof, out string, code int) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "proof.json")
	out, code = s.command(append([]string{"verify", "--report", path}, args...)...)
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || len(p.Flows) != 1 {
		s.t.Fatalf("verify: exit %d, report %v\n%s", code, err, out)
	}
	return p, out, code
}

// Verify agrees with the judge on transactional, mixed and compacted data, in each lane,
// and finds one record that was planted.
func TestVerify(t *testing.T) {
	for _, p := range promises {
		t.Run(p.String(), func(t *testing.T) {
			source, target := shared(t)
			ctx := deadline(t, 4*time.Minute)
			topics, _ := fill(ctx, t, source.Bootstrap(), unique(t))
			s := newSite(t, source, target, patterns(t, topics, p.lines()...)...)
			s.copyOnce()
			r, err := judge.Compare(ctx, s.sides(), topics)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Equal() {
				t.Fatal(r)
			}
			began := time.Now()
			seen, out, code := s.verify()
			f := seen.Flows[0]
			t.Logf("%s\n%s in %s", r, out, time.Since(began))
			visible := int64(0)
			for _, one := range r.Partitions {
				visible += one.Records
			}
			if code != 0 || f.Verdict != "equal" || f.Compared != visible || len(f.Unverified) != 0 || len(f.Partitions) != 10 {
				t.Errorf("exit %d, %s, %d compared of %d, not checked %v", code, f.Verdict, f.Compared, visible, f.Unverified)
			}
			for _, one := range f.Partitions {
				if one.SourceDigest != one.TargetDigest || one.SourceDigest == "" {
					t.Errorf("digests %q and %q", one.SourceDigest, one.TargetDigest)
				}
			}
			if len(f.Groups) != 40 {
				t.Errorf("%d groups, want 40", len(f.Groups))
			}

			planted := &kgo.Record{Partition: 2, Value: []byte("planted")}
			if err := workload.Produce(ctx, target.Bootstrap(), topics[1], planted); err != nil {
				t.Fatal(err)
			}
			seen, out, code = s.verify("--topics", topics[1])
			f = seen.Flows[0]
			if code != 1 || f.Verdict != "different" || f.Extra != 1 || len(f.Partitions[2].Differences) != 1 ||
				!strings.Contains(out, "extra       "+topics[1]+"/2 target ") {
				t.Errorf("a planted record: exit %d\n%s", code, out)
			}
		})
	}
}
