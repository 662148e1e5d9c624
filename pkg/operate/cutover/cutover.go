package cutover

import (
	"context"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/wait"
)

// Cutover moves the applications of a flow from its source to its target. Its
// methods belong to one goroutine.
type Cutover struct {
	h     *mover
	found handover.Record // what the ledger says; State "": nothing
	held  []handover.Group
	ends  map[string]handover.Topic
	back  []topics.Back
}

// Open makes sure that both clusters answer and that the flow has run. Nothing
// is written yet. Errors have a remedy.
func Open(ctx context.Context, o Options) (*Cutover, error) {
	h, err := openMover(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &Cutover{h: h}
	book, err := ownBook(ctx, h.viewer, o)
	if err == nil && book == nil {
		err = inspect.NeverRan(ctx, h.viewer,
			"start it with 'replicator run', and give this command again when it has caught up")
	}
	if err == nil {
		c.found, err = handover.RecordOf(book)
	}
	if err == nil {
		err = handover.NotClosed(book, book, o.Flow.Name())
	}
	if err == nil {
		err = handover.OwnCutover(book, c.found, o.Flow.Name())
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connections.
func (c *Cutover) Close() { c.h.viewer.Close() }

// Found is the latest cutover that the ledger knows; State "" is none.
func (c *Cutover) Found() handover.Record { return c.found }

// Preview tells how far each step is, and changes nothing. It watches for as long as the
// source has to be silent.
func (c *Cutover) Preview(ctx context.Context) ([]stepwise.State, error) {
	again, err := c.Again(ctx)
	if err == nil {
		err = again.Refusal(&c.h.o.Flow)
	}
	if err != nil {
		return nil, stepwise.Late(ctx, "silent", err)
	}
	if again.Verdict == Stage {
		c.h.goOn(c.found, c.held, c.ends, again.Since.Rest)
	}
	states, err := c.h.watch(ctx, c.h.steps())
	states = append(states, c.h.restoredStep(ctx))
	if err == nil {
		err = stepwise.InTime(ctx, states)
	}
	return states, err
}

// LeftOut are groups that the flow's patterns choose, and that were not moved: they have no position. Known once the
// steps were looked at.
func (c *Cutover) LeftOut() []inspect.LeftOut { return c.h.leftOut }

// Restored tells what became of the settings that the flow had put on topics of the
// target: a cutover puts them back at its end, one in stages at the end of the last.
func (c *Cutover) Restored() []topics.Back { return c.back }

// Run brings all steps about, however long it takes; ctx ends it. A cutover that was
// begun before goes on; one that was done is gone on with, begun anew, or left, as
// [cutover.Record.Decide] says. Settings are put back when all else is done and noted: from then on
// no replica sets them again.
func (c *Cutover) Run(ctx context.Context) (handover.Record, error) {
	record, err := c.run(ctx)
	if err == nil {
		err = c.restore(ctx)
	}
	return record, stepwise.Late(ctx, "restored", err)
}

// restore puts settings back, once the stages of the cutover have moved all groups; before that it only tells of them.
func (c *Cutover) restore(ctx context.Context) error {
	var left []string
	if c.h.o.Groups != nil {
		status, err := inspect.Status(ctx, c.h.viewer)
		if err != nil {
			return err
		}
		left = since(status.Cutover, status, nil).Rest
	}
	var err error
	c.back, err = c.h.restoring().Run(ctx, len(left) == 0, func(string) (why, fix string) {
		if len(left) == 0 {
			return "", ""
		}
		return untilMoved(left)
	})
	return err
}

func (c *Cutover) run(ctx context.Context) (handover.Record, error) {
	again, err := c.Again(ctx)
	if err == nil {
		err = again.Refusal(&c.h.o.Flow)
	}
	if err != nil {
		return c.found, stepwise.Late(ctx, "silent", err)
	}
	switch again.Verdict {
	case Nothing:
		return c.found, c.h.nameVersions(ctx) // an earlier run may have ended just before that
	case Stage: // the record stays as it is until the stage is done: what was moved before is
		c.h.goOn(c.found, c.held, c.ends, again.Since.Rest)
	default:
		if err := c.h.begin(ctx, c.found, "", nil); err != nil {
			return c.found, stepwise.Late(ctx, "silent", err)
		}
	}
	err = stepwise.Run(ctx, c.h.steps(), handoverEvery, c.h.o.tell)
	return c.h.record, err
}

// tell passes on what is waited for.
func (o *Options) tell(step stepwise.Step, missing string) { o.Tell(step.Name, missing) }

// watch checks steps; the first one needs two checks with time between them.
func (h *mover) watch(ctx context.Context, steps []stepwise.Step) ([]stepwise.State, error) {
	h.preview = true
	defer func() { h.preview = false }()
	begun := stepwise.Check(ctx, steps[:1])
	if wait.Pause(ctx, h.o.SilentFor) != nil {
		states := append(begun, stepwise.Check(ctx, steps[1:])...)
		return states, stepwise.InTime(ctx, states)
	}
	states := stepwise.Check(ctx, steps)
	for i := range states {
		if given := h.given[states[i].Name]; states[i].Done && len(given) > 0 {
			states[i].Done, states[i].Missing = false, "--force gives up: "+kafka.Few(given)
		}
	}
	return states, stepwise.InTime(ctx, states)
}

// ownBook is firstBook of a flow whose ledger is about it; nil: it has never run.
func ownBook(ctx context.Context, viewer *snapshot.Viewer, o Options) (book *ledger.Shard, err error) {
	if err = viewer.CheckIdentity(ctx); err == nil {
		book, err = firstBook(ctx, o)
	}
	if err == nil && book == nil {
		err = viewer.MissingLedger(ctx)
	}
	return book, err
}

// firstBook reads the partition of the ledger that has the record; nil: no ledger.
func firstBook(ctx context.Context, o Options) (*ledger.Shard, error) {
	books, err := ledger.ReadFirst(ctx, o.Clusters[o.Flow.To], o.Flow.LedgerTopic(), o.Flow.Shards, 1)
	if err != nil || len(books) == 0 {
		return nil, err
	}
	return books[0], nil
}
