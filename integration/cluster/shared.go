package cluster

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// shared holds the clusters that all tests of this process use together.
var shared struct {
	mu       sync.Mutex
	ready    bool // Main runs and will end them
	clusters map[string]func() (*nodes, error)
}

// Shared gives the cluster of that name, started by the first call in this test
// process and ended by [Main]. Tests that share it keep apart by topic, group
// and transactional id; one that stops or reconfigures a broker takes [Start].
// Options count only in the call that starts it.
func Shared(t testing.TB, name string, opts ...Option) *Cluster {
	t.Helper()
	return sharedOf(t, opts, name)[0]
}

// SharedPair gives the shared clusters "source" and "target", started at once.
func SharedPair(t testing.TB, opts ...Option) (source, target *Cluster) {
	t.Helper()
	pair := sharedOf(t, opts, "source", "target")
	return pair[0], pair[1]
}

func sharedOf(t testing.TB, opts []Option, names ...string) []*Cluster {
	t.Helper()
	p := need(t)
	made, errs := make([]*nodes, len(names)), make([]error, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		get := starter(p, name, opts)
		if get == nil {
			t.Fatalf("shared cluster %s: nothing would end it; add func TestMain(m *testing.M) { cluster.Main(m) }", name)
		}
		wg.Go(func() { made[i], errs[i] = get() })
	}
	wg.Wait()
	var clusters []*Cluster
	for i, n := range made {
		if errs[i] != nil {
			t.Fatalf("start shared cluster %s: %v", names[i], errs[i])
		}
		clusters = append(clusters, &Cluster{t, n})
	}
	return clusters
}

// starter gives the function that starts a shared cluster once and then returns
// it, or nil where Main does not run.
func starter(p provider, name string, opts []Option) func() (*nodes, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.ready {
		return nil
	}
	if shared.clusters[name] == nil {
		s := newSpec(append([]Option{Named(name)}, opts...))
		shared.clusters[name] = onceInFull(func() (*nodes, error) { return open(p, s) })
	}
	return shared.clusters[name]
}

// onceInFull calls f once. Its error is told in full to the first caller only:
// it ends with a log, and every test that shares the broker fails with it.
func onceInFull(f func() (*nodes, error)) func() (*nodes, error) {
	var told atomic.Bool
	once := sync.OnceValues(f)
	return func() (*nodes, error) {
		n, err := once()
		if err != nil && told.Swap(true) {
			return nil, errors.New("it has failed to start before, see the first test that asked for it")
		}
		return n, err
	}
}

// Main runs the tests, ends the shared clusters and exits.
func Main(m *testing.M) {
	shared.mu.Lock()
	shared.ready, shared.clusters = true, map[string]func() (*nodes, error){}
	shared.mu.Unlock()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	for name, get := range shared.clusters {
		n, err := get()
		if err != nil {
			continue // the test that asked for it has failed with this
		}
		if err := n.close(); err != nil {
			fmt.Fprintf(os.Stderr, "end shared cluster %s: %v\n", name, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
