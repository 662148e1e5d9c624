package cutover

import (
	"context"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/topics"
)

// Cutover moves the applications of a flow from its source to its target. Its
// methods belong to one goroutine.
type Cutover struct {
	m     *mover
	found handover.Record // what the ledger says; State "": nothing
	held  []handover.Group
	ends  map[string]handover.Topic
	back  []topics.Back
}

// Open makes sure that both clusters answer and that the flow has run. Nothing
// is written yet. Errors have a remedy.
func Open(ctx context.Context, o Options) (*Cutover, error) {
	m, err := openMover(ctx, o, false)
	if err != nil {
		return nil, err
	}
	c := &Cutover{m: m}
	book, err := ownBook(ctx, m.viewer, o)
	if err == nil && book == nil {
		err = inspect.NeverRan(ctx, m.viewer,
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
func (c *Cutover) Close() { c.m.close() }

// Found is the latest cutover that the ledger knows; State "" is none.
func (c *Cutover) Found() handover.Record { return c.found }

// Preview tells how far each step is, and changes nothing. It watches for as long as the
// source has to be silent.
func (c *Cutover) Preview(ctx context.Context) ([]stepwise.State, error) {
	again, err := c.Again(ctx)
	if err == nil {
		err = again.Refusal(&c.m.o.Flow)
	}
	if err != nil {
		return nil, stepwise.Late(ctx, "silent", err)
	}
	if again.Verdict == Stage {
		c.m.goOn(c.found, c.held, c.ends, again.Since.Rest)
	}
	states, err := c.m.watch(ctx, c.m.steps())
	states = append(states, c.m.restoredStep(ctx))
	if err == nil {
		err = stepwise.InTime(ctx, states)
	}
	return states, err
}

// LeftOut are groups that the flow's patterns choose, and that were not moved: they have no position. Known once the
// steps were checked.
func (c *Cutover) LeftOut() []inspect.LeftOut { return c.m.leftOut }

// Restored tells what became of the settings that the flow had put on topics of the
// target: a cutover puts them back at its end, one in stages at the end of the last.
func (c *Cutover) Restored() []topics.Back { return c.back }

// Run brings all steps about, however long it takes; ctx ends it. A cutover that was
// begun before goes on; one that was done is gone on with, begun anew, or left, as
// verdictOn says. Settings are put back when all else is done and noted: from then on
// no replica sets them again.
func (c *Cutover) Run(ctx context.Context) (handover.Record, error) {
	record, err := c.run(ctx)
	if err == nil {
		err = c.restore(ctx)
	}
	return record, stepwise.Late(ctx, "restored", err)
}

// restore puts settings back, once the stages of the cutover have moved all groups; before that it only reports them.
func (c *Cutover) restore(ctx context.Context) error {
	var left []string
	if c.m.o.Groups != nil {
		status, err := inspect.Status(ctx, c.m.viewer)
		if err != nil {
			return err
		}
		left = since(status.Cutover, status, nil).Rest
	}
	var err error
	c.back, err = restorer(&c.m.o).Run(ctx, len(left) == 0, func(string) (why, fix string) {
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
		err = again.Refusal(&c.m.o.Flow)
	}
	if err != nil {
		return c.found, stepwise.Late(ctx, "silent", err)
	}
	switch again.Verdict {
	case Nothing:
		return c.found, nameVersions(ctx, c.m.viewer) // an earlier run may have ended just before that
	case Stage: // the record stays as it is until the stage is done: what was moved before is
		c.m.goOn(c.found, c.held, c.ends, again.Since.Rest)
	default:
		if err := c.m.begin(ctx, c.found, "", nil); err != nil {
			return c.found, stepwise.Late(ctx, "silent", err)
		}
	}
	err = stepwise.Run(ctx, c.m.steps(), checkEvery, c.m.o.reportStep)
	return c.m.recorder.record, err
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
