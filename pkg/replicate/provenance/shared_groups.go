package provenance

import (
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/replicate/settings"
)

// Opposites are the names of the flows in the opposite direction that a flow makes a pair with.
func (v *Neighbourhood) Opposites() (names []string) {
	for _, back := range v.pair.back {
		if !slices.Contains(names, back.String()) {
			names = append(names, back.String())
		}
	}
	return names
}

// OneWay refuses shared groups where no flow in the opposite direction is known: nothing would bring them back.
func (v *Neighbourhood) OneWay(cfg *settings.Config) error {
	if len(cfg.SharedGroups) == 0 || len(v.pair.back) > 0 {
		return nil
	}
	return &OneWayError{*cfg}
}

// SharedOtherwise says that the opposite flow names other shared groups than this one; nil: they agree.
func (v *Neighbourhood) SharedOtherwise(cfg *settings.Config) error {
	own := slices.Sorted(slices.Values(cfg.SharedGroups))
	for _, back := range v.pair.back {
		if !slices.ContainsFunc(v.target.Topics, func(topic string) bool { return v.pair.carries(&back, topic) }) {
			continue // another pair's, for other topics
		}
		if theirs := slices.Sorted(slices.Values(back.SharedGroups)); !slices.Equal(own, theirs) {
			return &SharedOtherwiseError{*cfg, back.String(), theirs}
		}
	}
	return nil
}

// OneWayError reports shared groups in a flow that has no opposite.
type OneWayError struct{ Flow settings.Config }

func (e *OneWayError) Error() string {
	return fmt.Sprintf("shared groups in a one-way flow: no flow from %s to %s is known that makes a pair with flow %s",
		e.Flow.To, e.Flow.From, e.Flow.Name())
}

// Remedy tells what to do.
func (e *OneWayError) Remedy() string {
	return fmt.Sprintf("leave shared_groups out; or add flow %s->%s, here or in a file of its own, with naming: "+
		"identity, lane: batch and delivery: exactly_once, and the same shared_groups", e.Flow.To, e.Flow.From)
}

// SharedOtherwiseError reports two flows of a pair that do not name the same shared groups.
type SharedOtherwiseError struct {
	Flow   settings.Config
	Other  string
	Theirs []string
}

func (e *SharedOtherwiseError) Error() string {
	return fmt.Sprintf("flow %s has shared_groups [%s], its opposite %s [%s]: the positions of a group that only one of "+
		"them names do not follow in the other direction once a consumer has committed there", e.Flow.Name(),
		strings.Join(e.Flow.SharedGroups, ", "), e.Other, strings.Join(e.Theirs, ", "))
}

// Remedy tells what to do.
func (e *SharedOtherwiseError) Remedy() string { return "name the same ones in both flows" }
