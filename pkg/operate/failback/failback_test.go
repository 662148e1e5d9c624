package failback_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/failback"
	"replicator/pkg/operate/failover"
	"replicator/pkg/operate/orphans"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// options are a failback of the world's flow.
func options(w *flowtest.World, choice failback.Choice) failback.Options {
	return failback.Options{Clusters: w.Clusters(), Flow: w.Cfg, Orphans: choice,
		Log: slog.New(slog.NewTextHandler(&w.Log, nil))}
}

// open opens a failback that the test closes.
func open(w *flowtest.World, o failback.Options) *failback.Failback {
	w.T.Helper()
	f, err := failback.Open(w.Ctx, o)
	w.Must("open failback", err)
	w.T.Cleanup(f.Close)
	return f
}

// failedOver makes a pair of flows of which the first has failed over: of 17 records on the source 10 were copied, and
// 5 were written on the target since.
func failedOver(w *flowtest.World, before ...func()) *flowtest.Pair {
	w.T.Helper()
	p := w.Pair()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r := p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 10)
	for _, also := range before {
		also()
		w.Stands("billing", "orders", 0, 8)
	}
	r.Stop()
	w.Plain(w.Sides.Source, "orders", 0, 7)
	f, err := failover.Open(w.Ctx, failover.Options{Clusters: w.Clusters(), Flow: w.Cfg, SourceIsDead: true,
		Report: func(string, string) {}})
	w.Must("open failover", err)
	defer f.Close()
	_, err = f.Run(w.Ctx)
	w.Must("fail over", err)
	w.Plain(w.Sides.Target, "orders", 0, 5)
	return p
}

// refused makes sure that an error says so, with what to do.
func refused(t *testing.T, err error, what string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), what) || chunk.Remedy(err) == "" {
		t.Errorf("it ended with %v, want a refusal with %q and a remedy", err, what)
	}
}

// Nothing is opened before it was said what becomes of orphans; appended, both sides hold everything in the end.
func TestOrphansAreAppended(t *testing.T) {
	w := flowtest.New(t)
	p := failedOver(w)
	f := open(w, options(w, ""))
	if got := f.Orphans(); got.Records != 7 {
		t.Errorf("orphans are %+v, want 7", got)
	}
	_, err := f.Run(w.Ctx)
	refused(t, err, "old holds 7 records that were never copied")

	f = open(w, options(w, failback.Append))
	_, err = f.Run(w.Ctx)
	w.Must("fail back", err)
	if got := f.Record(); got.State != handover.FailedBack || got.Orphans != "append" || got.OrphansFound != 7 {
		t.Errorf("the record is %+v", got)
	}
	again := open(w, options(w, ""))
	if _, err := again.Run(w.Ctx); err != nil || again.Orphans() != nil {
		t.Errorf("given again it ends with %v", err)
	}
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 22)
}

// Orphans that are kept in a file, or given up, are not copied, and what comes later is.
func TestOrphansAreGivenUp(t *testing.T) {
	t.Parallel()
	for _, choice := range []failback.Choice{failback.Export, failback.Abandon} {
		t.Run(string(choice), func(t *testing.T) {
			w := flowtest.New(t)
			p := failedOver(w)
			o := options(w, choice)
			if choice == failback.Export {
				o.Where = orphans.Where{File: filepath.Join(t.TempDir(), "orphans.jsonl")}
			}
			kept, err := open(w, o).Run(w.Ctx)
			w.Must("fail back", err)
			if kept.Records != 7 {
				t.Errorf("orphans are %+v, want 7", kept.Report)
			}
			if choice == failback.Export {
				text, err := os.ReadFile(kept.File)
				w.Must("read", err)
				if n := strings.Count(string(text), "plain-"); kept.SHA256 == "" || strings.Count(string(text), "\n") < 7 {
					t.Errorf("the file has %d records: %s", n, text)
				}
			}
			r := p.StartFlows(p.There, p.Back)
			w.Plain(w.Sides.Source, "orders", 0, 3)
			w.Await("what came later is copied, both ways", func() bool {
				return len(w.Holds(w.Sides.Target, "orders")) == 18 && len(w.Holds(w.Sides.Source, "orders")) == 25
			})
			r.Stop()
			if given := w.State("orders", 0).GivenUp(); len(given) != 1 || given[0].To-given[0].From != 7 {
				t.Errorf("the ledger says that %v were given up", given)
			}
			_, err = open(w, options(w, failback.Append)).Run(w.Ctx)
			if err == nil || !strings.Contains(err.Error(), "it was decided then: "+string(choice)) {
				t.Errorf("another word afterwards: %v", err)
			}
		})
	}
}

// The command may be killed between two shards: until it has come to its end no replica works.
func TestGivenAgain(t *testing.T) {
	w := flowtest.New(t)
	p := failedOver(w)
	fault := w.Target.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Count: -1,
		TxnID: w.Cfg.TransactionalID(0), Err: kerr.TransactionalIDAuthorizationFailed})
	_, err := open(w, options(w, failback.Append)).Run(w.Ctx)
	fault.Remove()
	if err == nil {
		t.Fatal("it has come to its end without its last shard")
	}
	if err := w.Ends(w.Once()); !handover.IsClosed(err) {
		t.Errorf("a copy ends with %v, want that the flow is closed", err)
	}
	_, err = open(w, options(w, failback.Abandon)).Run(w.Ctx)
	if err == nil || !strings.Contains(err.Error(), "it was decided: append") {
		t.Errorf("given again with another word: %v", err)
	}
	_, err = open(w, options(w, failback.Append)).Run(w.Ctx)
	w.Must("fail back", err)
	p.StartFlows(p.There, p.Back)
	p.SameOnBoth("orders", 22)
}

// A flow that never failed over is not failed back.
func TestWithoutAFailover(t *testing.T) {
	w := flowtest.New(t)
	_, err := failback.Open(w.Ctx, options(w, ""))
	refused(t, err, "has never run")
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 1)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	_, err = failback.Open(w.Ctx, options(w, ""))
	refused(t, err, "flow old->new has no record of a failover")
}

// A group that had read records which were never copied is named, with how many: where they are appended it reads them
// again.
func TestGroupsThatHadReadOrphans(t *testing.T) {
	w := flowtest.New(t)
	failedOver(w)
	w.Commit("billing", "orders", 0, 14) // of 17, 10 of which were copied
	w.Commit("audit", "orders", 0, 10)
	want := []failback.HadRead{{Group: "billing", Records: 4}}
	if had := open(w, options(w, failback.Append)).HadRead(); !slices.Equal(had, want) {
		t.Errorf("groups that had read orphans: %+v, want %+v", had, want)
	}
}
