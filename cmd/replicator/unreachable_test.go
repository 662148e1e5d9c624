package main

import (
	"net"
	"strings"
	"sync"
	"testing"

	"replicator/internal/kafkatest"
)

// A cluster that does not answer is told as that by every verb: none takes it for one on
// which there is nothing, neither before a cutover nor after one.
func TestUnreachableIsNotNothing(t *testing.T) {
	t.Parallel()
	verbs := []string{
		"rollback --dry-run", "rollback --yes", "cutover --dry-run", "cutover --yes", "cutover --undo --yes",
		"verify", "status", "wait --lag 0", "wait --drained", "drained", "offsets --topic orders --partition 0 --at 9",
		"check --connect", "plan --rate 1MiB", "ledger", "topics", "topics restore", "resume --dry-run",
		"orphans", "failback",
	}
	for _, name := range []string{"old", "new"} {
		if name == "new" { // which alone a failover needs
			verbs = append(verbs, "failover --dry-run", "failover --yes")
		}
		for _, over := range []bool{false, true} {
			w := newWorld(t)
			w.source.Topic("orders", 1)
			w.source.Fill("orders", 0, 5)
			w.must("run", "--until-caught-up")
			if over {
				w.must("cutover", "--yes", "--silent-for", "0s")
			}
			map[string]*kafkatest.Cluster{"old": w.source, "new": w.target}[name].Close()
			var together sync.WaitGroup // each waits for its tries
			for _, line := range verbs {
				together.Go(func() {
					got := w.run(strings.Fields(line)...)
					said := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
					if got.code != exitFailed || !strings.Contains(said, "cluster "+name) ||
						!strings.Contains(said, "connection refused") {
						t.Errorf("%s is away, cut over %v: %s: exit %d\n%s%s", name, over, line, got.code, got.stdout, got.stderr)
					}
				})
			}
			together.Wait()
		}
	}
}

// A time-out holds from the first question on, also beside a cluster that takes connections and is silent.
func TestTimeOutHoldsBesideASilentCluster(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.config = w.write(w.source.Address(), silent.Addr().String())
	const silentOnes = "the clusters had not answered when the time"
	for line, says := range map[string]string{
		"wait --lag 0 --timeout 200ms":                         "not in time: flow old->new: not known yet: " + silentOnes,
		"cutover --dry-run --silent-for 100ms --timeout 200ms": silentOnes + "-out of 200ms came",
	} {
		got := w.run(strings.Fields(line)...)
		if said := strings.Join(strings.Fields(got.stderr), " "); got.code != exitFailed || !strings.Contains(said, says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", line, got.code, exitFailed, says, got.stdout, got.stderr)
		}
	}
}
