package repartition

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/replicate/kafka"
	announce "replicator/pkg/versions"
)

// Retire deletes the old version, once nobody needs it.
func Retire(ctx context.Context, o Options) error {
	vs, err := openVersions(ctx, o)
	if err != nil {
		return err
	}
	defer vs.close()
	if vs.next.State != announce.Current || vs.oldEnd().Ends == nil {
		return &kafka.Problem{What: fmt.Sprintf("%s/%s is not current, or nothing tells yet where the version before it ends",
			vs.Topic, vs.ToVersion),
			Fix: "retire the old version when the move is done: run the command without --retire first"}
	}
	if err := vs.follows(); err != nil {
		return err
	}
	if vs.source.exists {
		if err := vs.unneeded(ctx); err != nil {
			return err
		}
	}
	old, _ := vs.view.Get(vs.FromVersion)
	if old.State != announce.Retired {
		old.State = announce.Retired
		if err := vs.announce(ctx, old); err != nil {
			return err
		}
	}
	if err := vs.reached("retired"); err != nil {
		return err
	}
	return vs.delete(ctx, vs.from, vs.source)
}

// unneeded refuses while the old version holds what nobody would read any more.
func (vs *versions) unneeded(ctx context.Context) error {
	ends, err := vs.from.ends(ctx, vs.source)
	if err != nil {
		return err
	}
	var late []string
	silent := vs.oldEnd().Ends
	for p, end := range ends {
		if p < len(silent) && end != silent[p] {
			late = append(late, fmt.Sprintf("%d [%d,%d)", p, silent[p], end))
		}
	}
	if len(late) > 0 && !vs.Force {
		return &kafka.Problem{
			What: fmt.Sprintf("%s was written to after %s became current: partitions %s", vs.source.name,
				vs.next.Key(), strings.Join(late, ", ")),
			Fix: "find the publishers that do not follow " + announce.Meta + ", bring these records over by hand, and " +
				"then retire with --force, which deletes them",
		}
	}
	behind, err := (&readers{versions: vs}).take(ctx)
	if err != nil {
		return err
	}
	behind = slices.DeleteFunc(behind, func(g group) bool { return g.done() })
	if len(behind) > 0 && vs.Groups != Leave {
		return &kafka.Problem{
			What: fmt.Sprintf("%s is still needed by %s", vs.source.name, sentence(behind)),
			Fix: "run the command without --retire once they are done; for groups that nobody uses, " +
				"--groups leave, which takes their records away",
		}
	}
	return nil
}

// Abandon gives the new version up before it is current: publishers go on with the
// old one, and what was copied is deleted.
func Abandon(ctx context.Context, o Options) error {
	vs, err := openVersions(ctx, o)
	if err != nil {
		return err
	}
	defer vs.close()
	switch vs.next.State {
	case announce.Current:
		return &kafka.Problem{What: vs.next.Key() + " is current: publishers write to it",
			Fix: "move on to a further version with the partition count that you want: --from " + vs.ToVersion}
	case "":
		return &kafka.Problem{What: fmt.Sprintf("%s/%s was never announced", vs.Topic, vs.ToVersion),
			Fix: "check --topic and --to; there is nothing to give up"}
	case announce.Preparing, announce.Switching:
		vs.next.State = announce.Retired
		if err := vs.announce(ctx, vs.next); err != nil {
			return err
		}
	case announce.Retired: // by an earlier run, which may have ended before it deleted
	}
	if err := vs.reached("abandoned"); err != nil {
		return err
	}
	return vs.delete(ctx, vs.to, vs.target)
}

func (vs *versions) delete(ctx context.Context, s *side, t topic) error {
	if !t.exists {
		vs.Say("%s is gone", t.name)
		return nil
	}
	if _, err := s.admin.DeleteTopic(ctx, t.name); err != nil {
		return s.cfg.Explain(fmt.Errorf("delete %s: %w", t.name, err))
	}
	vs.Say("deleted %s", t.name)
	return nil
}
