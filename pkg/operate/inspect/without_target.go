package inspect

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/settings"
)

// FlowError is why a flow could not be looked at, or not at all of both sides.
type FlowError struct {
	Flow string
	Err  error
}

func (e *FlowError) Error() string { return e.Err.Error() }

// Unwrap gives what the clusters said.
func (e *FlowError) Unwrap() error { return e.Err }

// withoutTarget adds to why a flow could not be looked at what its source tells, where its target does not answer: the
// ledger is there, so that nothing is known of the copy.
func withoutTarget(ctx context.Context, around map[string]kafka.Config, flow *settings.Config, err error) error {
	target := snapshot.Impatient(around[flow.To])
	client, failed := kafka.NewFranz(target, kgo.RequestRetries(1))
	if failed != nil {
		return err
	}
	defer client.Close()
	asking, cancel := context.WithTimeout(ctx, snapshot.Patience)
	defer cancel()
	if _, failed = kafka.Describe(asking, client, target, []string{}); failed == nil || ctx.Err() != nil {
		return err
	}
	held, silent := holds(ctx, snapshot.Impatient(around[flow.From]), target, flow)
	away := &targetAway{fix: chunk.Remedy(failed)}
	if silent != nil {
		away.error = fmt.Errorf("flow %s: %w; the other cluster does not answer either, and nothing is known of the flow: %v",
			flow.Name(), failed, silent)
		return away
	}
	away.error = fmt.Errorf("flow %s: %w; it is the target, and keeps the ledger: how far it has copied is not known. %s",
		flow.Name(), failed, held)
	away.fix += fmt.Sprintf(". Once %s answers the flow goes on from its ledger: until then %s has to keep its records, "+
		"see retention.ms of its topics. Where %s is lost for good: docs/runbooks/site-lost.md", flow.To, flow.From, flow.To)
	return away
}

// targetAway is what is told of a flow whose target does not answer.
type targetAway struct {
	error
	fix string
}

// Unwrap gives what the clusters said.
func (a *targetAway) Unwrap() error { return a.error }

// Remedy says what to do.
func (a *targetAway) Remedy() string { return a.fix }

// held is what a source holds of a flow's topics.
type held struct {
	name    string    // of the cluster
	records int64     // at most
	silent  int       // partitions that do not tell
	back    string    // the flow in the opposite direction
	seen    time.Time // when that one last heard of the target; zero: not known
	since   int64     // at most that many records came after that
}

func (h *held) String() string {
	text := fmt.Sprintf("%s holds up to %d records of its topics", h.name, h.records)
	if !h.seen.IsZero() {
		text += fmt.Sprintf(", of which up to %d came after %s, when flow %s last heard of it", h.since,
			h.seen.Format(time.RFC3339), h.back)
	}
	if h.silent > 0 {
		text += fmt.Sprintf("; %d more partitions do not tell", h.silent)
	}
	return text
}

// holds asks a source alone, within seconds.
func holds(ctx context.Context, source, target kafka.Config, flow *settings.Config) (*held, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*snapshot.Patience)
	defer cancel()
	look, err := clients.Open(flow, source, target, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer look.Close()
	client, err := kafka.NewFranz(source, kgo.RequestRetries(1))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	described, err := kafka.Describe(ctx, client, source, nil)
	if err != nil {
		return nil, err
	}
	h := &held{name: source.Name, back: flow.To + "->" + flow.From}
	var topics []string
	for name, topic := range described.Topics {
		if _, verdict := look.Policy.Topic(name); verdict.Selected && topic.Err == nil {
			topics = append(topics, name)
		}
	}
	from, err := look.SourceOffsets.Earliest(ctx, topics)
	if err != nil {
		return nil, err
	}
	ends, err := look.SourceOffsets.Stable(ctx, topics)
	if err != nil {
		return nil, err
	}
	h.records, h.silent = between(from, ends)
	if h.seen = heardOf(ctx, source, flow); !h.seen.IsZero() {
		if from, err = look.SourceOffsets.At(ctx, topics, h.seen); err != nil {
			return nil, err
		}
		h.since, _ = between(from, ends)
	}
	return h, nil
}

// between counts offsets from one to the other; silent are partitions that do not tell.
func between(from, to listoffsets.Offsets) (records int64, silent int) {
	for p, end := range to {
		begin, there := from[p]
		if !there || begin.Err != nil || end.Err != nil {
			silent++
			continue
		}
		records += max(end.Offset-begin.Offset, 0)
	}
	return records, silent
}

// heardOf is when the flow in the opposite direction last heard of this one's target, by its ledger on the source;
// zero: nobody knows.
func heardOf(ctx context.Context, source kafka.Config, flow *settings.Config) (last time.Time) {
	back := settings.Opposite(*flow, nil)
	books, err := ledger.ReadAsItIs(ctx, source, cmp.Or(flow.OppositeLedger(), back.LedgerTopic()))
	if err != nil {
		return last
	}
	for _, book := range books {
		if note, err := seen.Of(book); err == nil && note.Seen.After(last) {
			last = note.Seen
		}
	}
	return last
}
