package kafka

// A request that changes topics names at most so many, of at most so many partitions
// together: a controller refuses one that makes more than 10,000 metadata records, and
// each partition is one. A single topic may have more partitions.
const (
	TopicsAtOnce     = 100
	PartitionsAtOnce = 2000
)

// Together splits changes of topics, in their order, into those that a controller takes
// in one request; partitions tells how many a change makes.
func Together[S any](changes []S, partitions func(S) int) [][]S {
	var all [][]S
	for len(changes) > 0 {
		n, sum := 1, partitions(changes[0])
		for n < len(changes) && n < TopicsAtOnce && sum+partitions(changes[n]) <= PartitionsAtOnce {
			sum += partitions(changes[n])
			n++
		}
		all, changes = append(all, changes[:n]), changes[n:]
	}
	return all
}
