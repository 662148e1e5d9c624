package sink

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
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

// slowUntilJoined lets the target answer nothing from a Produce on, until so many batches
// were joined. It gives the reasons that were told.
func (f *fixture) slowUntilJoined(from, n int) func() map[string]int {
	var mu sync.Mutex
	told, joined := map[string]int{}, make(chan struct{})
	f.cfg.Rebuilt = func(why string) {
		mu.Lock()
		defer mu.Unlock()
		if told[why]++; told[why] == n {
			close(joined)
		}
	}
	written := 0
	f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		if written++; written == from {
			f.fake.SleepControl(func() {
				select {
				case <-joined:
				case <-f.ctx.Done():
				}
			})
		}
		return nil, nil, false
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return told
	}
}

// TestSmallOnesAreJoined: what waits for a slow target goes as one batch, in its order, and
// the runs tell of every record; one that comes too early is sent again as it is.
func TestSmallOnesAreJoined(t *testing.T) {
	for _, c := range []struct {
		why   string
		early int // times that the second partition is refused
	}{{"taken", 0}, {"too early", 2}} {
		t.Run(c.why, func(t *testing.T) {
			onBatchLanes(t, func(f *fixture) {
				if c.early > 0 && !f.second {
					return // it is announced before
				}
				const records, single, second = 400, 2, 60
				parts := []chunk.Part{dense("orders", 0, 7, records), part("orders", 1, 0, second)}
				want := []int{records / single, second / single}
				from := 1
				if f.second { // the first of each has its answer before more is sent
					from = 2
				}
				asTheyAre := from - 1 + joinFrom // requests
				joined := want[0] - asTheyAre
				if c.early == 0 { // both have a batch in each request
					joined += want[1] - asTheyAre
				} else {
					f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "orders", Partitions: []int32{1}, Count: c.early,
						Err: kerr.ConcurrentTransactions})
				}
				told := f.slowUntilJoined(from, joined)
				e := f.listen()
				s := f.open()
				landed := f.transaction(s, f.carried(parts[0], single), f.carried(parts[1], single))
				requests := slices.DeleteFunc(e.keys(), func(key string) bool { return key != "Produce" })
				f.commit(s, "1")
				if small := told(); c.early == 0 && (len(requests) != asTheyAre+1 || small[Small] != joined || len(small) != 1) {
					f.t.Errorf("%d requests, %v", len(requests), small)
				}
				if got := runsOf(landed, orders); !reflect.DeepEqual(got, []offsets.Run{{Source: 7, Count: records}}) {
					f.t.Errorf("%s landed as %v", orders, got)
				}
				var apart []offsets.Run
				for i := range second {
					apart = append(apart, offsets.Run{Source: offsets.Source(2 * i), Target: offsets.Target(i), Count: 1})
				}
				if got := runsOf(landed, orders1); !reflect.DeepEqual(got, apart) {
					f.t.Errorf("%s landed as %v", orders1, got)
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

// TestJoin: only what is small, in one codec, and fits the topics, becomes one.
func TestJoin(t *testing.T) {
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
		joined, n := (&Batches{cfg: Config{BatchBytes: c.most}}).join(all)
		if n != c.want || joined.Count != n || joined.Offsets != nil || len(joined.Raw) > c.most {
			t.Errorf("%s: %d of %d became one of %d records and %d bytes, want %d",
				c.why, n, len(all), joined.Count, len(joined.Raw), c.want)
		}
	}
}

// TestUnderWay: a transaction waits for no more than so many answers once nothing is added to it.
func TestUnderWay(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const size = joinMost
		f.cfg.Window = NewWindow(1 << 30)
		s := f.open()
		f.transaction(s, part("orders", 0, 0, 1)) // the first of a partition would go alone
		f.fake.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			return nil, nil, true // never answered
		})
		p := dense("orders", 0, 1, 2*mostUnderWay)
		for i := range p.Records {
			p.Records[i].Value = make([]byte, size)
		}
		ctx, cancel := context.WithTimeout(f.ctx, time.Second)
		defer cancel()
		if err := s.Write(ctx, f.carried(p, 1), "orders"); !errors.Is(err, context.DeadlineExceeded) {
			f.t.Errorf("written with nothing acknowledged: %v", err)
		}
		if under := f.cfg.Window.used.Load() / size; under != mostUnderWay {
			f.t.Errorf("%d requests are under way, want %d", under, mostUnderWay)
		}
	})
}
