package targettopics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/topics"
)

// Restore puts back what a flow has set on the target's topics that it selects, as its
// ledger keeps it, and answers what became of each setting. Without really it only says what it would do.
// While replicas of the flow run it is refused, but for topics that were cut over: they would
// set it again. Errors have a remedy.
func Restore(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config, really bool,
	log *slog.Logger) ([]topics.Back, error) {
	viewer, err := snapshot.Open(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	defer viewer.Close()
	if err := viewer.CheckIdentity(ctx); err != nil {
		return nil, err
	}
	r := Restorer{Clusters: clusters, Flow: flow, Log: log}
	record, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	n := 0
	if really {
		if n, err = viewer.CountReplicas(ctx); err != nil {
			return nil, err
		}
	}
	again := fmt.Sprintf("%d replicas of flow %s are running, which would set it again", n, flow.Name())
	if n > 0 && record.State != handover.Done {
		return nil, &kafka.Problem{What: again, Fix: stopOrCutOver}
	}
	return r.Run(ctx, really, func(topic string) (why, fix string) {
		if n > 0 && !r.over[topic] {
			return again, stopOrCutOver
		}
		return "", ""
	})
}

const stopOrCutOver = "stop them, if the flow has done its work; or let 'replicator cutover' put it back"

// KeptTopics are the topics, by their names on the source, of which the ledger keeps what the flow has set.
func KeptTopics(ctx context.Context, viewer *snapshot.Viewer) ([]string, error) {
	books, err := ledger.ReadFirst(ctx, viewer.TargetCluster, viewer.Flow.LedgerTopic(), viewer.Flow.Shards, 1)
	if err != nil || len(books) == 0 {
		return nil, err
	}
	kept, err := provenance.KeptOf(books[0])
	return slices.Collect(maps.Keys(kept)), err
}

// Restorer puts back what one flow has set.
type Restorer struct {
	Clusters map[string]kafka.Config
	Flow     settings.Config
	Log      *slog.Logger

	there bool // there is a ledger
	kept  map[string]topics.Kept
	over  map[string]bool // topics that were cut over, by their names on the source
}

// leave says why the settings of a topic, by its name on the source, are not to be put back now, and what does it.
type leave func(topic string) (why, fix string)

// read takes up what the ledger keeps. It has been read up to its end, as whoever looks
// later will: a replica knows of a cutover that was noted before.
func (r *Restorer) read(ctx context.Context) (record handover.Record, err error) {
	books, err := ledger.ReadFirst(ctx, r.Clusters[r.Flow.To], r.Flow.LedgerTopic(), r.Flow.Shards, 1)
	if err != nil || len(books) == 0 {
		return record, err
	}
	r.there = true
	if r.kept, err = provenance.KeptOf(books[0]); err != nil {
		return record, err
	}
	if record, err = handover.RecordOf(books[0]); err == nil {
		r.over, err = handover.CutOver(books[0], &record)
	}
	return record, err
}

// Run puts back what is to be put back on the topics that the flow selects, or says what it would do; leaves is asked
// about each, if there is something. Of what was put back nothing is kept any more: the ledger loses it after the
// topic has.
func (r *Restorer) Run(ctx context.Context, really bool, leaves leave) ([]topics.Back, error) {
	record, err := r.read(ctx)
	if err != nil || !r.there {
		return nil, err
	}
	if really && record.State == handover.Done {
		note := ledger.NoteRecord(handover.RestoredName, handover.Encode(handover.Restored{Cutover: record.ID}))
		if err := r.write(ctx, note); err != nil {
			return nil, err
		}
		if _, err := r.read(ctx); err != nil { // whoever looks from now on finds the note
			return nil, err
		}
	}
	admin, err := topics.Open(clients.TopicsConfig(&r.Flow, r.Clusters[r.Flow.From], r.Clusters[r.Flow.To], nil, r.Log))
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	list, err := admin.PlanBack(ctx, provenance.SortedKept(r.kept))
	if err == nil {
		err = r.leaveSome(list, leaves)
	}
	if err != nil || !really {
		return list, err
	}
	if err := admin.PutBack(ctx, list); err != nil {
		return list, err
	}
	changed := map[string]bool{}
	for _, b := range list {
		if b.Stays == "" {
			delete(r.kept[b.Topic].Settings, b.Key)
			changed[b.Topic] = true
		}
	}
	var notes []ledger.Record
	for _, k := range provenance.SortedKept(r.kept) {
		if changed[k.Topic] {
			notes = append(notes, provenance.NoteOf(k))
		}
	}
	if len(notes) == 0 {
		return list, nil
	}
	return list, r.write(ctx, notes...)
}

// leaveSome marks what is not to be put back now.
func (r *Restorer) leaveSome(list []topics.Back, leaves leave) error {
	chosen, err := policy.New(r.Flow.Config)
	if err != nil {
		return err
	}
	for i := range list {
		b := &list[i]
		if b.Gone {
			continue
		}
		why, fix := "this configuration does not select the topic", "give the command with one that does"
		if _, verdict := chosen.Topic(b.Topic); verdict.Selected {
			why, fix = "", ""
			if leaves != nil {
				why, fix = leaves(b.Topic)
			}
		}
		if why != "" {
			b.Left, b.Stays, b.Fix, b.Err = true, why, fix, nil
		}
	}
	return nil
}

func (r *Restorer) write(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, r.Clusters[r.Flow.To], r.Flow.LedgerTopic(), 0, notes)
}

// Refusals are the settings that the target has not taken or not told.
func Refusals(list []topics.Back) []error {
	var all []error
	for i := range list {
		if list[i].Err != nil {
			all = append(all, notPutBack{&list[i]})
		}
	}
	return all
}

// notPutBack is a setting that could not be put back.
type notPutBack struct{ *topics.Back }

func (n notPutBack) Error() string {
	return fmt.Sprintf("%s of topic %s: %s: %v", n.Key, n.Target, n.Stays, n.Err)
}

// Remedy tells what to do.
func (n notPutBack) Remedy() string { return n.Fix }
