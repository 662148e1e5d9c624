package source

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// progress is one part that came out.
type progress struct {
	partition chunk.Partition
	next      offsets.Source
	records   int
}

// TestNothingIsLeftOnlyWhereABrokerSaysSo: below the last stable offset, with an answer that is
// empty as a whole, of a broker that has what stands there on its own disks.
func TestNothingIsLeftOnlyWhereABrokerSaysSo(t *testing.T) {
	data := func(f *fixture, stable int64) kmsg.FetchResponseTopicPartition {
		return holds(stable, at(0, f.encode(numbered(2)...)))
	}
	for _, c := range []struct {
		why     string
		answers func(*fixture) []says
		local   func(*fixture) // what the broker says of where its own log begins
		want    []progress
	}{
		{"all is empty", func(*fixture) []says { return twice(says{0: holds(10), 1: holds(7)}) }, nil,
			[]progress{{orders, 10, 0}, {orders1, 7, 0}}},
		{"one is empty and at its end", func(*fixture) []says { return twice(says{0: holds(10), 1: holds(0)}) }, nil,
			[]progress{{orders, 10, 0}}},
		{"the broker was too slow once", func(f *fixture) []says {
			return []says{{0: holds(10), 1: holds(0)}, {0: data(f, 10), 1: holds(0)}}
		}, nil, []progress{{orders, 2, 2}}},
		{"the other one fills the answer", func(f *fixture) []says {
			return []says{{0: holds(10), 1: data(f, 2)}, {0: data(f, 10), 1: holds(2)}}
		}, nil, []progress{{orders1, 2, 2}, {orders, 2, 2}}},
		{"others have news all the time", func(f *fixture) []says {
			var all []says
			for i := range int64(5) { // every other time it is named first
				all = append(all, says{0: holds(10), 1: holds(i+1, at(i, f.encode(numbered(1)...)))})
			}
			return all
		}, nil, []progress{{orders1, 1, 1}, {orders1, 2, 1}, {orders1, 3, 1}, {orders1, 4, 1}, {orders, 10, 0}}},
		{"the broker throttles", func(f *fixture) []says {
			return []says{{0: data(f, 10), 1: holds(0)}, {}, {0: holds(10, at(2, f.encode(numbered(1)...))), 1: holds(0)}}
		}, nil, []progress{{orders, 2, 2}, {orders, 3, 1}}},
		{"one is left out", func(f *fixture) []says {
			return []says{{0: data(f, 10), 1: holds(0)}, {1: holds(6)}, {1: holds(6)},
				{0: holds(10, at(2, f.encode(numbered(1)...)))}}
		}, nil, []progress{{orders, 2, 2}, {orders1, 6, 0}, {orders, 3, 1}}},
		{"the rest of a batch is all there is", func(f *fixture) []says {
			return []says{{0: holds(10, f.encode(numbered(1)...)[:20])}, {0: data(f, 10)}}
		}, nil, []progress{{orders, 2, 2}}},
		{"old records are elsewhere", func(f *fixture) []says {
			return append(twice(says{0: holds(10), 1: holds(0)}), says{0: data(f, 10), 1: holds(0)})
		}, func(f *fixture) { f.localFrom(4) }, []progress{{orders, 2, 2}}},
		{"it is not told where they are", func(f *fixture) []says {
			return append(twice(says{0: holds(10), 1: holds(0)}), says{0: data(f, 10), 1: holds(0)})
		}, func(f *fixture) {
			f.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Partitions: []int32{0},
				Count: -1, Err: kerr.UnknownServerError})
		}, []progress{{orders, 2, 2}}},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFixture(t, batchLane)
			if c.local != nil {
				c.local(f)
			}
			f.script(c.answers(f)...)
			f.assign(start(orders), start(orders1))
			var got []progress
			for len(got) < len(c.want) {
				for _, part := range f.next().Parts {
					got = append(got, progress{part.Partition, part.Next, len(f.records(part))})
					if part.Empty() && part.Epoch != chunk.UnknownEpoch {
						t.Errorf("%s: nothing was read up to %d, and its epoch is %d", part.Partition, part.Next, part.Epoch)
					}
				}
			}
			for i := range got {
				if i >= len(c.want) || got[i] != c.want[i] {
					t.Fatalf("came %v, want %v", got, c.want)
				}
			}
		})
	}
}

// twice is what is said two times in a row: once is no proof.
func twice(one says) []says { return []says{one, one} }

// localFrom lets the broker say that its own log begins there, and old records are elsewhere.
func (f *fixture) localFrom(offset int64) {
	const earliestLocal = -4
	f.fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		request := r.(*kmsg.ListOffsetsRequest)
		response := request.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range request.Topics {
			said := kmsg.NewListOffsetsResponseTopic()
			said.Topic = topic.Topic
			for _, asked := range topic.Partitions {
				if asked.Timestamp != earliestLocal {
					f.t.Errorf("asked for offset %d of %s", asked.Timestamp, topic.Topic)
				}
				p := kmsg.NewListOffsetsResponseTopicPartition()
				p.Partition, p.Offset = asked.Partition, offset
				said.Partitions = append(said.Partitions, p)
			}
			response.Topics = append(response.Topics, said)
		}
		return response, nil, true
	})
}
