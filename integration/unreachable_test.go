package integration

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// A cluster that is not there when the daemon starts is named with a remedy, and
// the flow begins by itself once it is.
func TestUnreachable(t *testing.T) {
	source, target := cluster.Pair(t)
	ctx := deadline(t, 4*time.Minute)
	name := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), name))
	mixed(ctx, t, source.Bootstrap(), name, 100, 1000, 2)
	groups := stand(ctx, t, source.Bootstrap(), 101, 5, name)
	for _, away := range []struct {
		side string
		is   *cluster.Cluster
	}{{"old", source}, {"new", target}} {
		t.Run(away.side, func(t *testing.T) {
			s, address := newSite(t, source, target, "topics: ["+name+"]", "groups: [\""+name+"-.*\"]").replica()
			is := away.is.For(t)
			is.Stop()
			d := s.run()
			want := []string{"cluster " + away.side, "cannot be reached", "check that the brokers in"}
			d.says(90*time.Second, append(want, "remedy=")...)
			if code, text := get(t, address, "/readyz"); code != 503 || !holds(text, want...) {
				t.Errorf("/readyz answers %d: %s", code, text)
			}
			if code, _ := get(t, address, "/healthz"); code != 200 {
				t.Errorf("/healthz answers %d, while the process lives", code)
			}
			if out, code := s.command("status"); code != 1 || !holds(out, append(want, "remedy:")...) {
				t.Errorf("status ended with %d:\n%s", code, out)
			}
			is.Start()
			judged(ctx, t, s.sides(), []string{name}, groups)
			eventually(t, time.Minute, "the daemon is ready", func() bool {
				code, _ := get(t, address, "/readyz")
				return code == 200
			})
			d.stop()
			target := target.Bootstrap() // the next side begins anew
			deleteTopic(ctx, t, target, name)
		})
	}
}

// get asks the daemon's own server.
func get(t *testing.T, address, path string) (code int, text string) {
	t.Helper()
	answer, err := http.Get("http://" + address + path)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(body)
}

// A one-off copy does not wait for ever for a cluster that nobody answers for.
func TestUnreachableOnce(t *testing.T) {
	t.Parallel() // it mostly waits
	source, _ := shared(t)
	s := newSite(t, source, source, patterns(t, []string{unique(t)})...)
	text, err := os.ReadFile(s.path)
	must(t, err)
	target := "new: {bootstrap.servers: \""
	at := strings.Index(string(text), target) + len(target)
	text = append(text[:at:at], append([]byte(freeAddress(t)), text[at+len(source.Bootstrap()):]...)...)
	must(t, os.WriteFile(s.path, text, 0o600))
	s.run("--until-caught-up").fails(2*time.Minute, "cluster new", "cannot be reached")
}

// A target that cannot make its transaction log is told apart from one that is
// away: nothing is copied, and what to look at is named.
func TestTargetWithoutTransactions(t *testing.T) {
	t.Parallel() // it mostly waits
	source, _ := shared(t)
	target := cluster.Start(t, cluster.Named("bare"), cluster.Config("transaction.state.log.replication.factor", "3"))
	onLanes(t, func(t *testing.T, lane string) {
		ctx := deadline(t, 4*time.Minute)
		name := unique(t)
		must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), name))
		mixed(ctx, t, source.Bootstrap(), name, 102, 500, 2)
		s := newSite(t, source.For(t), target.For(t), patterns(t, []string{name}, "lane: "+lane)...)
		d := s.run()
		d.says(100*time.Second, "cluster new", "transaction", "remedy=", "transaction.state.log.replication.factor")
		d.stop()
	})
}
