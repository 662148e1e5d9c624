package cluster

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

// providers are the ways to get a broker, best first.
var providers = []provider{docker{}, jvm{}}

// chosen is decided once per process: the forced provider, or the first whose
// check passes for the default version. What dead test processes have left
// behind goes on the occasion.
var chosen = sync.OnceValues(func() (provider, error) {
	forced := os.Getenv("REPLICATOR_KAFKA_PROVIDER")
	var whyNot []error
	for _, p := range providers {
		if forced != "" && forced != p.name() {
			continue
		}
		err := p.check(DefaultVersion)
		if err == nil {
			if err := sweep(p); err != nil {
				fmt.Fprintf(os.Stderr, "integration/cluster: clear away brokers of earlier tests: %v\n", err)
			}
			for _, err := range whyNot {
				fmt.Fprintf(os.Stderr, "integration/cluster: brokers by %s, since %v\n", p.name(), err)
			}
			return p, nil
		}
		whyNot = append(whyNot, fmt.Errorf("%s: %w", p.name(), err))
	}
	if whyNot == nil {
		return nil, fmt.Errorf("REPLICATOR_KAFKA_PROVIDER is %q; docker and jvm are accepted", forced)
	}
	return nil, errors.Join(whyNot...)
})

// need gives a provider, or ends the test: skipped, or failed where brokers
// are required.
func need(t testing.TB) provider {
	t.Helper()
	p, err := chosen()
	if err != nil {
		unavailable(t, err)
	}
	return p
}

// needFor is need for one cluster, which may ask for a broker on this machine's disk.
func needFor(t testing.TB, s *spec) provider {
	t.Helper()
	p := need(t)
	if !s.onDisk || p.name() == (jvm{}).name() {
		return p
	}
	if err := (jvm{}).check(s.version); err != nil {
		unavailable(t, err)
	}
	return jvm{}
}

func unavailable(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("REPLICATOR_REQUIRE_KAFKA") == "1" {
		t.Fatalf("REPLICATOR_REQUIRE_KAFKA=1, and no Kafka broker can be had: %v", err)
	}
	t.Skipf("no Kafka broker can be had here (REPLICATOR_REQUIRE_KAFKA=1 makes this a failure): %v", err)
}
