package integration

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/cluster"
	"replicator/integration/judge"
	"replicator/integration/workload"
)

// TestSourceIsPutBack: the data folder of the source's broker is replaced by an earlier
// copy, and the log grows beyond what had been copied. Nothing is copied as if nothing
// had happened, in either lane, whether the flow runs meanwhile or not, until an
// operator decides; then all that the source holds is on the target.
func TestSourceIsPutBack(t *testing.T) {
	source := cluster.Start(t, append([]cluster.Option{cluster.Named("putback"), cluster.OnDisk()}, brokerConfig()...)...)
	target := cluster.Shared(t, "target", brokerConfig()...)
	ctx := deadline(t, 5*time.Minute)
	id := unique(t)
	lanes := []string{"batch", "record"}
	sites := map[string]*site{}
	write := func(lane string, n int) {
		t.Helper()
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Value: []byte(time.Now().String())}
		}
		must(t, workload.Produce(ctx, source.Bootstrap(), id+"-"+lane, records...))
	}
	for _, lane := range lanes {
		must(t, workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), id+"-"+lane))
		write(lane, 60)
		sites[lane] = newSite(t, source, target, patterns(t, []string{id + "-" + lane}, "lane: "+lane)...)
		sites[lane].edit("__replicator."+id, "__replicator."+id+"-"+lane)
		sites[lane].edit("  old: {", "  old-"+lane+": {") // two flows to one cluster have sources of other names
		sites[lane].edit("from: old\n", "from: old-"+lane+"\n")
		sites[lane].edit("to: new\n", "to: new\n    shards: 1\n")
	}
	source.Stop()
	saved := t.TempDir()
	must(t, os.CopyFS(saved, os.DirFS(source.Data())))
	source.Start()
	for _, lane := range lanes {
		write(lane, 40)
	}
	sites["batch"].copyOnce()
	running := sites["record"].run()
	judged(ctx, t, sites["record"].sides(), []string{id + "-record"}, nil)
	source.Stop()
	must(t, os.RemoveAll(source.Data()))
	must(t, os.CopyFS(source.Data(), os.DirFS(saved)))
	source.Start()
	out, code := sites["batch"].command("run", "--until-caught-up")
	if code != 1 || !holds(out, "was cut at offset 60") {
		t.Fatalf("run after the source was put back: exit %d\n%s", code, out)
	}
	running.says(time.Minute, "partition stopped", "was cut at offset 60")
	for _, lane := range lanes {
		write(lane, 80)
		if out, code := sites[lane].command("status"); !holds(out, "was cut at offset 60") {
			t.Errorf("%s: status: exit %d\n%s", lane, code, out)
		}
	}
	out, code = sites["batch"].command("run", "--until-caught-up")
	if code != 1 || !holds(out, "was cut at offset 60") {
		t.Fatalf("run after the log has grown: exit %d\n%s", code, out)
	}
	for _, lane := range lanes {
		topic := id + "-" + lane
		end, err := stableOffsets(ctx, target.Bootstrap(), topic)
		must(t, err)
		if out, code := sites[lane].command("resume", topic, "--from-cut", "--yes"); code != 0 {
			t.Fatalf("%s: resume: exit %d\n%s", lane, code, out)
		}
		if lane == "batch" {
			sites[lane].copyOnce()
		}
		judged(ctx, t, sites[lane].sides(), []string{topic}, nil,
			judge.SourceFrom(map[string]map[int32]int64{topic: {0: 60}}),
			judge.TargetFrom(map[string]map[int32]int64{topic: {0: end}}))
	}
	running.stop()
	putBackUnseen(ctx, t, source, sites, saved, write)
	putBackTarget(ctx, t, target, source, id+"-back")
}

// putBackTarget puts the log of one partition of the target back, while the ledger stays: what the target lost is
// copied again when that is ordered, and nothing is lost or doubled.
func putBackTarget(ctx context.Context, t *testing.T, source, target *cluster.Cluster, topic string) {
	t.Helper()
	write := func(n int) {
		t.Helper()
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Value: []byte(time.Now().String())}
		}
		must(t, workload.Produce(ctx, source.Bootstrap(), topic, records...))
	}
	must(t, workload.Topics(ctx, source.Bootstrap(), 1, workload.KeepConfigs(), topic))
	s := newSite(t, source, target, patterns(t, []string{topic})...)
	write(60)
	s.copyOnce()
	log := func() string {
		t.Helper()
		found, err := filepath.Glob(filepath.Join(target.Data(), "*", topic+"-0"))
		more, errMore := filepath.Glob(filepath.Join(target.Data(), topic+"-0"))
		must(t, errors.Join(err, errMore))
		if found = append(found, more...); len(found) != 1 {
			t.Fatalf("the log of %s is in %v", topic, found)
		}
		return found[0]
	}
	target.Stop()
	saved := t.TempDir()
	must(t, os.CopyFS(saved, os.DirFS(log())))
	target.Start()
	write(40)
	s.copyOnce()
	target.Stop()
	at := log()
	must(t, errors.Join(os.RemoveAll(at), os.CopyFS(at, os.DirFS(saved))))
	target.Start()
	write(200)
	out, code := s.command("run", "--until-caught-up")
	if code != 1 || !holds(out, "does not hold any more what stood from 60 on") {
		t.Fatalf("run after the target was put back: exit %d\n%s", code, out)
	}
	if out, code := s.command("resume", topic, "--from-cut", "--yes"); code != 0 {
		t.Fatalf("resume: exit %d\n%s", code, out)
	}
	s.copyOnce()
	judged(ctx, t, s.sides(), []string{topic}, nil)
}

// putBackUnseen puts the copy back once more while nothing looks: the log grows beyond what had been copied, under
// the leader epoch that it had, so that its records alone tell.
func putBackUnseen(ctx context.Context, t *testing.T, source *cluster.Cluster, sites map[string]*site, saved string,
	write func(lane string, n int)) {
	t.Helper()
	source.Stop()
	must(t, os.RemoveAll(source.Data()))
	must(t, os.CopyFS(source.Data(), os.DirFS(saved)))
	source.Start()
	for lane, s := range sites {
		write(lane, 200)
		if out, code := s.command("run", "--until-caught-up"); code != 1 || !holds(out, "was cut at offset 60") {
			t.Errorf("%s: run after the log has grown unseen: exit %d\n%s", lane, code, out)
		}
	}
}
