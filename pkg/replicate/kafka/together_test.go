package kafka

import (
	"slices"
	"testing"
)

func TestTogetherKeepsRequestsSmall(t *testing.T) {
	partitions := slices.Repeat([]int{1}, 350)
	partitions = append(partitions, 1500, 600, 5000, 1)
	var sent []int
	for _, request := range Together(partitions, func(n int) int { return n }) {
		sum := 0
		for _, n := range request {
			sum += n
		}
		if len(request) > TopicsAtOnce || len(request) > 1 && sum > PartitionsAtOnce {
			t.Errorf("a request for %d topics with %d partitions", len(request), sum)
		}
		sent = append(sent, request...)
	}
	if !slices.Equal(sent, partitions) {
		t.Errorf("%d of %d were sent", len(sent), len(partitions))
	}
}
