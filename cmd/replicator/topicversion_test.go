package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/versions"
)

const runbook = "../../docs/runbooks/partition-count-by-versions.md"

// The runbook has its headings, is short, and its commands can be typed.
func TestVersionsRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(runbook)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(string(text))); n > 400 {
		t.Errorf("the runbook has %d words", n)
	}
	var headings []string
	for _, m := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllStringSubmatch(string(text), -1) {
		headings = append(headings, m[1])
	}
	if got := strings.Join(headings, ", "); got != "When, Check first, Do, You should see, If not, Undo" {
		t.Errorf("headings: %s", got)
	}
	commands := regexp.MustCompile(`(?m)^replicator .*$`).FindAllString(string(text), -1)
	for _, line := range commands {
		if err := parses(words(line)); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if len(commands) != 4 {
		t.Errorf("%d commands", len(commands))
	}
}

// The command itself: look, move, retire.
func TestTopicVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 3)
	client := w.source.Client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	for i := range 50 {
		r := &kgo.Record{Topic: "orders", Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, i)}
		if err := client.ProduceSync(w.ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	flags := strings.Fields("--cluster old --topic orders --from v0 --to v1 --partitions 5")
	verb := func(more ...string) []string { return append(append([]string{"topic-version"}, flags...), more...) }
	before := w.topics(w.source)
	if out := w.must(verb("--check")...); !strings.Contains(out,
		"orders with 3 partitions would become orders.v1 with 5, by partitioner murmur2_random") {
		t.Errorf("--check says:\n%s", out)
	}
	if after := w.topics(w.source); after != before {
		t.Errorf("--check changed topics:\n%s\nto\n%s", before, after)
	}
	out := w.must(verb("--silent-for", "2001ms")...)
	for _, want := range []string{"orders/v1 is switching", "orders/v1 is current", "publishers stood still for "} {
		if !strings.Contains(out, want) {
			t.Errorf("the move does not say %q:\n%s", want, out)
		}
	}
	if out := w.must(verb("--retire")...); !strings.Contains(out, "deleted orders\n") {
		t.Errorf("--retire says:\n%s", out)
	}
	if got := w.run(verb()...); got.code != exitFailed || !strings.Contains(got.stderr, "\nremedy: ") {
		t.Errorf("moved once more: exit %d\n%s", got.code, got.stderr)
	}
}

func TestTopicVersionUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := "topic-version -c " + w.config + " --topic orders --from v0 --to v1"
	for more, want := range map[string]string{
		"":                                    "--partitions must be at least 1",
		" --partitions 3":                     `cluster "": choose one with --cluster: new, old`,
		" --partitions 3 --cluster elsewhere": `cluster "elsewhere": choose one`,
		" --partitions 3 --from-cluster old":  "both --from-cluster and --to-cluster",
		" --partitions 3 --cluster old --from-cluster old --to-cluster new": "give --cluster, or both",
		" --retire --abandon":             "exclude each other",
		" --retire --check":               "exclude each other",
		" --partitions 3 --groups some":   "wait, refuse or leave",
		" --partitions 3 --silent-for 2s": "must be more than 2s",
	} {
		got := command(w.ctx, strings.Fields(base+more)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: exit %d, want %q\n%s", more, got.code, want, got.stderr)
		}
	}
}

// A configuration with one cluster and no flow is enough; for a flow it is not.
func TestTopicVersionNeedsOneCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 3)
	alone := filepath.Join(t.TempDir(), "one.yaml")
	text := fmt.Sprintf("clusters:\n  only: {bootstrap.servers: %q}\n", w.source.Address())
	if err := os.WriteFile(alone, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w.config = alone
	done := w.run("topic-version", "--topic", "orders", "--from", "v0", "--to", "v1", "--partitions", "5",
		"--no-copy", "--silent-for", "2100ms")
	if done.code != 0 || !strings.Contains(done.stdout, "they do not stand still") {
		t.Errorf("got %+v", done)
	}
	if got := w.run("status"); got.code == 0 || !strings.Contains(got.stderr, "flows: missing") {
		t.Errorf("status without a flow: got %+v", got)
	}
}

// A topic that was moved to another version goes on being followed after the cluster
// was moved: what is announced there names that cluster's offsets.
func TestVersionsAreFollowedAfterACutover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.source.Topic("orders", 2)
	for p := range int32(2) { // markers and aborted records make the offsets of both clusters differ
		w.transactions(w.source, "orders", p, 3, 4)
		end, err := w.source.Admin().ListEndOffsets(w.ctx, "orders")
		if err != nil {
			t.Fatal(err)
		}
		w.source.Commit("billing", "orders", p, end["orders"][p].Offset)
	}
	w.must(strings.Fields("topic-version --cluster old --topic orders --from v0 --to v1 --partitions 1 " +
		"--silent-for 2001ms --partitioner consistent_random --force")...)
	w.source.Fill("orders.v1", 0, 5)
	w.must("run", "--until-caught-up")
	says(t, "the plan", w.must("cutover", "--dry-run", "--silent-for", "100ms"), "versions  open",
		"_meta_versions does not say yet where these begin on new: orders/v1")
	says(t, "the cutover", w.must("cutover", "--yes", "--silent-for", "100ms"), "may start on new")
	says(t, "verify", w.must("verify"), "equal")
	view, err := versions.Load(w.ctx, w.target.Client(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	at := view.Current().Offsets
	if there := at["target-id"]; len(at) != 2 || len(there.Drained) != 2 || len(there.Begins) != 1 ||
		there.Begins[0] == at["source-id"].Begins[0] {
		t.Errorf("announced on the target: %+v", at)
	}
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	follower := versions.NewFollower(w.target.Client(), "orders")
	followed := make(chan error, 1)
	go func() { followed <- follower.Run(ctx) }()
	var chosen []string
	_ = follower.Read(ctx, "billing", func(ctx context.Context, v versions.Version) error {
		if chosen = append(chosen, v.Physical); v.Version == "v0" {
			<-ctx.Done() // until the group is done with it
		}
		return nil
	})
	stop()
	if err := <-followed; err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(chosen); got != "[orders.v1]" {
		t.Errorf("the group reads %s on the target, want orders.v1 alone: it had read all of orders on the source", got)
	}
}
