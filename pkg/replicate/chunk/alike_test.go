package chunk

import (
	"fmt"
	"testing"
)

// Stops of a topic are one line, whatever the number of its partitions; those that differ in more than partition and
// offset are lines of their own.
func TestOneLineForATopic(t *testing.T) {
	var stops []*Stop
	for n := range int32(12) {
		stops = append(stops, &Stop{Partition: Partition{Topic: "orders", Number: n}, Kind: StopForeign, Fix: "ask",
			Reason: fmt.Sprintf("a record at offset %d", n)})
	}
	stops = append(stops,
		&Stop{Partition: Partition{Topic: "orders", Number: 3}, Kind: StopSourceTruncated, Reason: "cut", Fix: "decide"},
		&Stop{Partition: Partition{Topic: "users"}, Kind: StopForeign, Reason: "a record at offset 0", Fix: "ask"})
	want := []string{"orders/0, 1, 2, 3, 4, 5, 6, 7 and 4 more: a record at offset 0 (the others alike)",
		"orders/3: cut", "users/0: a record at offset 0"}
	got := Together(stops)
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].Error() != want[i] || got[i].Remedy() != got[i][0].Fix {
			t.Errorf("got %q, want %q", got[i].Error(), want[i])
		}
	}
}
