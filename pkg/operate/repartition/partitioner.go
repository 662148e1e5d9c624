package repartition

import (
	"hash/crc32"
	"slices"
	"strings"

	"replicator/pkg/replicate/chunk"
)

// partitioner says where a producer puts a key. The names are librdkafka's;
// murmur2_random is also what the Java client does.
type partitioner struct {
	name string
	hash func(key []byte) uint32
	// spread: a key without a place, which such producers put anywhere.
	spread func(key []byte) bool
}

// Java is the partitioner of the Java client, and of those that follow it.
const Java = "murmur2_random"

func never([]byte) bool          { return false }
func missing(key []byte) bool    { return key == nil }
func emptyToo(key []byte) bool   { return len(key) == 0 }
func murmur2(key []byte) uint32  { return chunk.Murmur2(key) & 0x7fffffff }
func checksum(key []byte) uint32 { return crc32.ChecksumIEEE(key) }

// fnv1a is the absolute value of the 32-bit hash, as Sarama and librdkafka have it.
func fnv1a(key []byte) uint32 {
	h := uint32(2166136261)
	for _, b := range key {
		h = (h ^ uint32(b)) * 16777619
	}
	if int32(h) < 0 {
		h = -h
	}
	return h
}

var partitioners = []partitioner{
	{Java, murmur2, missing},
	{"murmur2", murmur2, never},
	{"consistent_random", checksum, emptyToo},
	{"consistent", checksum, never},
	{"fnv1a_random", fnv1a, missing},
	{"fnv1a", fnv1a, never},
}

// Partitioners are the names that are known.
func Partitioners() []string {
	var names []string
	for _, p := range partitioners {
		names = append(names, p.name)
	}
	return names
}

func partitionerNamed(name string) (partitioner, bool) {
	at := slices.IndexFunc(partitioners, func(p partitioner) bool { return p.name == name })
	if at < 0 {
		return partitioner{}, false
	}
	return partitioners[at], true
}

// of is the partition of a key; keys that are spread have none.
func (p partitioner) of(key []byte, partitions int32) (partition int32, ok bool) {
	if p.spread(key) {
		return 0, false
	}
	return int32(p.hash(key) % uint32(partitions)), true
}

// placed is a key and the partition where it stands.
type placed struct {
	key       []byte
	partition int32
}

// misfits counts the keys that stand where the partitioner would not have put them.
func (p partitioner) misfits(sample []placed, partitions int32) (wrong int) {
	for _, s := range sample {
		if at, ok := p.of(s.key, partitions); ok && at != s.partition {
			wrong++
		}
	}
	return wrong
}

// fitting names the partitioners that explain where every key of the sample stands.
func fitting(sample []placed, partitions int32) []string {
	var names []string
	for _, p := range partitioners {
		if p.misfits(sample, partitions) == 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// advice is what to do about keys that stand elsewhere.
func advice(sample []placed, partitions int32) string {
	const force = "; --force copies anyway, and gives up the order of keys that stand in several partitions, " +
		"or that publishers put elsewhere"
	fit := fitting(sample, partitions)
	if len(fit) == 0 {
		return "none of the known partitioners (" + strings.Join(Partitioners(), ", ") + ") explains where the keys " +
			"stand: publishers may differ, or partitions were added once; wait until retention has taken the old " +
			"records, or use --no-copy, which begins with an empty version" + force
	}
	return "use the partitioner that fits what was looked at: --partitioner " + strings.Join(fit, ", or ") + force
}
