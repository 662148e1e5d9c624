package judge

import (
	"context"
	"encoding/binary"
	"hash/maphash"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sums are only compared inside one process, so a seed of its own is enough.
var seed = maphash.MakeSeed()

// entry is what is remembered of a record: where it was, and a sum over
// everything that must arrive unchanged.
type entry struct {
	offset int64
	sum    uint64
	key    uint64
}

func newEntry(r *kgo.Record) entry {
	var h maphash.Hash
	h.SetSeed(seed)
	field(&h, r.Key)
	key := h.Sum64()
	field(&h, r.Value)
	number(&h, int64(len(r.Headers)))
	for _, header := range r.Headers {
		number(&h, int64(len(header.Key)))
		h.WriteString(header.Key)
		field(&h, header.Value)
	}
	number(&h, r.Timestamp.UnixMilli())
	return entry{offset: r.Offset, sum: h.Sum64(), key: key}
}

// field writes length and bytes; null has length -1, so it is not empty.
func field(h *maphash.Hash, b []byte) {
	if b == nil {
		number(h, -1)
		return
	}
	number(h, int64(len(b)))
	h.Write(b)
}

func number(h *maphash.Hash, n int64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

// window looks ahead over the visible records of one partition.
type window struct {
	cursor *cursor
	ahead  []entry
	head   int // ahead[head] is the first record not yet dropped
}

// at returns the record i places ahead; false if there is none below the bound.
func (w *window) at(ctx context.Context, i int) (entry, bool, error) {
	for w.head+i >= len(w.ahead) {
		records, err := w.cursor.read(ctx)
		if err != nil || len(records) == 0 {
			return entry{}, false, err
		}
		if w.head > 0 { // what was dropped makes room
			w.ahead = w.ahead[:copy(w.ahead, w.ahead[w.head:])]
			w.head = 0
		}
		for _, r := range records {
			w.ahead = append(w.ahead, newEntry(r))
		}
	}
	return w.ahead[w.head+i], true, nil
}

// fill reads until n records lie ahead and returns those that do, at most n.
func (w *window) fill(ctx context.Context, n int) ([]entry, error) {
	if _, _, err := w.at(ctx, n-1); err != nil {
		return nil, err
	}
	return w.ahead[w.head:min(w.head+n, len(w.ahead))], nil
}

func (w *window) drop(n int) { w.head += n }

// ring holds the sums of the records last matched, by their number.
type ring struct {
	sums []uint64
	next int64 // the number of the record to come
}

func (r *ring) add(sum uint64) {
	if len(r.sums) < maxLook {
		r.sums = append(r.sums, sum)
	} else {
		r.sums[r.next%maxLook] = sum
	}
	r.next++
}

func (r *ring) first() int64 { return r.next - int64(len(r.sums)) }

func (r *ring) at(i int64) uint64 { return r.sums[i%maxLook] }

// find returns the newest record with that sum, or -1.
func (r *ring) find(sum uint64) int64 {
	for i := r.next - 1; i >= r.first(); i-- {
		if r.at(i) == sum {
			return i
		}
	}
	return -1
}
