package shard

import (
	"context"
	"testing"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/listoffsets"
)

// Whoever ends a one-off copy is told which transactions it waits for, although the last question was given up.
func TestOpenTransactionsOutliveAQuestionInVain(t *testing.T) {
	orders := chunk.Partition{Topic: "orders"}
	var g Goal
	g.Observe(listoffsets.Offsets{orders: {Offset: 1}}, time.Now()) // before there is a goal
	g.Set(map[chunk.Partition]offsets.Source{orders: 5})
	if open := g.Open(); len(open) > 0 {
		t.Errorf("nothing was asked yet: %v", open)
	}
	later := time.Now().Add(time.Second)
	g.Observe(listoffsets.Offsets{orders: {Offset: 2}}, later)
	g.Observe(listoffsets.Offsets{orders: {Err: context.Canceled}}, later)
	g.Observe(nil, later)
	if open := g.Open(); len(open) != 1 {
		t.Errorf("open: %v, want the one of orders/0", open)
	}
	g.Observe(listoffsets.Offsets{orders: {Offset: 5}}, later)
	if open := g.Open(); len(open) > 0 {
		t.Errorf("it has ended: %v", open)
	}
}
