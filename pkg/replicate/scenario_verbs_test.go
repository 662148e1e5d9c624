package replicate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
)

// The verbs that a story can give print what a command would say, in fewer words.

func (s *scenario) status([]string) {
	status, err := inspect.Status(s.Ctx, s.Look())
	s.Must("status", err)
	for _, p := range status.Partitions {
		text := fmt.Sprintf("%s/%d %s", p.Topic, p.Partition, p.Phase)
		if p.Progress != nil {
			text += fmt.Sprintf(", copied up to %d of %d", *p.Progress, p.SourceEnd)
		}
		if p.Behind > 0 {
			text += fmt.Sprintf(", %d behind", p.Behind)
		}
		if p.Holes != nil {
			text += fmt.Sprintf(", %d offsets in holes, the last [%d,%d)", p.Holes.Offsets, p.Holes.Last.From, p.Holes.Last.To)
		}
		for _, f := range p.Foreign {
			text += fmt.Sprintf(", foreign records at [%d,%d) of the target", f.From, f.To)
		}
		s.print("%s", text)
		s.printWhy(p.Reason, p.Remedy)
	}
	for _, p := range status.Problems {
		s.print("problem: %s", p.Error)
		s.printWhy("", p.Remedy)
	}
	s.print("%s", map[bool]string{false: "not caught up", true: "caught up"}[status.CaughtUp])
}

// printWhy prints a reason and a remedy, where there are any.
func (s *scenario) printWhy(reason, remedy string) {
	if reason != "" {
		s.print("  why: %s", reason)
	}
	if remedy != "" {
		s.print("  do:  %s", remedy)
	}
}

// groups prints where groups stand, once a daemon that runs has nothing left to move.
func (s *scenario) groups([]string) {
	view := s.Look()
	var list []inspect.GroupStatus
	s.Await("no group is about to be moved", func() bool {
		var err error
		list, err = inspect.GroupStatuses(s.Ctx, view)
		s.Must("groups", err)
		return len(s.replicas) == 0 || !slices.ContainsFunc(list, func(g inspect.GroupStatus) bool {
			return slices.ContainsFunc(g.Positions, func(p inspect.PositionStatus) bool { return p.State == inspect.Pending })
		})
	})
	for _, g := range list {
		for _, p := range g.Positions {
			target, lag := "nowhere", ""
			if p.Target != nil {
				target, lag = fmt.Sprint(*p.Target), fmt.Sprintf(" and %d", *p.TargetLag)
			}
			s.print("%s in %s/%d: %d on the source, %s on the target, lag %d%s: %s", g.Group, p.Topic, p.Partition, p.Source,
				target, p.SourceLag, lag, p.State)
			s.printWhy(p.Why, p.Remedy)
		}
	}
}

func (s *scenario) offsets(args []string) {
	topic, number := s.partition(args[0])
	view := s.Look()
	for _, at := range args[1:] {
		t, err := inspect.Translate(s.Ctx, view, chunk.Partition{Topic: topic, Number: number}, offsets.Source(s.number(at)))
		if err != nil {
			s.print("%s -> %v", at, err)
			continue
		}
		s.print("%s -> %d (%s)", at, t.Target, t.RuleCode)
	}
}

func (s *scenario) verify([]string) {
	v := s.Verify(verify.Options{})
	s.print("%s: %d records compared", v.Verdict, v.Compared)
}

func (s *scenario) resume([]string) {
	view := s.Look()
	cuts, err := inspect.OpenCuts(s.Ctx, view)
	s.Must("list cuts", err)
	for _, c := range cuts {
		s.print("%s was cut at %d of %d", c.Partition, c.At, c.Copied)
	}
	s.Must("resume", inspect.Resume(s.Ctx, view, cuts, false, "a scenario"))
}

// cutover moves the applications, or is killed as soon as it waits for a step.
func (s *scenario) cutover(args []string) {
	ctx, cancel := context.WithCancel(s.Ctx)
	defer cancel()
	o := s.HandoverOptions()
	if len(args) == 2 {
		o.Report = func(step, _ string) {
			if step == args[1] {
				cancel()
			}
		}
	}
	c, err := cutover.Open(ctx, o)
	s.Must("open cutover", err)
	defer c.Close()
	record, err := c.Run(ctx)
	switch {
	case ctx.Err() != nil:
		s.print("killed at step %s: %s", args[1], record.State)
	case err != nil:
		s.print("refused: %v", err)
		s.printWhy("", chunk.Remedy(err))
	default:
		s.print("%s: %d partitions, %d groups", record.State, record.Partitions, record.Groups)
	}
}

func (s *scenario) rollback([]string) {
	r, err := cutover.OpenRollback(s.Ctx, s.HandoverOptions())
	if err != nil {
		s.print("refused: %v", err)
		s.printWhy("", chunk.Remedy(err))
		return
	}
	defer r.Close()
	record, err := r.Run(s.Ctx)
	s.Must("roll back", err)
	s.print("%s: written to the target since: %s", record.State, strings.Join(r.State().Written, ", "))
}
