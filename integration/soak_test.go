package integration

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// TestSoak makes faults at random, round after round, for REPLICATOR_SOAK, such
// as "1h". It prints the seed that chose them; REPLICATOR_SOAK_SEED repeats it.
func TestSoak(t *testing.T) {
	limit := os.Getenv("REPLICATOR_SOAK")
	if limit == "" {
		t.Skip("REPLICATOR_SOAK says for how long, as in REPLICATOR_SOAK=1h ('make soak')")
	}
	lasts, err := time.ParseDuration(limit)
	must(t, err)
	seed := rand.Uint64()
	if given := os.Getenv("REPLICATOR_SOAK_SEED"); given != "" {
		seed, err = strconv.ParseUint(given, 10, 64)
		must(t, err)
	}
	t.Logf("REPLICATOR_SOAK_SEED=%d", seed)
	source, target := cluster.Pair(t)
	random := rand.New(rand.NewPCG(seed, 0))
	for round, until := 1, time.Now().Add(lasts); time.Now().Before(until); round++ {
		ok := t.Run("round-"+strconv.Itoa(round), func(t *testing.T) {
			soakRound(t, source.For(t), target.For(t), random)
		})
		if !ok {
			t.Fatalf("round %d failed: REPLICATOR_SOAK_SEED=%d", round, seed)
		}
	}
}

// soakRound makes three to six faults, with groups that move between them, and
// judges. Its topics go at the end, so that a long soak needs no more disk than a
// short one.
func soakRound(t *testing.T, source, target *cluster.Cluster, random *rand.Rand) {
	lane := []string{"batch", "record"}[random.IntN(2)]
	t.Logf("lane %s", lane)
	h := startHardDay(t, source, target, lane, random.Uint64N(1<<32), 4000)
	for range 3 + random.IntN(4) {
		f := faults[random.IntN(len(faults))]
		t.Logf("%s: %s", time.Now().Format(time.TimeOnly), f.name)
		h.do(f)
		_, err := workload.CommitRandom(h.ctx, source.Bootstrap(), workload.GroupSpec{
			Seed: random.Uint64(), Prefix: unique(t), Groups: 12, Topics: h.topics})
		must(t, err)
	}
	h.end()
	for _, topic := range h.topics {
		deleteTopic(h.ctx, t, source.Bootstrap(), topic)
		deleteTopic(h.ctx, t, target.Bootstrap(), topic)
	}
}
