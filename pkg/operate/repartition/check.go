package repartition

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
	announce "replicator/pkg/versions"
	"replicator/pkg/versions/tail"
)

// sampled is how many offsets of each partition are looked at, at both ends of it.
const sampled = 500

// Check says what [Move] would do, and refuses what that would; it changes nothing.
func Check(ctx context.Context, o Options) error {
	vs, err := openVersions(ctx, o)
	if err != nil {
		return err
	}
	defer vs.close()
	put, err := (&checker{versions: vs}).check(ctx)
	if err != nil {
		return err
	}
	if vs.next.State == announce.Current {
		vs.Say("%s is current", vs.next.Key())
		return nil
	}
	groups, err := (&readers{versions: vs}).takeNow(ctx)
	if err != nil {
		return err
	}
	vs.Say("%s with %d partitions would become %s with %d, by partitioner %s", vs.source.name, vs.source.partitions,
		vs.target.name, vs.Partitions, put.name)
	for _, g := range groups {
		vs.Say("%s", g)
	}
	return nil
}

// checker refuses what a move must not do.
type checker struct {
	*versions
	put partitioner // that the publishers go by
}

// check refuses what cannot be done, or would lose the order of keys, before
// anything is changed; it answers the partitioner that the publishers go by.
func (c *checker) check(ctx context.Context) (partitioner, error) {
	if c.next.State == announce.Current {
		return c.put, c.checkCurrent()
	}
	if !c.source.exists {
		return c.put, &kafka.Problem{What: fmt.Sprintf("topic %s is not on cluster %s", c.source.name, c.From.Name),
			Fix: "check --topic, --from and the cluster"}
	}
	current := c.view.Current()
	if len(c.view.Versions) > 0 && current.Version != c.FromVersion {
		return c.put, &kafka.Problem{What: fmt.Sprintf("%s is at %s, not at %s", c.Topic, current.Version, c.FromVersion),
			Fix: "name the current version: --from " + current.Version}
	}
	if coming, moving := c.view.Coming(); moving && coming.Version != c.ToVersion {
		return c.put, &kafka.Problem{What: fmt.Sprintf("%s is being moved to %s", c.Topic, coming.Version),
			Fix: fmt.Sprintf("finish that with --to %s, or give it up with --to %[1]s --abandon", coming.Version)}
	}
	if (c.source.partitions+c.Partitions-1)/c.Partitions > mostShared {
		return c.put, &kafka.Problem{
			What: fmt.Sprintf("%d partitions into %d: more than %d of the old version for one of the new",
				c.source.partitions, c.Partitions, mostShared),
			Fix: "choose more partitions, or go in two moves",
		}
	}
	if err := c.checkTarget(ctx); err != nil {
		return c.put, err
	}
	err := c.checkKeys(ctx)
	return c.put, err
}

func (c *checker) checkCurrent() error {
	if err := c.follows(); err != nil {
		return err
	}
	if !c.source.exists {
		return &kafka.Problem{What: c.next.Key() + " is current, and the version before it is gone",
			Fix: "nothing is left to do"}
	}
	c.target.partitions, c.NoCopy = c.next.Partitions, !c.next.Copied
	return nil
}

func (c *checker) checkTarget(ctx context.Context) error {
	announced := c.next.State == announce.Preparing || c.next.State == announce.Switching
	if announced && (c.next.Partitions != c.Partitions || c.next.Copied == c.NoCopy || c.next.From != c.FromVersion) {
		return &kafka.Problem{
			What: fmt.Sprintf("%s was begun from %s with %d partitions, copied: %v", c.next.Key(), c.next.From,
				c.next.Partitions, c.next.Copied),
			Fix: "go on with the same flags, or give it up with --abandon and begin again",
		}
	}
	if !c.target.exists {
		return nil
	}
	if c.target.partitions != c.Partitions {
		return &kafka.Problem{What: fmt.Sprintf("topic %s exists with %d partitions, not %d", c.target.name,
			c.target.partitions, c.Partitions), Fix: "choose another --to; whose the topic is cannot be known here"}
	}
	if announced {
		return nil
	}
	if c.next.State == announce.Retired {
		return &kafka.Problem{What: c.next.Key() + " was given up, and its topic is still there",
			Fix: "run the command with --abandon again, which deletes it"}
	}
	first, last, err := c.to.span(ctx, c.target)
	if err == nil && !slices.Equal(first, last) {
		err = &kafka.Problem{What: fmt.Sprintf("topic %s holds records, and is announced as no version",
			c.target.name), Fix: "choose another --to; whose the topic is cannot be known here"}
	}
	return err
}

// checkKeys holds the partitioner against what the old version holds. Copying does
// so again with every record.
func (c *checker) checkKeys(ctx context.Context) error {
	name := c.Partitioner
	if c.next.Partitioner != "" && c.next.State != announce.Retired {
		if name != "" && name != c.next.Partitioner {
			return &kafka.Problem{What: fmt.Sprintf("%s was begun with partitioner %s", c.next.Key(), c.next.Partitioner),
				Fix: "go on with that, or give it up with --abandon and begin again"}
		}
		name = c.next.Partitioner
	}
	chosen := name != ""
	if !chosen {
		name = Java
	}
	var known bool
	if c.put, known = partitionerNamed(name); !known {
		return &kafka.Problem{What: fmt.Sprintf("%q is no partitioner", name),
			Fix: "choose one of " + strings.Join(Partitioners(), ", ")}
	}
	if c.NoCopy || c.Force {
		return nil
	}
	sample, err := c.sample(ctx)
	if err != nil {
		return err
	}
	keyed := slices.ContainsFunc(sample, func(s placed) bool { return s.key != nil })
	if keyed && !chosen && c.source.partitions == 1 {
		return &kafka.Problem{
			What: fmt.Sprintf("%s has one partition, so that nothing shows by which partitioner its publishers go",
				c.source.name),
			Fix: "name it with --partitioner: " + Java + " for Java and franz-go, consistent_random for librdkafka " +
				"unless it is configured otherwise",
		}
	}
	if wrong := c.put.misfits(sample, c.source.partitions); wrong > 0 {
		return &kafka.Problem{
			What: fmt.Sprintf("%d of %d records that were looked at in %s stand in other partitions than partitioner %s "+
				"would have put them: with it the order of keys would be lost", wrong, len(sample), c.source.name, name),
			Fix: advice(sample, c.source.partitions),
		}
	}
	return nil
}

// sample reads some of each partition, at its beginning and at its end.
func (c *checker) sample(ctx context.Context) ([]placed, error) {
	first, last, err := c.from.span(ctx, c.source)
	if err != nil {
		return nil, err
	}
	stable, err := c.from.stable(ctx, c.source)
	if err != nil {
		return nil, err
	}
	var sample []placed
	for p := range first {
		end := min(last[p], stable[p])
		for _, from := range []int64{first[p], max(first[p], end-sampled)} {
			reader := tail.New(c.from.client, c.source.name, int32(p))
			reader.Unpack(wire.Decompressor{})
			reader.Limit(64 << 10)
			for at := from; at < min(from+sampled, end); {
				answer, err := reader.Fetch(ctx, at, 0)
				if err != nil {
					return nil, c.from.cfg.Explain(err)
				}
				for _, r := range answer.Records {
					sample = append(sample, placed{r.Key, r.Partition})
				}
				at = answer.Next
			}
		}
	}
	return sample, nil
}
