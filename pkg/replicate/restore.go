package replicate

import (
	"context"
	"fmt"
	"log/slog"

	"replicator/pkg/replicate/cutover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// RestoreTopics puts back what a flow has set on the target's topics, as its ledger keeps
// it, and answers what became of each setting. Without really it only looks. While replicas
// of the flow run it is refused, unless the flow was cut over: they would set it again.
// Errors have a remedy.
func RestoreTopics(ctx context.Context, clusters map[string]kafka.Config, flow Config, really bool,
	log *slog.Logger) ([]topics.Back, error) {
	look, err := Inspect(ctx, clusters, flow, log)
	if err != nil {
		return nil, err
	}
	defer look.Close()
	if err := look.ofFlow(ctx); err != nil {
		return nil, err
	}
	r := restoring{clusters: clusters, flow: flow, log: log}
	record, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	if record.State != cutover.Done && really {
		n, err := look.replicas(ctx)
		if err == nil && n > 0 {
			err = &kafka.Problem{What: fmt.Sprintf("%d replicas of flow %s are running, which would set it again", n,
				flow.Name()), Fix: "stop them, if the flow has done its work; or let 'replicator cutover' put it back"}
		}
		if err != nil {
			return nil, err
		}
	}
	return r.run(ctx, really)
}

// restoredName is the note, in partition 0 of the ledger, of the cutover after which settings
// were put back: while that one counts, no replica sets them again.
const restoredName = "restored"

// restored is what that note holds.
type restored struct {
	Cutover string `json:"cutover"`
}

// restoredAfter says whether a flow's settings were put back after the cutover that counts,
// and after which.
func restoredAfter(book *ledger.Shard) (id string, back bool, err error) {
	record, err := recordOf(book)
	if err != nil {
		return "", false, err
	}
	var r restored
	if err := cutover.Decode(book.Note(restoredName), &r); err != nil {
		return "", false, err
	}
	return record.ID, record.State == cutover.Done && r.Cutover == record.ID, nil
}

// restoring puts back what one flow has set.
type restoring struct {
	clusters map[string]kafka.Config
	flow     Config
	log      *slog.Logger

	there bool // there is a ledger
	kept  map[string]topics.Kept
}

// read takes up what the ledger keeps. It has been read up to its end, as whoever looks
// later will: a replica knows of a cutover that was noted before.
func (r *restoring) read(ctx context.Context) (record cutover.Record, err error) {
	books, err := readFirstBooks(ctx, r.clusters[r.flow.To], r.flow, 1)
	if err != nil || len(books) == 0 {
		return record, err
	}
	r.there = true
	if r.kept, err = keptOf(books[0]); err != nil {
		return record, err
	}
	return recordOf(books[0])
}

// run puts back what is to be put back, or only looks. Of what was put back nothing is kept
// any more: the ledger loses it after the topic has.
func (r *restoring) run(ctx context.Context, really bool) ([]topics.Back, error) {
	record, err := r.read(ctx)
	if err != nil || !r.there {
		return nil, err
	}
	if really && record.State == cutover.Done {
		note := ledger.NoteRecord(restoredName, cutover.Encode(restored{record.ID}))
		if err := r.write(ctx, note); err != nil {
			return nil, err
		}
		if _, err := r.read(ctx); err != nil { // whoever looks from now on finds the note
			return nil, err
		}
	}
	admin, err := topics.Open(r.flow.topicsConfig(r.clusters[r.flow.From], r.clusters[r.flow.To], nil, r.log))
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	list, err := admin.PlanBack(ctx, sortedKept(r.kept))
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
	for _, k := range sortedKept(r.kept) {
		if changed[k.Topic] {
			notes = append(notes, noteOf(k))
		}
	}
	if len(notes) == 0 {
		return list, nil
	}
	return list, r.write(ctx, notes...)
}

func (r *restoring) write(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, r.clusters[r.flow.To], r.flow.LedgerTopic(), 0, notes)
}

// restoredStep is the last step of a cutover, as it is shown beforehand.
func (h *handover) restoredStep(ctx context.Context) cutover.State {
	s := cutover.State{Name: "restored",
		Do:   fmt.Sprintf("what the flow has set on topics of %s is as it was before", h.o.Flow.To),
		Undo: "nothing to undo: the flow sets it again when it runs after a rollback"}
	list, err := h.restoring().run(ctx, false)
	pending := 0
	for i := range list {
		if list[i].Pending() {
			pending++
		}
	}
	switch {
	case err != nil:
		s.Missing = err.Error()
	case h.o.Groups != nil:
		s.Missing = "only a cutover of all groups does it, or 'replicator topics restore'"
	case pending > 0:
		s.Missing = fmt.Sprintf("%d settings are to be put back", pending)
	}
	s.Done = s.Missing == ""
	return s
}

func (h *handover) restoring() *restoring {
	return &restoring{clusters: h.o.Clusters, flow: h.o.Flow, log: h.o.Log}
}
