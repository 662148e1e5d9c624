package cutover_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/judge"
	"replicator/integration/workload"
	"replicator/internal/flowtest"
	"replicator/internal/kafkatest"
	"replicator/pkg/operate/cutover"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
)

// leg is a world whose applications are about to move, in one direction or the other.
type leg struct {
	*flowtest.World
	back     bool
	on, off  string // the name of the cluster that they go to, and that they leave
	sides    judge.Sides
	from, to *kadm.Client
	fake     *kafkatest.Cluster // the cluster that they go to
	never    bool               // by force, nothing is given up for having been waited for
}

// bothLegs runs a test on a flow that has copied 12 records, and on one that was cut
// over before, with 4 more records on its target. A group has read the first 5.
func bothLegs(t *testing.T, test func(t *testing.T, l *leg)) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		t.Run(map[bool]string{false: "cutover", true: "rollback"}[back], func(t *testing.T) {
			w := flowtest.New(t)
			w.Cfg.Shards, w.Cfg.SyncTopicConfigs = 1, false
			w.Topic("orders", 1)
			w.Plain(w.Sides.Source, "orders", 0, 12)
			w.Commit("billing", "orders", 0, 5)
			r := w.Start(nil)
			w.Equal([]string{"orders"})
			w.Stands("billing", "orders", 0, 5)
			r.Stop()
			l := &leg{World: w, back: back, on: "new", off: "old", sides: w.Sides, from: w.From, to: w.To, fake: w.Target}
			if back {
				w.CutOver()
				w.Plain(w.Sides.Target, "orders", 0, 4)
				l.on, l.off, l.sides, l.from, l.to, l.fake = "old", "new", w.Swapped(), w.To, w.From, w.Source
			}
			test(t, l)
		})
	}
}

// move is a cutover or a rollback of the leg.
func (l *leg) move(ctx context.Context, o cutover.Options) (handover.Record, error) {
	if l.back {
		r, err := cutover.OpenRollback(ctx, o)
		if err != nil {
			return handover.Record{}, err
		}
		defer r.Close()
		return r.Run(ctx)
	}
	c, err := cutover.Open(ctx, o)
	if err != nil {
		return handover.Record{}, err
	}
	defer c.Close()
	return c.Run(ctx)
}

// waits sees that the move does not come to its end by itself, for want of a step.
func (l *leg) waits(step string) {
	l.T.Helper()
	heard := make(chan string, 1000)
	o := l.HandoverOptions()
	o.Report = func(step, missing string) { heard <- step + ": " + missing }
	ctx, cancel := context.WithCancel(l.Ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := l.move(ctx, o)
		ended <- err
	}()
	until := time.After(flowtest.Patience)
	var all []string
	for told := false; !told; {
		select {
		case text := <-heard:
			all = append(all, text)
			told = strings.HasPrefix(text, step) && !strings.Contains(text, "watching")
		case err := <-ended:
			l.T.Fatalf("the move ended with %v, want it to wait for step %s", err, step)
		case <-until:
			l.T.Fatalf("it waits for %q, not for step %s", all, step)
		}
	}
	cancel()
	var waiting *stepwise.WaitingError
	if err := <-ended; !errors.As(err, &waiting) || !strings.Contains(waiting.Remedy(), "--force") {
		l.T.Errorf("interrupted it ends with %v, want what it waits for, and a remedy", err)
	}
}

// refuses sees that the move ends with a refusal that says so, and knows a remedy.
func (l *leg) refuses(want string) {
	l.T.Helper()
	_, err := l.move(l.Ctx, l.HandoverOptions())
	if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) ||
		!strings.Contains(chunk.Remedy(err), "--force") {
		l.T.Fatalf("the move ended with %v and remedy %q, want a refusal like %q", err, chunk.Remedy(err), want)
	}
}

// forced carries the move out, and compares what it gives up with patterns, one each.
func (l *leg) forced(want ...string) {
	l.T.Helper()
	o := l.HandoverOptions()
	if o.Force = true; !l.never {
		o.Patience = time.Second
	}
	told := map[string]bool{}
	o.Report = func(_, text string) { told[text] = true }
	record, err := l.move(l.Ctx, o)
	if err != nil || record.State != handover.Done {
		l.T.Fatalf("by force it ends as %+v, %v", record, err)
	}
	left := record.GivenUp
	for _, pattern := range want {
		re := regexp.MustCompile("^" + pattern + "$")
		for i, text := range left {
			if re.MatchString(text) {
				left = append(left[:i:i], left[i+1:]...)
				re = nil
				break
			}
		}
		if re != nil {
			l.T.Errorf("nothing like %q is given up, but %q", pattern, record.GivenUp)
		}
	}
	if len(left) > 0 {
		l.T.Errorf("more is given up than was in the way: %q", left)
	}
	for _, text := range record.GivenUp {
		known := false
		for line := range told {
			known = known || strings.HasPrefix(line, "given up: ") && strings.Contains(line, text[:12])
		}
		if !known && !l.atOpening(text) {
			l.T.Errorf("nobody was told that this is given up: %q, but %v", text, told)
		}
	}
}

// atOpening says whether a rollback tells of it when it is opened, not on its way.
func (l *leg) atOpening(text string) bool {
	return strings.Contains(text, "since the cutover") || strings.Contains(text, "the cutover:") ||
		strings.Contains(text, "not brought back")
}

// A producer that goes on is waited for, or given up with the count of what it wrote.
func TestForceWhileProducersWrite(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		ctx, cancel := context.WithCancel(l.Ctx)
		p, err := workload.StartProducer(ctx, l.sides.Source, "orders", workload.ProducerSpec{Seed: 1, Rate: 50})
		l.Must("write", err)
		defer cancel()
		l.waits("silent")
		where := "reaches new only while the flow runs"
		if l.back {
			where = "stays on new"
		}
		l.forcedAmong(l.off + ` was not silent: up to [1-9]\d* records arrived in .*s \(orders \d+\); what comes from now ` +
			`on ` + where)
		_, err = p.Stop()
		l.Must("stop writing", err)
	})
}

// forcedAmong carries the move out; what the pattern says is among what it gives up.
func (l *leg) forcedAmong(pattern string) {
	l.T.Helper()
	o := l.HandoverOptions()
	o.Force, o.Patience = true, time.Second
	record, err := l.move(l.Ctx, o)
	if err != nil || record.State != handover.Done ||
		!regexp.MustCompile("(?m)^"+pattern+"$").MatchString(strings.Join(record.GivenUp, "\n")) {
		l.T.Fatalf("by force it ends as %+v, %v, want among it %q", record, err, pattern)
	}
}

// A group that goes on reading is waited for, or given up with the count of what it
// reads again.
func TestForceWhileConsumersRead(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.sides.Source), kgo.ConsumerGroup("billing"),
			kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
		l.Must("consume", err)
		defer client.Close()
		if client.PollFetches(l.Ctx).Empty() {
			t.Fatal("the group reads nothing")
		}
		again := map[bool]int{false: 7, true: 12}[l.back] // 12 or 17 offsets with the flow's marker, 5 of them read
		l.waits("idle")
		l.forced(fmt.Sprintf(`group billing is at work on %s \(1 members\): of what it reads there from its positions on, `+
			`up to %d records are read again on %s`, l.off, again, l.on))
	})
}

// What cannot be copied because a transaction is open is counted.
func TestForceWithOpenTransaction(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.sides.Source), kgo.TransactionalID("open"),
			kgo.DefaultProduceTopic("orders"))
		l.Must("write", err)
		defer client.Close()
		l.Must("begin", client.BeginTransaction())
		three := []*kgo.Record{kgo.StringRecord("a"), kgo.StringRecord("b"), kgo.StringRecord("c")}
		l.Must("write", client.ProduceSync(l.Ctx, three...).FirstErr())
		l.waits("copied")
		l.forced(`orders/0 has an open transaction: up to 3 records are not on ` + l.on)
	})
}

// What a broker does not take is counted; a group that is past it reads again.
func TestForceWithLag(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		l.Plain(l.sides.Source, "orders", 0, 4)
		l.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			l.fake.KeepControl()
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				for _, p := range topic.Partitions {
					if bytes.Contains(p.Records, []byte("plain-")) {
						return nil, errors.New("cut by the test"), true
					}
				}
			}
			return nil, nil, false
		})
		l.waits("copied")
		n := map[bool]int{false: 4, true: 9}[l.back] // with the 4 from after the cutover, and the flow's marker before them
		l.forced(fmt.Sprintf(`orders/0: up to %d records are not on %s`, n, l.on))
	})
}

// A partition that is stopped is refused at once, and given up at once; so is the group
// that stands behind its stop.
func TestForceWithStoppedPartition(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		l.never = l.back // a cutover first tries to copy it
		_, err := l.to.AlterTopicConfigs(l.Ctx, []kadm.AlterConfig{
			{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("20000")}}, "orders")
		l.Must("alter", err)
		noise := make([]byte, 50_000)
		random := rand.NewChaCha8([32]byte{1})
		_, _ = random.Read(noise) // it does not compress
		l.Must("write", workload.Produce(l.Ctx, l.sides.Source, "orders", &kgo.Record{Value: noise}))
		l.Plain(l.sides.Source, "orders", 0, 2)
		l.refuses(`orders/0 is stopped \(.*\): up to \d records are not on ` + l.on)
		ends, err := l.from.ListEndOffsets(l.Ctx, "orders")
		l.Must("list ends", err)
		l.Must("commit", workload.Commit(l.Ctx, l.sides.Source, []workload.Position{
			{Group: "billing", Topic: "orders", At: ends["orders"][0].Offset - 1}}))
		l.forced(`orders/0 is stopped \(.*\): up to 3 records are not on `+l.on, // it stands behind what is copied
			`group billing in orders/0: .*; it stands at \d+: up to 2 records would be read again`)
	})
}

// Positions that somebody moved on the cluster that groups go to are counted as what is
// read again, or skipped.
func TestForceWithWrongPositions(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		l.never = true
		var positions []workload.Position
		for group, at := range map[string]int64{"behind": 2, "ahead": 9, "right": 5} {
			positions = append(positions, workload.Position{Group: group, Topic: "orders", At: at})
			l.Must("commit", workload.Commit(l.Ctx, l.sides.Source, []workload.Position{{Group: group, Topic: "orders", At: 5}}))
		}
		l.Must("commit", workload.Commit(l.Ctx, l.sides.Target, positions))
		l.refuses(`group (ahead|behind) in orders/0: .* up to \d records would be`)
		l.forced(`group behind in orders/0: .*; it stands at 2 and ought to at 5: up to 3 records would be read again`,
			`group ahead in orders/0: .*; it stands at 9 and ought to at 5: up to 4 records would be skipped`)
	})
}

// A tail that is not equal is refused, or given up with the count of each difference.
func TestForceWithChangedRecords(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		l.never = true
		l.Must("write", workload.Produce(l.Ctx, l.sides.Source, "orders", kgo.StringRecord("to be changed")))
		l.fake.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
			l.fake.KeepControl()
			for _, topic := range r.(*kmsg.ProduceRequest).Topics {
				for _, p := range topic.Partitions {
					changeBatch(p.Records)
				}
			}
			return nil, nil, false
		})
		const want = `orders/0: of the records of the last 1h0m0s, 0 are missing, 1 changed, 0 extra, 0 out of order`
		l.refuses(want)
		l.forced(want)
	})
}

// changeBatch makes another text of the record that is to be changed, and sets the checksum right.
func changeBatch(batch []byte) {
	at := bytes.Index(batch, []byte("to be changed"))
	if at < 0 {
		return
	}
	batch[at] = 'T'
	const crcAt, crcFrom = 17, 21 // in a record batch, version 2
	end := 12 + int(binary.BigEndian.Uint32(batch[8:]))
	binary.BigEndian.PutUint32(batch[crcAt:], crc32.Checksum(batch[crcFrom:end], crc32.MakeTable(crc32.Castagnoli)))
}

// What a rollback cannot bring back is refused with its count by partition, and noted
// when it is given up.
func TestForceOfWhatIsNotBroughtBack(t *testing.T) {
	w := flowtest.New(t)
	w.Cfg.Shards = 1
	w.Topic("orders", 3)
	for n := range int32(3) {
		w.Plain(w.Sides.Source, "orders", n, 6)
	}
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	w.Plain(w.Sides.Target, "orders", 2, 2) // of somebody else, before the cutover
	w.Plain(w.Sides.Source, "orders", 2, 1)
	w.Await("the record behind them is copied", func() bool { return w.State("orders", 2).Progress == 7 })
	w.CutOver()
	r.Stop()
	l := &leg{World: w, back: true, on: "old", off: "new", sides: w.Swapped(), from: w.To, to: w.From, fake: w.Source}
	w.Plain(w.Sides.Target, "orders", 0, 5)
	w.DeleteBelow(w.To, "orders", 0, 9)     // the log was [0,6), a marker, 5 records
	w.Plain(w.Sides.Source, "orders", 1, 3) // after the cutover
	w.Plain(w.Sides.Target, "orders", 1, 4)
	want := []string{
		`orders/0: retention has deleted up to [23] records on new that were written since the cutover`,
		`orders/1: up to 3 records were written to old after the cutover: they stay there, and new lacks them`,
		`orders/2: up to 2 records that somebody else wrote to new before the last one that was copied are not brought back`,
	}
	_, err := cutover.OpenRollback(w.Ctx, w.HandoverOptions())
	if err == nil || !regexp.MustCompile(strings.Join(want, ", ")).MatchString(err.Error()) {
		t.Fatalf("it is refused with %v", err)
	}
	// The comparison finds the last ones once more.
	l.forced(append(want, `orders/2: of the records of the last 1h0m0s, 2 are missing, .*`)...)
	ends, err := w.From.ListEndOffsets(w.Ctx, "orders")
	w.Must("list ends", err)
	// 3 of the 5 are left of the first, beside the way back's marker; the others have all.
	for n, at := range map[int32]int64{0: 6 + 3 + 1, 1: 6 + 3 + 4 + 1, 2: 6 + 1} {
		if got := ends["orders"][n].Offset; got != at {
			t.Errorf("orders/%d ends at %d on old, want %d", n, got, at)
		}
	}
	// What was somebody else's on the target is told as that once the flow runs there again.
	if v := w.Verify(verify.Options{}); v.Foreign != 2 || v.Partitions[2].Extra != 0 {
		t.Errorf("verify after the way back: %+v, %+v", v.Counts, v.Partitions[2].Differences)
	}
}

// A stop that the ledger still knows of, and whose cause is gone, is no reason to refuse.
func TestMoveAfterAStopWasMended(t *testing.T) {
	bothLegs(t, func(t *testing.T, l *leg) {
		limit := func(bytes string) {
			_, err := l.to.AlterTopicConfigs(l.Ctx, []kadm.AlterConfig{
				{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr(bytes)}}, "orders")
			l.Must("alter", err)
		}
		limit("20000")
		noise := make([]byte, 50_000)
		random := rand.NewChaCha8([32]byte{1})
		_, _ = random.Read(noise) // it does not compress
		l.Must("write", workload.Produce(l.Ctx, l.sides.Source, "orders", &kgo.Record{Value: noise}))
		l.refuses(`orders/0 is stopped \(.*\): up to \d records are not on ` + l.on)
		limit("1000000")
		if record, err := l.move(l.Ctx, l.HandoverOptions()); err != nil || record.State != handover.Done {
			t.Errorf("the same command ends as %+v, %v", record, err)
		}
	})
}
