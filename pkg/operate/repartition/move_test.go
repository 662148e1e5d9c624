package repartition

import (
	"context"
	"errors"
	"testing"

	"replicator/pkg/replicate/kafka"
	announce "replicator/pkg/versions"
)

// running waits until applications are well under way.
func (a *apps) running(more int) {
	a.w.t.Helper()
	_, before := a.total()
	a.w.await("applications work", func() bool {
		_, read := a.total()
		return read >= before+more
	})
}

func TestMoveToAnotherPartitionCount(t *testing.T) {
	for _, c := range []struct {
		name     string
		clusters int
		from, to int32
		noCopy   bool
	}{
		{"more partitions", 1, 3, 12, false},
		{"fewer partitions", 1, 6, 2, false},
		{"without a copy", 1, 3, 12, true},
		{"two clusters", 2, 3, 12, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.clusters)
			w.fakes[0].Topic("orders", c.from)
			a := w.apps()
			w.preload(a, "orders", 10, 6)
			a.start(2, 2)
			a.running(200)
			w.opts.Partitions, w.opts.NoCopy = c.to, c.noCopy
			w.must(Move(w.ctx, w.opts))
			a.running(200)
			a.judge()
			if got := w.ends(c.clusters-1, "orders.v1"); got == 0 {
				t.Error("nothing was written to orders.v1")
			}
			if !c.noCopy {
				a.judgeCopy(c.clusters-1, c.to)
			}
			w.must(Retire(w.ctx, w.opts))
			view, err := announce.Load(w.ctx, w.fakes[0].Client(), "orders")
			w.must(err)
			if old, _ := view.Get("v0"); old.State != announce.Retired || view.Current().Version != "v1" {
				t.Errorf("announced after retiring: %+v", view)
			}
			if w.fakes[0].TopicInfo("orders") != nil {
				t.Error("orders is still there")
			}
		})
	}
}

// killed ends a run at a step, as if the process had died there: nothing is tidied up.
var killed = &kafka.Problem{What: "killed", Fix: "run again"}

// Without a copy nothing has to be done before publishers go on: they are never told
// to stand still, even where the old version is not read to its end for long.
func TestPublishersGoOnWithoutACopy(t *testing.T) {
	w := newWorld(t, 1)
	w.fakes[0].Topic("orders", 3)
	w.commit("idle", "orders", map[int32]int64{0: 0, 1: 0, 2: 0}) // keeps the command waiting
	a := w.apps()
	w.preload(a, "orders", 5, 3)
	a.start(2, 2)
	a.running(50)
	watching, stop := context.WithCancel(w.ctx)
	defer stop()
	watched := a.follow(watching)
	stood := make(chan announce.View, 1)
	a.wg.Go(func() {
		_ = watched.Watch(watching, func(v announce.View) error {
			if !v.Writable() {
				stood <- v
				return errors.New("seen")
			}
			return nil
		})
	})
	o := w.opts
	o.NoCopy = true
	o.Groups = Leave
	w.must(Move(w.ctx, o))
	a.running(200)
	stop()
	a.judge()
	select {
	case v := <-stood:
		t.Errorf("publishers were told to stand still: %+v", v)
	default:
	}
	if !w.heard("do not stand still") {
		t.Error("the command does not say that publishers go on")
	}
}

// A move without a copy goes on, too, where it was killed; the version before is not
// deleted while nothing tells where it ends.
func TestKilledWithoutACopy(t *testing.T) {
	for _, step := range []string{"prepared", "opened", "marked", "over"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, 1)
			w.fakes[0].Topic("orders", 3)
			a := w.apps()
			w.preload(a, "orders", 5, 3)
			a.start(2, 2)
			a.running(50)
			o, left := w.opts, true
			o.NoCopy = true
			o.reached = func(at string) error {
				if at == step && left {
					left = false
					return killed
				}
				return nil
			}
			if err := Move(w.ctx, o); !errors.Is(err, killed) {
				t.Fatalf("step %q: got %v, want to be killed there", step, err)
			}
			if step == "opened" {
				w.refuses(Retire, o, "nothing tells yet where the version before it ends", "run the command without --retire")
			}
			o.NoCopy = step == "prepared" // what is current tells how it was made
			w.must(Move(w.ctx, o))
			a.running(50)
			a.judge()
			w.must(Retire(w.ctx, o))
		})
	}
}

func TestKilledAtEachStep(t *testing.T) {
	for _, step := range []string{"announced v0", "made", "prepared", "written", "noted", "committed", "filled", "ready",
		"stopped", "rest", "marked", "groups", "over"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t, 1)
			w.fakes[0].Topic("orders", 3)
			a := w.apps()
			w.preload(a, "orders", 5, 3)
			a.start(2, 2)
			a.running(50)
			kills := 0
			o := w.opts
			o.reached = func(at string) error {
				if at == step && kills < 2 {
					kills++
					return killed
				}
				return nil
			}
			for {
				err := Move(w.ctx, o)
				if err == nil {
					break
				}
				if !errors.Is(err, killed) {
					t.Fatal(err)
				}
			}
			if kills == 0 {
				t.Fatalf("step %q was never reached", step)
			}
			a.running(50)
			a.judge()
			a.judgeCopy(0, w.opts.Partitions)
		})
	}
}
