package sink

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/wire"
)

// slow lets the target take so long for each Produce.
func (f *fixture) slow(each time.Duration) {
	f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		f.fake.SleepControl(func() {
			select {
			case <-time.After(each):
			case <-f.ctx.Done():
			}
		})
		return nil, nil, false
	})
}

// TestWaitingBatchesAreJoined: what waits for a slow target goes as one batch, in its order, and
// the runs tell of every record; one that comes too early is sent again as it is.
func TestWaitingBatchesAreJoined(t *testing.T) {
	for _, c := range []struct {
		why   string
		each  time.Duration // what the target takes
		early int           // times that the second partition is refused
	}{
		{"quick", 0, 0},
		{"slow", 5 * slowFrom, 0},
		{"slow and too early", 5 * slowFrom, 2},
	} {
		t.Run(c.why, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				if c.early > 0 && !f.v2 {
					return // it is added before
				}
				const single = 2 // records of a batch
				parts := []chunk.Part{dense("orders", 0, 7, 400), part("orders", 1, 0, 300)}
				parts[0].Most, parts[1].Most = BatchMost, BatchMost
				told := 0
				f.cfg.Rebuilt = func(why string) {
					if told++; why != Small {
						f.t.Errorf("rebuilt for %q", why)
					}
				}
				if c.each > 0 {
					f.slow(c.each)
				}
				if c.early > 0 {
					f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{1}, Count: c.early,
						Err: kerr.ConcurrentTransactions})
				}
				e := f.listen()
				s := f.open()
				acked := f.transaction(s, f.carried(parts[0], single), f.carried(parts[1], single))
				f.commit(s, "1")
				if got := runsOf(acked, orders); !reflect.DeepEqual(got, []offsets.Run{{Source: 7, Count: 400}}) {
					f.t.Errorf("%s acked as %v", orders, got)
				}
				var apart []offsets.Run
				for i := range parts[1].Records {
					apart = append(apart, offsets.Run{Source: offsets.Source(2 * i), Target: offsets.Target(i), Count: 1})
				}
				if got := runsOf(acked, orders1); !reflect.DeepEqual(got, apart) {
					f.t.Errorf("%s acked as %v", orders1, got)
				}
				asTheyAre := 0
				for _, h := range e.heard() {
					for at, b := range h.of {
						if h.key == "Produce" && at.Topic == "orders" && b.Count() == single {
							asTheyAre++
						}
					}
				}
				if c.each > 0 && told == 0 || c.early == 0 && told+asTheyAre != (400+300)/single {
					f.t.Errorf("%d batches were joined, %d were sent as they are", told, asTheyAre)
				}
				for n, p := range parts {
					var values []string
					for _, r := range p.Records {
						values = append(values, string(r.Value))
					}
					if got := f.values("orders", int32(n)); !slices.Equal(got, values) {
						f.t.Errorf("orders/%d has %d records: %v", n, len(got), got)
					}
				}
			})
		})
	}
}

// TestOnlySmallBatchesAreJoined: only what is small, in one codec, and fits the topics, becomes one.
func TestOnlySmallBatchesAreJoined(t *testing.T) {
	const small, large = 100, joinMost + 1
	for _, c := range []struct {
		why    string
		most   int // bytes that the topics take
		sizes  []int
		codecs []kgo.CompressionCodecType // of each; none: not compressed
		want   int
	}{
		{"all small", BatchMost, []int{small, small, small}, nil, 3},
		{"one", BatchMost, []int{small}, nil, 0},
		{"a large one follows", BatchMost, []int{small, small, large, small}, nil, 2},
		{"a large one is first", BatchMost, []int{large, small, small}, nil, 0},
		{"topics take little", 600, []int{small, small, small, small, small, small}, nil, 3},
		{"topics take less than two", 200, []int{small, small}, nil, 0},
		{"topics take them compressed", 1000, []int{600, 600}, []kgo.CompressionCodecType{kgo.CodecZstd, kgo.CodecZstd}, 0},
		{"what topics take is not known", 0, []int{small, small}, nil, 0},
		{"another codec", BatchMost, []int{small, small, small}, []kgo.CompressionCodecType{0, 0, kgo.CodecLz4}, 2},
		{"too many", BatchMost, slices.Repeat([]int{joinMost / 2}, 100), nil, 2*joinedMax/joinMost - 1},
	} {
		var all []chunk.Batch
		for i, size := range c.sizes {
			codec := kgo.CodecNone
			if c.codecs != nil {
				codec = c.codecs[i]
			}
			raw, err := wire.Encode([]*kgo.Record{{Value: bytes.Repeat([]byte("v"), size)}}, codec)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, chunk.Batch{Raw: raw, First: offsets.Source(i), Count: 1})
		}
		joined, n := (&queue{batches: all, most: c.most}).join()
		if n != c.want || joined.Count != n || joined.Offsets != nil || n > 0 && len(joined.Raw) > c.most {
			t.Errorf("%s: %d of %d became one of %d records and %d bytes, want %d",
				c.why, n, len(all), joined.Count, len(joined.Raw), c.want)
		}
	}
}

// TestFewRequestsAreUnderWayAtFirst: before anything is known of the target's pace, a transaction waits for no
// more than so many answers once nothing is added to it.
func TestFewRequestsAreUnderWayAtFirst(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const size = joinMost
		f.cfg.Window = NewWindow(1 << 30)
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 1)) // the first of a partition would go alone
		f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			return nil, nil, true // never answered
		})
		p := dense("orders", 0, 1, 2*anyway)
		for i := range p.Records {
			p.Records[i].Value = make([]byte, size)
		}
		ctx, cancel := context.WithCancel(f.ctx)
		written := make(chan error, 1)
		go func() { written <- s.Write(ctx, f.carried(p, 1), "orders") }()
		under := func() int64 { return f.cfg.Window.used.Load() / size }
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for under() < anyway && f.ctx.Err() == nil {
			<-tick.C
		}
		time.AfterFunc(20*slowFrom, cancel) // more would have gone out by then
		if err := <-written; !errors.Is(err, context.Canceled) {
			f.t.Errorf("written with nothing acknowledged: %v", err)
		}
		if under() != anyway {
			f.t.Errorf("%d requests are under way, want %d", under(), anyway)
		}
	})
}

// TestPaceBoundsRequestsUnderWay: what a request takes is measured by those that wait for another, and says how
// many may be under way.
func TestPaceBoundsRequestsUnderWay(t *testing.T) {
	p := &pace{}
	at := time.Now()
	answer := func(went, came time.Duration) {
		p.learn(&sent{at: at.Add(went), came: at.Add(came)})
	}
	answer(0, 50*time.Millisecond)
	answer(60*time.Millisecond, 110*time.Millisecond) // alone: a round trip
	if p.each != 0 || p.most() != anyway {
		t.Errorf("the pace is %s, %d may be under way", p.each, p.most())
	}
	for i := range 100 { // a long line, and one answer every 10 ms
		answer(time.Duration(100+10*i)*time.Millisecond, time.Duration(120+10*i)*time.Millisecond)
	}
	if p.each < 9*time.Millisecond || p.each > 10*time.Millisecond || p.most() < 500 || p.most() > 560 {
		t.Errorf("the pace is %s, %d may be under way", p.each, p.most())
	}
	for i := range 100 {
		answer(0, time.Duration(2000+200*i)*time.Millisecond)
	}
	if p.most() != anyway {
		t.Errorf("the pace is %s, %d may be under way", p.each, p.most())
	}
}
