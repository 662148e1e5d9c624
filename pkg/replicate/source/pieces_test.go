package source

import (
	"slices"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
)

// TestPiecesTellHowFarTheyGo: an answer comes in pieces, and each tells how far it goes: the source can be
// read on from there, or from anywhere before.
func TestPiecesTellHowFarTheyGo(t *testing.T) {
	onBatchLanes(t, func(f *fixture) {
		const batches, records = 9, 3 // of orders/0
		for i := range batches {
			if i == 4 { // the rest is of another leader epoch
				f.must("move", f.fake.MoveTopicPartition("orders", 0, f.fake.LeaderFor("orders", 0)))
			}
			f.store(orders, f.encode(numbered(records)...))
		}
		f.begin(2) // nothing visible between the batches
		f.end(false)
		f.store(orders, f.encode(numbered(records)...))
		f.store(orders1, f.encode(numbered(records)...))
		size := len(f.encode(numbered(records)...))
		const end = batches*records + 3 + records
		piece := func() (chunk.Chunk, map[chunk.Partition]chunk.Part) {
			f.t.Helper()
			for {
				c, err := f.reader.Next(f.ctx, Limit{Bytes: 2*size + 1, Wait: time.Second})
				f.must("next", err)
				f.must("next", f.ctx.Err())
				parts := map[chunk.Partition]chunk.Part{}
				for _, part := range c.Parts {
					parts[part.Partition] = part
				}
				if len(parts) > 0 {
					f.check(c)
					return c, parts
				}
			}
		}
		for from := offsets.Source(0); from < batches*records; from += 2 {
			f.assign(f.from(from)) // what was left of the answer before is not brought any more
			var seen []offsets.Source
			for next := offsets.Source(0); next < end; {
				c, parts := piece()
				part := parts[orders]
				var first, last offsets.Source
				bytes := 0
				for i, b := range part.Batches {
					bytes += len(b.Raw)
					for n := range b.Count {
						last = b.Source(n)
						seen = append(seen, last)
					}
					if i == 0 {
						first = b.Source(0)
					}
				}
				whole := part.Next == end
				if part.Next != last+1 || first < next || len(part.Batches) > 3 || !whole && len(part.Batches) < 3 {
					f.t.Fatalf("from %d: %d batches of offsets %d to %d, next is %d", from, len(part.Batches), first, last, part.Next)
				}
				epoch := int32(0)
				if last >= 4*records {
					epoch = 1
				}
				if part.Epoch != epoch || part.Newest != 1000+records-1 {
					f.t.Errorf("from %d: next is %d: epoch %d, newest %d", from, part.Next, part.Epoch, part.Newest)
				}
				if c.Bytes != bytes {
					f.t.Errorf("from %d: a piece of %d bytes says %d", from, bytes, c.Bytes)
				}
				next = part.Next
			}
			var want []offsets.Source
			for at := from; at < end; at++ {
				if at < batches*records || at >= end-records {
					want = append(want, at)
				}
			}
			if !slices.Equal(seen, want) {
				f.t.Errorf("from %d: offsets %v", from, seen)
			}
		}
		f.assign(f.from(1)) // a piece that ends with a batch that was rebuilt tells an epoch, by which a cut is noticed
		c, err := f.reader.Next(f.ctx, Limit{Bytes: 1, Wait: time.Minute})
		f.must("next", err)
		if part := c.Parts[0]; part.Next != records || part.Batches[0].Offsets == nil || part.Epoch < 0 {
			f.t.Errorf("next is %d, epoch %d, offsets %v", part.Next, part.Epoch, part.Batches[0].Offsets)
		}
		f.assign(start(orders), start(orders1)) // each piece has of both, as long as they last
		all := map[chunk.Partition]int{}
		for all[orders] < (batches+1)*records || all[orders1] < records {
			_, parts := piece()
			for p, part := range parts {
				for _, b := range part.Batches {
					all[p] += b.Count
				}
			}
		}
	})
}
