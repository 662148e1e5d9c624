package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	orders   = "orders"   // written all the time, and read by billing
	payments = "payments" // written in transactions, some of them aborted
	clicks   = "clicks"   // read by a group that is too slow: the target deletes what it has not read
	audit    = "audit"    // kept for a week, and not read yet

	billing = "billing"
	slow    = "reports"
	late    = "archive"

	atFirst = 400 // records of clicks and of audit
	deleted = 100 // of each partition of clicks, on the target
)

var partitions = map[string]int32{orders: 4, payments: 2, clicks: 2, audit: 2}

// side is an embedded cluster, with clients of another library than the daemon's.
type side struct {
	name, address string
	cluster       *kfake.Cluster
	client        *kgo.Client
	admin         *kadm.Client
}

func newSide(name string) (*side, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("observe-"+name))
	if err != nil {
		return nil, err
	}
	s := &side{name: name, address: strings.Join(cluster.ListenAddrs(), ","), cluster: cluster}
	if s.client, err = s.open(); err != nil {
		cluster.Close()
		return nil, err
	}
	s.admin = kadm.NewClient(s.client)
	return s, nil
}

func (s *side) open(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.address)}, opts...)...)
}

func (s *side) close() {
	s.client.Close()
	s.cluster.Close()
}

// prepare makes the topics, and what is there before the mirror begins.
func (s *side) prepare(ctx context.Context) error {
	week := fmt.Sprint((7 * 24 * time.Hour).Milliseconds())
	for topic, count := range partitions {
		var configs map[string]*string
		if topic == audit {
			configs = map[string]*string{"retention.ms": &week}
		}
		if _, err := s.admin.CreateTopic(ctx, count, 1, configs, topic); err != nil {
			return fmt.Errorf("create topic %s: %w", topic, err)
		}
	}
	for _, topic := range []string{clicks, audit} {
		if err := s.client.ProduceSync(ctx, records(topic, atFirst)...).FirstErr(); err != nil {
			return err
		}
	}
	for group, topic := range map[string]string{slow: clicks, late: audit} {
		if err := s.commit(ctx, group, topic, func(kadm.ListedOffset) int64 { return 0 }); err != nil {
			return err
		}
	}
	return nil
}

// records makes some, dealt out to the topic's partitions by their keys.
func records(topic string, n int) []*kgo.Record {
	list := make([]*kgo.Record, n)
	for i := range list {
		list[i] = &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "customer-%d", i),
			Value: fmt.Appendf(nil, `{"number":%d,"at":%q}`, i, time.Now())}
	}
	return list
}

// commit puts a group's positions of a topic to where at says.
func (s *side) commit(ctx context.Context, group, topic string, at func(end kadm.ListedOffset) int64) error {
	ends, err := s.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	var positions kadm.Offsets = map[string]map[int32]kadm.Offset{}
	ends.Each(func(end kadm.ListedOffset) { positions.AddOffset(topic, end.Partition, at(end), -1) })
	answer, err := s.admin.CommitOffsets(ctx, group, positions)
	if err == nil {
		err = answer.Error()
	}
	return err
}

// traffic writes and reads until ctx is done: faster and slower, over a minute.
func (s *side) traffic(ctx context.Context) error {
	writer, err := s.open(kgo.TransactionalID("observe"))
	if err != nil {
		return err
	}
	defer writer.Close()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ctx.Err() == nil; round++ {
		many := 20 + 3*(round%120)%100
		if err := s.round(ctx, writer, round, many); err != nil && ctx.Err() == nil {
			return fmt.Errorf("traffic on %s: %w", s.name, err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// round writes to orders and, in a transaction, to payments; and billing reads all of orders.
func (s *side) round(ctx context.Context, writer *kgo.Client, number, many int) error {
	if err := s.client.ProduceSync(ctx, records(orders, many)...).FirstErr(); err != nil {
		return err
	}
	if err := writer.BeginTransaction(); err != nil {
		return err
	}
	if err := writer.ProduceSync(ctx, records(payments, many/4)...).FirstErr(); err != nil {
		return err
	}
	if err := writer.EndTransaction(ctx, kgo.TransactionEndTry(number%5 != 0)); err != nil {
		return err
	}
	return s.commit(ctx, billing, orders, func(end kadm.ListedOffset) int64 { return end.Offset })
}

// losesUnread deletes on the target, once it is there, the beginning of what the slow group has not read.
func (s *side) losesUnread(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// The group's position has to be there: it is behind what is deleted then.
		stands, err := s.admin.FetchOffsets(ctx, slow)
		ends, errEnds := s.admin.ListCommittedOffsets(ctx, clicks)
		if err != nil || errEnds != nil || len(stands.Offsets()[clicks]) < len(ends[clicks]) {
			continue
		}
		var upTo kadm.Offsets = map[string]map[int32]kadm.Offset{}
		there := len(ends[clicks]) == int(partitions[clicks])
		ends.Each(func(end kadm.ListedOffset) {
			there = there && end.Offset > deleted
			upTo.AddOffset(clicks, end.Partition, deleted, -1)
		})
		if !there {
			continue
		}
		answer, err := s.admin.DeleteRecords(ctx, upTo)
		if err == nil {
			err = answer.Error()
		}
		return err
	}
}
