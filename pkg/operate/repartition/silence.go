package repartition

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/replicate/wait"

	"github.com/twmb/franz-go/pkg/kadm"
)

// silence waits until nobody writes to the old version any more and everything of
// it is copied; it answers the ends of the logs.
func (m *mover) silence(ctx context.Context) ([]int64, error) {
	report := newReporter(m.Say)
	ends, err := m.from.ends(ctx, m.source)
	since := time.Now()
	writers := m.writers(ctx)
	for err == nil {
		if err := m.rest(ctx); err != nil {
			return nil, err
		}
		now, err := m.from.ends(ctx, m.source)
		if err != nil {
			return nil, err
		}
		stable, err := m.from.stable(ctx, m.source)
		if err != nil {
			return nil, err
		}
		settled := slices.Equal(stable, now) // no transaction is open
		if !slices.Equal(now, ends) || !settled {
			ends, since = now, time.Now()
			seen := m.writers(ctx)
			report.line("%s is still written to%s", m.source.name, busy(writers, seen))
			writers = seen
			continue
		}
		copied := m.NoCopy || m.copier.reached(ends)
		if copied && time.Since(since) >= m.SilentFor {
			m.Say("%s has been silent for %s, and ends at %v", m.source.name, m.SilentFor, ends)
			return ends, nil
		}
	}
	return nil, err
}

// rest copies what came, or waits a moment.
func (m *mover) rest(ctx context.Context) error {
	if m.NoCopy {
		return wait.Pause(ctx, checkEvery)
	}
	if _, err := m.copier.step(ctx); err != nil {
		return err
	}
	return m.reached("rest")
}

// writer is a producer, and how far it came.
type writer struct {
	partition int32
	id        int64
}

type wrote struct {
	sequence int32
	at       int64 // of the last record
	open     bool  // a transaction
}

// writers are the producers that the brokers know; none where they do not tell.
// Producers without idempotence have no id.
func (m *mover) writers(ctx context.Context) map[writer]wrote {
	var set kadm.TopicsSet
	for p := range m.source.partitions {
		set.Add(m.source.name, p)
	}
	described, err := m.from.admin.DescribeProducers(ctx, set)
	if err != nil {
		return nil
	}
	all := map[writer]wrote{}
	described.EachProducer(func(p kadm.DescribedProducer) {
		all[writer{p.Partition, p.ProducerID}] = wrote{p.LastSequence, p.LastTimestamp, p.CurrentTxnStartOffset >= 0}
	})
	return all
}

// busy names the producers that wrote between two checks, or hold a transaction open.
func busy(before, now map[writer]wrote) string {
	var names []string
	for w, state := range now {
		if state.open {
			names = append(names, fmt.Sprintf("producer %d (transaction open in partition %d)", w.id, w.partition))
		} else if before[w] != state {
			names = append(names, fmt.Sprintf("producer %d (partition %d)", w.id, w.partition))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return ", by " + strings.Join(names[:min(8, len(names))], ", ")
}
