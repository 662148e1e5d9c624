package integration

import (
	"maps"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"replicator/integration/cluster"
)

// The source hangs (SIGSTOP), and the daemon with it: the source is given up. Both wake, and the applications of the
// old side are at work there again: none of that comes to the target, and it is told as orphans. Then that cluster is
// lost for good, and an empty one takes its place, to which the applications return by the runbook: it has all that the
// target has.
func TestSourceHangsAndIsBuiltAnew(t *testing.T) {
	for _, name := range []string{"one way", "a pair"} {
		t.Run(name, func(t *testing.T) {
			source := cluster.Start(t, append(brokerConfig(), cluster.Named("hung"))...)
			_, target := shared(t)
			a := newApps(t, source, target)
			if name == "a pair" {
				a.bothWays()
			}
			a.hangs()
			a.wakes()
			a.givenUp = a.onSourceAlone() // they are lost with it
			a.acts = map[string]func(){"old is built anew": a.isBuiltAnew}
			a.follow(filepath.Join("..", "docs", "runbooks", "built-anew.md"))
			a.await("applications are at work", func() bool { return len(a.consumers[a.source].So()) > 500 })
			a.finish()
			a.count(a.readBefore())
			a.site.copyOnce()
			a.haveAllButLost()
		})
	}
}

// hangs stops the source and the daemon, and has applications go on at the target.
func (a *apps) hangs() {
	a.t.Helper()
	a.daemon = a.site.run()
	a.await("the group follows", func() bool {
		sum, everywhere := a.standsOnTarget()
		return len(a.consumers[a.source].So()) > 1000 && everywhere && sum > 500
	})
	a.source.Pause()
	a.must(a.daemon.cmd.Process.Signal(syscall.SIGSTOP))
	a.readAtLoss = len(a.consumers[a.source].So())
	a.command(`replicator failover -c site.yaml --flow "old->new" --yes`)
	a.act("start the producers on new")
	a.act("start the consumers on new")
}

// wakes has the source, its applications and the daemon go on: nothing of the source is copied. They are stopped then.
func (a *apps) wakes() {
	a.t.Helper()
	fromSource := func(on *cluster.Cluster) (n int) {
		for key := range a.log(on) {
			if len(key) <= len("live-")+6 { // those of the target have larger numbers
				n++
			}
		}
		return n
	}
	copied := fromSource(a.target)
	a.source.Resume()
	old := a.producers[a.source]
	written := old.So().Acked
	a.await("the old producers go on", func() bool { return old.So().Acked > written+300 })
	a.stopConsuming(a.source)
	a.must(a.daemon.cmd.Process.Signal(syscall.SIGCONT))
	a.await("the daemon says that the flow is closed", func() bool {
		return strings.Contains(a.daemon.out.String(), "flow old->new is closed: it failed over at ")
	})
	if out, code := a.site.command("failback", "--flow", "old->new", "--yes"); code != 1 ||
		!strings.Contains(out, "records that were never copied") {
		a.t.Errorf("failback without a word ended with %d:\n%s", code, out)
	}
	a.stopProducing(a.source)
	a.await("what they committed is to be seen", func() bool { return fromSource(a.source) == a.written[a.source][0][1] })
	a.daemon.kill() // where it has another flow it is at work
	if n := fromSource(a.target); n != copied {
		a.t.Errorf("the target had %d records of the source when it was given up, and %d after it woke", copied, n)
	}
}

// isBuiltAnew puts an empty cluster in the place of the source.
func (a *apps) isBuiltAnew() {
	a.t.Helper()
	lost := a.source
	lost.Kill()
	anew := cluster.Start(a.t, append(brokerConfig(), cluster.Named("anew"))...)
	a.site.edit(lost.Bootstrap(), anew.Bootstrap())
	a.reads[anew], a.written[anew] = a.reads[lost], a.written[lost]
	delete(a.reads, lost)
	delete(a.written, lost)
	a.source, a.site.source = anew, anew
}

// haveAllButLost: both sides hold each record that was written and not lost, once.
func (a *apps) haveAllButLost() {
	a.t.Helper()
	want, read := a.wanted(), a.keys()
	for key := range a.givenUp {
		if read[key] > 0 {
			want--
		}
	}
	source, target := a.log(a.source), a.log(a.target)
	a.t.Logf("%d records on the source, %d on the target, want %d; %d were lost", len(source), len(target), want,
		len(a.givenUp))
	if !maps.Equal(source, target) || len(target) != want {
		a.t.Errorf("%d records are on the source and %d on the target, want the same %d", len(source), len(target), want)
	}
	for key, n := range target {
		if n != 1 || a.givenUp[key] {
			a.t.Errorf("%s is there %d times; lost: %v", key, n, a.givenUp[key])
		}
	}
}
