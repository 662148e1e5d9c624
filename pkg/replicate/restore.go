package replicate

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"replicator/pkg/operate/stepwise"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// RestoreTopics puts back what a flow has set on the target's topics that it selects, as its
// ledger keeps it, and answers what became of each setting. Without really it only looks.
// While replicas of the flow run it is refused, but for topics that were cut over: they would
// set it again. Errors have a remedy.
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
	n := 0
	if really {
		if n, err = look.replicas(ctx); err != nil {
			return nil, err
		}
	}
	again := fmt.Sprintf("%d replicas of flow %s are running, which would set it again", n, flow.Name())
	if n > 0 && record.State != handover.Done {
		return nil, &kafka.Problem{What: again, Fix: stopOrCutOver}
	}
	return r.run(ctx, really, func(topic string) (why, fix string) {
		if n > 0 && !r.over[topic] {
			return again, stopOrCutOver
		}
		return "", ""
	})
}

const stopOrCutOver = "stop them, if the flow has done its work; or let 'replicator cutover' put it back"

// KeptTopics are the topics, by their names on the source, of which the ledger keeps what the flow has set.
func (i *Inspection) KeptTopics(ctx context.Context) ([]string, error) {
	books, err := readFirstBooks(ctx, i.targetCluster, i.cfg.LedgerTopic(), i.cfg.Shards, 1)
	if err != nil || len(books) == 0 {
		return nil, err
	}
	kept, err := keptOf(books[0])
	return slices.Collect(maps.Keys(kept)), err
}

// restoredName is the note, in partition 0 of the ledger, of the cutover after which settings
// were put back: while that one counts, no replica sets them again.
const restoredName = "restored"

// restored is what that note holds.
type restored struct {
	Cutover string `json:"cutover"`
}

// restoredAfter says after which cutover settings were put back, if that one counts, and the topics that were cut over
// by it; none else.
func restoredAfter(book *ledger.Shard) (id string, over map[string]bool, err error) {
	record, err := recordOf(book)
	if err != nil {
		return "", nil, err
	}
	var r restored
	if err := handover.Decode(book.Note(restoredName), &r); err != nil || r.Cutover != record.ID {
		return "", nil, err
	}
	over, err = cutOver(book, &record)
	return record.ID, over, err
}

// cutOver are the topics that the cutover which counts has cut over, by their names on the source.
func cutOver(book *ledger.Shard, record *handover.Record) (map[string]bool, error) {
	if record.State != handover.Done {
		return nil, nil
	}
	ends, err := endsBy(book, record.ID)
	over := make(map[string]bool, len(ends))
	for topic := range ends {
		over[topic] = true
	}
	return over, err
}

// restoring puts back what one flow has set.
type restoring struct {
	clusters map[string]kafka.Config
	flow     Config
	log      *slog.Logger

	there bool // there is a ledger
	kept  map[string]topics.Kept
	over  map[string]bool // topics that were cut over, by their names on the source
}

// leave says why the settings of a topic, by its name on the source, are not to be put back now, and what does it.
type leave func(topic string) (why, fix string)

// read takes up what the ledger keeps. It has been read up to its end, as whoever looks
// later will: a replica knows of a cutover that was noted before.
func (r *restoring) read(ctx context.Context) (record handover.Record, err error) {
	books, err := readFirstBooks(ctx, r.clusters[r.flow.To], r.flow.LedgerTopic(), r.flow.Shards, 1)
	if err != nil || len(books) == 0 {
		return record, err
	}
	r.there = true
	if r.kept, err = keptOf(books[0]); err != nil {
		return record, err
	}
	if record, err = recordOf(books[0]); err == nil {
		r.over, err = cutOver(books[0], &record)
	}
	return record, err
}

// run puts back what is to be put back on the topics that the flow selects, or only looks; leaves is asked about
// each, if there is something. Of what was put back nothing is kept any more: the ledger loses it after the topic has.
func (r *restoring) run(ctx context.Context, really bool, leaves leave) ([]topics.Back, error) {
	record, err := r.read(ctx)
	if err != nil || !r.there {
		return nil, err
	}
	if really && record.State == handover.Done {
		note := ledger.NoteRecord(restoredName, handover.Encode(restored{record.ID}))
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

// leaveSome marks what is not to be put back now.
func (r *restoring) leaveSome(list []topics.Back, leaves leave) error {
	chosen, err := policy.New(r.flow.Policy())
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

func (r *restoring) write(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, r.clusters[r.flow.To], r.flow.LedgerTopic(), 0, notes)
}

// restoredStep is the last step of a cutover, as it is shown beforehand.
func (h *mover) restoredStep(ctx context.Context) stepwise.State {
	return stepwise.Look(ctx, []stepwise.Step{{
		Name: "restored", Check: h.restoredYet,
		Do:   fmt.Sprintf("what the flow has set on topics of %s is as it was before", h.o.Flow.To),
		Undo: "nothing to undo: the flow sets it again when it runs after a rollback",
	}})[0]
}

func (h *mover) restoredYet(ctx context.Context) (missing string, err error) {
	list, err := h.restoring().run(ctx, false, nil)
	pending := 0
	for i := range list {
		if list[i].Pending() {
			pending++
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", nil
	case err != nil: // which is no reason to refuse
		missing = err.Error()
	case h.o.Groups != nil && h.status == nil:
		missing = copiedUnknown
	case len(h.remain()) > 0:
		missing, _ = untilMoved(h.remain())
	case pending > 0:
		missing = fmt.Sprintf("%d settings are to be put back", pending)
	}
	return missing, nil
}

// remain are the groups that neither this stage of a cutover moves nor one before.
func (h *mover) remain() (names []string) {
	for i := range h.status.Groups {
		if name := h.status.Groups[i].Group; !h.moves(name) && !h.part[name] {
			names = append(names, name)
		}
	}
	return names
}

// untilMoved is why a stage of a cutover puts no settings back.
func untilMoved(groups []string) (why, fix string) {
	return "groups are not moved yet: " + shorten(groups), "move them: the last stage puts it back, and so does " +
		"'replicator cutover' without --groups; 'replicator topics restore' does it without them"
}

func (h *mover) restoring() *restoring {
	return &restoring{clusters: h.o.Clusters, flow: h.o.Flow, log: h.o.Log}
}
