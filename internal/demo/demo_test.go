package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRun(t *testing.T) {
	var out strings.Builder
	begun := time.Now()
	err := Run(t.Context(), &out, Options{})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	for _, want := range []string{
		"0 lost, 0 doubled, 0 out of order, 0 changed", "0 lost, 0 redelivered", "on new it is 0", "are equal",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, line := range strings.Split(out.String(), "\n") {
		for _, r := range line {
			if r < ' ' || r > '~' {
				t.Errorf("not plain ASCII outside of a terminal: %q", line)
				break
			}
		}
	}
	if t.Failed() {
		t.Logf("\n%s", &out)
	}
}

// moveBy moves a group's position in one partition of the target.
func moveBy(group string, p partition, by int64) func(context.Context, *side) error {
	return func(ctx context.Context, target *side) error {
		now, err := target.see(ctx)
		if err != nil {
			return err
		}
		at, ok := now.positions[group][p]
		if !ok {
			return fmt.Errorf("group %s stands nowhere in %s", group, p)
		}
		var list kadm.Offsets
		list.AddOffset(p.topic, p.number, at+by, -1)
		return target.admin.CommitAllOffsets(ctx, group, list)
	}
}

// write writes one record to the target, as an outsider.
func write(r *kgo.Record, opts ...kgo.Opt) func(context.Context, *side) error {
	return func(ctx context.Context, target *side) error {
		client, err := target.open(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		if err != nil {
			return err
		}
		defer client.Close()
		if len(opts) == 0 {
			return client.ProduceSync(ctx, r).FirstErr()
		}
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		return errors.Join(client.ProduceSync(ctx, r).FirstErr(), client.EndTransaction(ctx, kgo.TryAbort))
	}
}

// A demonstration that cannot fail shows nothing: each fault is planted on the
// target behind the mirror's back.
func TestFaultsAreSeen(t *testing.T) {
	first := partition{plainTopic, 1}
	inTransactions := partition{transactionalTopic, 2}
	for name, c := range map[string]struct {
		meddle func(context.Context, *side) error
		want   []string // parts of the error
	}{
		"a record is missing": {
			meddle: func(ctx context.Context, target *side) error {
				var list kadm.Offsets
				list.AddOffset(first.topic, first.number, 1, -1)
				answer, err := target.admin.DeleteRecords(ctx, list)
				return errors.Join(err, answer.Error())
			},
			want: []string{"records: 1 lost, 0 doubled, 0 out of order, 0 changed"},
		},
		"the group stands one record too far": {
			meddle: moveBy(mover, inTransactions, 1),
			want:   []string{"group billing read: 1 lost, 0 redelivered"},
		},
		"the group stands one record too early": {
			meddle: moveBy(mover, inTransactions, -1),
			want:   []string{"group billing read: 0 lost, 1 redelivered"},
		},
		"the group stands behind the end": {
			meddle: moveBy(mover, first, 1_000_000),
			want:   []string{"group billing read: 419 lost, 0 redelivered"},
		},
		"the group stands nowhere": {
			meddle: func(ctx context.Context, target *side) error {
				set := kadm.TopicsSet{}
				set.Add(first.topic, first.number)
				_, err := target.admin.DeleteOffsets(ctx, mover, set)
				return err
			},
			want: []string{"group billing read: 0 lost, 342 redelivered"},
		},
		"the group is not there at all": {
			meddle: func(ctx context.Context, target *side) error {
				_, err := target.admin.DeleteGroup(ctx, mover)
				return err
			},
			want: []string{"group billing read: 0 lost, 2,786 redelivered"},
		},
		"a caught-up group has a lag": {
			meddle: moveBy(settled, first, -1),
			want:   []string{"group audit had read everything, but has a lag in 1 partitions"},
		},
		"a record too much": {
			meddle: write(&kgo.Record{Topic: first.topic, Partition: first.number, Value: []byte("not of the source")}),
			want: []string{
				"records: 0 lost, 0 doubled, 0 out of order, 1 changed", "a lag in 1 partitions",
				"group billing read: 0 lost, 0 redelivered, 0 out of order, 1 changed",
			},
		},
		"an aborted record": {
			meddle: write(&kgo.Record{Topic: first.topic, Partition: first.number, Value: []byte("aborted")},
				kgo.TransactionalID("outsider")),
			want: []string{"1 aborted records are on the target"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := Run(t.Context(), &out, Options{meddle: c.meddle})
			var differs *DifferenceError
			if !errors.As(err, &differs) || differs.Remedy() == "" {
				t.Fatalf("got %v, want a DifferenceError with a remedy\n%s", err, &out)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
			if !strings.Contains(out.String(), "!!") || strings.Contains(out.String(), "are equal") {
				t.Errorf("the output does not show it:\n%s", &out)
			}
		})
	}
}

// Whoever interrupts it gets an answer at once, and nothing keeps listening.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var address string
	err := Run(ctx, &strings.Builder{}, Options{meddle: func(_ context.Context, target *side) error {
		address = target.address
		interrupt()
		return nil
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an error that says canceled", err)
	}
	if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		c.Close()
		t.Errorf("a cluster still listens on %s", address)
	}
}

// It ends by itself, whatever hangs.
func TestLate(t *testing.T) {
	begun := time.Now()
	err := Run(t.Context(), &strings.Builder{}, Options{limit: 20 * time.Millisecond})
	var late *LateError
	if !errors.As(err, &late) || late.Remedy() == "" {
		t.Errorf("got %v, want a LateError with a remedy", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("took %s to end", took)
	}
}
