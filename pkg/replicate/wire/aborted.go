package wire

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Aborted knows which batches of one answer belong to transactions that were
// aborted (KIP-98): the broker tells where each began, its marker tells its end.
type Aborted struct {
	begins []kmsg.FetchResponseTopicPartitionAbortedTransaction // not reached yet, ascending
	open   map[int64]bool                                       // by producer id
}

// NewAborted takes what an answer lists, in any order.
func NewAborted(list []kmsg.FetchResponseTopicPartitionAbortedTransaction) *Aborted {
	begins := slices.Clone(list) // not every broker sorts it
	slices.SortFunc(begins, func(x, y kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(min(max(x.FirstOffset-y.FirstOffset, -1), 1))
	})
	return &Aborted{begins: begins, open: map[int64]bool{}}
}

// Hides says whether a reader must not see the batch, of magic 2: a marker, or part of
// an aborted transaction. Batches are asked for in the order of their offsets, each as
// often as one likes.
func (a *Aborted) Hides(b Batch) bool {
	for len(a.begins) > 0 && a.begins[0].FirstOffset <= b.Last() {
		a.open[a.begins[0].ProducerID] = true
		a.begins = a.begins[1:]
	}
	if b.Control() {
		delete(a.open, b.ProducerID()) // an abort's marker ends it; a commit's can only come for one that is not open
		return true
	}
	return b.Transactional() && a.open[b.ProducerID()]
}
