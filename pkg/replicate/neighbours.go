package replicate

import (
	"context"
	"errors"
	"slices"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/provenance"
)

// metError ends a flow whose policy has to know more flows than it did.
type metError struct{ flows []policy.Flow }

func (*metError) Error() string { return "flows of other configurations have come or gone" }

// meet looks at the flows of other configurations. Its error is why this one must not go
// on: a circle, or what was found is news to its policy.
func (f *flow) meet(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := f.others.Look(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.Circle(&f.Cfg); err != nil {
		return v, err
	}
	if flows := v.Flows(); !slices.Equal(flows, f.met) {
		return v, &metError{flows}
	}
	for _, err := range v.Unread {
		f.tellUnread.Do(func() {
			f.Log.Warn("a ledger on the source cannot be read: whether its flow carries records back is not known",
				"error", err, "remedy", chunk.Remedy(err))
		})
	}
	return v, nil
}

// announce lets others know of this flow, and looks again: of two that start at the same
// moment at least one sees the other, before it copies anything. One that has copied
// nothing gives way for good.
func (f *flow) announce(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := f.meet(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.NoteRules(ctx, &f.Cfg, f.Target, v.Rules(&f.Cfg)); err != nil {
		return nil, err
	}
	after, err := f.meet(ctx)
	if provenance.InCircle(err) && !after.Own.Begun {
		rules := v.Rules(&f.Cfg)
		rules.Withdrawn = true
		return nil, errors.Join(err, after.NoteRules(ctx, &f.Cfg, f.Target, rules))
	}
	return after, err
}

// watchNeighbours is meet for a flow that is at work.
func (f *flow) watchNeighbours(ctx context.Context) (*provenance.Neighbourhood, error) {
	v, err := f.meet(ctx)
	if provenance.InCircle(err) || errors.As(err, new(*metError)) {
		f.stop(err)
	}
	if err != nil {
		return nil, err
	}
	return v, v.NoteRules(ctx, &f.Cfg, f.Target, v.Rules(&f.Cfg))
}
