package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// mm2File has what usually stands in such a file: patterns with exclusions, a group filter, a naming policy; and keys
// that have no effect.
const mm2File = `clusters = old, new
old.bootstrap.servers = %s
new.bootstrap.servers = %s
old->new.enabled = true
old->new.topics = import-orders\\..*, import-pay[a-z]+
old->new.topics.exclude = .*\\.tmp, .*-x
old->new.groups = import-billing.*, import-audit
old->new.groups.exclude = .*-test
old->new.sync.group.offsets.enabled = true
old->new.sync.group.offsets.interval.seconds = 1
old->new.emit.checkpoints.interval.seconds = 1
replication.policy.class = org.apache.kafka.connect.mirror.%s
consumer.auto.offset.reset = latest
refresh.topics.interval.seconds = 1
refresh.groups.interval.seconds = 1
replication.factor = 1
offset-syncs.topic.replication.factor = 1
checkpoints.topic.replication.factor = 1
heartbeats.topic.replication.factor = 1
config.storage.replication.factor = 1
offset.storage.replication.factor = 1
status.storage.replication.factor = 1
plugin.discovery = service_load
`

// What is imported from a MirrorMaker 2 file copies the topics and groups that a real MirrorMaker 2 copies by it, under
// the same names, with all of their records.
func TestImport(t *testing.T) {
	for _, policy := range []string{"IdentityReplicationPolicy", "DefaultReplicationPolicy"} {
		t.Run(policy, func(t *testing.T) {
			source, target := cluster.Pair(t)
			ctx := deadline(t, 5*time.Minute)
			file := filepath.Join(t.TempDir(), "mm2.properties")
			must(t, os.WriteFile(file, fmt.Appendf(nil, mm2File, source.Bootstrap(), target.Bootstrap(), policy), 0o600))
			prefix := ""
			if policy == "DefaultReplicationPolicy" {
				prefix = "old."
			}
			want := importWorld(ctx, t, source, prefix)
			mirrorMaker(ctx, t, file, target, want)
			topics, groups := copies(ctx, t, target)
			for _, topic := range topics {
				deleteTopic(ctx, t, target.Bootstrap(), topic)
			}
			deleteGroups(ctx, t, target, groups)

			imported(t, source, target, file)
			gotTopics, gotGroups := copies(ctx, t, target)
			if !slices.Equal(gotTopics, topics) || !slices.Equal(gotGroups, groups) || len(groups) != 2 {
				t.Errorf("MirrorMaker copies topics %v and groups %v, we copy %v and %v", topics, groups, gotTopics, gotGroups)
			}
			for topic, records := range want {
				if n, err := stableOffsets(ctx, target.Bootstrap(), topic); err != nil || n < records {
					t.Errorf("%s ends at %d, want %d records: %v", topic, n, records, err)
				}
			}
		})
	}
}

// importWorld fills the source, and answers what is to be copied, by its name on the
// target, with the number of records. MirrorMaker does not survive a record with a
// timestamp before 1970, which is why there are none.
func importWorld(ctx context.Context, t *testing.T, source *cluster.Cluster, prefix string) map[string]int64 {
	t.Helper()
	topics := []string{"import-orders.eu", "import-orders.us", "import-payments", "import-orders.tmp", "import-orders.-x",
		"import-pay2", "import-stock", "orders.import-orders.eu"}
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topics...))
	for i, topic := range topics {
		must(t, workload.Bulk(ctx, source.Bootstrap(), topic, workload.BulkSpec{Seed: uint64(i), Records: 100, Size: 50}))
	}
	var positions []workload.Position
	for _, group := range []string{"import-billing-eu", "import-audit", "import-audit-2", "import-billing-test", "shop"} {
		positions = append(positions, workload.Position{Group: group, Topic: topics[0], At: 20})
	}
	must(t, workload.Commit(ctx, source.Bootstrap(), positions))
	want := map[string]int64{}
	for _, topic := range topics[:3] {
		n, err := stableOffsets(ctx, source.Bootstrap(), topic)
		must(t, err)
		want[prefix+topic] = n
	}
	return want
}

// mirrorMaker runs MirrorMaker 2 until it has copied what is wanted, and has committed both groups.
func mirrorMaker(ctx context.Context, t *testing.T, file string, target *cluster.Cluster, want map[string]int64) {
	t.Helper()
	var out syncBuffer
	cmd := exec.CommandContext(ctx, "java", "-Xmx512m", "-XX:+UseSerialGC",
		"-cp", filepath.Join(cluster.Jars(t, cluster.DefaultVersion), "*"),
		"org.apache.kafka.connect.mirror.MirrorMaker", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("MirrorMaker said:\n%s", out.String())
		}
	}()
	what := "MirrorMaker has copied " + strings.Join(slices.Sorted(maps.Keys(want)), ", ")
	eventually(t, 3*time.Minute, what, func() bool {
		for topic, records := range want {
			if n, err := stableOffsets(ctx, target.Bootstrap(), topic); err != nil || n < records {
				return false
			}
		}
		_, groups := copies(ctx, t, target)
		return len(groups) >= 2
	})
}

// copies are the topics and the groups with positions on the target that are called as in this test, sorted.
func copies(ctx context.Context, t *testing.T, target *cluster.Cluster) (topics, groups []string) {
	t.Helper()
	_, err := ask(target.Bootstrap(), func(admin *kadm.Client) (kadm.TopicDetails, error) {
		all, err := admin.ListTopics(ctx)
		for _, name := range all.Names() {
			if strings.Contains(name, "import-") {
				topics = append(topics, name)
			}
		}
		return all, err
	})
	must(t, err)
	_, err = ask(target.Bootstrap(), func(admin *kadm.Client) (kadm.ListedGroups, error) {
		all, err := admin.ListGroups(ctx)
		for _, name := range all.Groups() {
			if strings.HasPrefix(name, "import-") || name == "shop" {
				groups = append(groups, name)
			}
		}
		return all, err
	})
	must(t, err)
	slices.Sort(topics)
	slices.Sort(groups)
	return topics, groups
}

func deleteGroups(ctx context.Context, t *testing.T, target *cluster.Cluster, groups []string) {
	t.Helper()
	_, err := ask(target.Bootstrap(), func(admin *kadm.Client) (kadm.DeleteGroupResponses, error) {
		deleted, err := admin.DeleteGroups(ctx, groups...)
		if err == nil {
			err = deleted.Error()
		}
		return deleted, err
	})
	must(t, err)
}

// imported runs what import makes of the file until it has caught up.
func imported(t *testing.T, source, target *cluster.Cluster, file string) {
	t.Helper()
	binary, err := program()
	must(t, err)
	s := &site{t: t, source: source, target: target, binary: binary, path: filepath.Join(t.TempDir(), "imported.yaml")}
	report, err := exec.Command(binary, "import", file, "-o", s.path).CombinedOutput()
	if err != nil || !holds(string(report), "consumer.auto.offset.reset", "MirrorMaker drops it in silence") {
		t.Fatalf("import: %v\n%s", err, report)
	}
	s.copyOnce()
}
