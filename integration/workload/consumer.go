package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ConsumerSpec says what a live consumer reads.
type ConsumerSpec struct {
	Group  string
	Topics []string
	Limit  int  // leave after so many records; 0 goes on until stopped
	AtOnce int  // records read between two commits; 0 means 100
	Next   bool // by the group protocol of KIP-848
}

// Read is one record that a consumer read and whose position it committed.
type Read struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       string
	Value     string
}

// Consumer is one member of a consumer group, read_committed, that commits after
// each few records, and begins at the log start where nothing is committed.
type Consumer struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	reads []Read
	err   error
}

// StartConsumer joins the group. Wait or Stop must be called.
func StartConsumer(ctx context.Context, bootstrap string, spec ConsumerSpec) (*Consumer, error) {
	if spec.AtOnce == 0 {
		spec.AtOnce = 100
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(spec.Group), kgo.ConsumeTopics(spec.Topics...), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
	if spec.Next {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	client, err := newClient(bootstrap, opts...)
	if err != nil {
		return nil, err
	}
	stopping, cancel := context.WithCancel(ctx)
	c := &Consumer{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		defer client.CloseAllowingRebalance() // leaves the group
		err := c.run(ctx, stopping, client, spec)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = err
	}()
	return c, nil
}

// Consume reads and commits exactly n records as the only member of a group, then leaves.
func Consume(ctx context.Context, bootstrap, group string, n int, topics ...string) ([]Read, error) {
	c, err := StartConsumer(ctx, bootstrap, ConsumerSpec{Group: group, Topics: topics, Limit: n})
	if err != nil {
		return nil, err
	}
	return c.Wait()
}

// Wait waits until the limit is reached and returns what was read.
func (c *Consumer) Wait() ([]Read, error) {
	<-c.ended
	c.cancel()
	return c.So(), c.err
}

// Stop leaves the group after the commit under way and returns what was read.
func (c *Consumer) Stop() ([]Read, error) {
	c.cancel()
	return c.Wait()
}

// So says what was read and committed up to now.
func (c *Consumer) So() []Read {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.reads)
}

// run reads and commits. ctx ends it hard, with an error if a limit was not
// reached; stopping ends it between commits.
func (c *Consumer) run(ctx, stopping context.Context, client *kgo.Client, spec ConsumerSpec) error {
	for count := 0; spec.Limit == 0 || count < spec.Limit; {
		atOnce := spec.AtOnce
		if spec.Limit > 0 {
			atOnce = min(atOnce, spec.Limit-count)
		}
		fetches := client.PollRecords(stopping, atOnce)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("group %s: %d records read: %w", spec.Group, count, ctx.Err())
		case stopping.Err() != nil:
			return nil // what this poll may have brought is not committed, so it was not read
		}
		for _, e := range fetches.Errors() {
			if c.passes(e.Err) {
				continue
			}
			return fmt.Errorf("group %s: read %s/%d: %w", spec.Group, e.Topic, e.Partition, e.Err)
		}
		records := fetches.Records()
		if err := client.CommitRecords(ctx, records...); err != nil {
			return fmt.Errorf("group %s: commit: %w", spec.Group, err)
		}
		client.AllowRebalance()
		count += len(records)
		c.remember(records)
	}
	return nil
}

// passes tells errors that the client gets over by itself: it joins its group again, and
// it looks again where it stands. It knows the epochs of records that it gives out only,
// so that markers and aborted records at the beginning of a new leader's epoch look
// lost to it, and are read again: nothing that was read is.
func (c *Consumer) passes(err error) bool {
	if _, ok := errors.AsType[*kgo.ErrGroupSession](err); ok {
		return true
	}
	loss, ok := errors.AsType[*kgo.ErrDataLoss](err)
	return ok && !slices.ContainsFunc(c.So(), func(r Read) bool {
		return r.Topic == loss.Topic && r.Partition == loss.Partition && r.Offset >= loss.ResetTo
	})
}

func (c *Consumer) remember(records []*kgo.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range records {
		c.reads = append(c.reads, Read{r.Topic, r.Partition, r.Offset, string(r.Key), string(r.Value)})
	}
}
