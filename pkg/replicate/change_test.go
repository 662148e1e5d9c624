package replicate_test

import (
	"errors"
	"strings"
	"testing"

	"replicator/internal/flowtest"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// A flow goes on by other rules, without its process ending; rules that cannot begin leave the former ones at work.
func TestFlowIsChangedWhileItRuns(t *testing.T) { flowtest.OnLanes(t, testFlowIsChangedWhileItRuns) }

func testFlowIsChangedWhileItRuns(t *testing.T, w *flowtest.World) {
	for _, topic := range []string{"orders", "more", "later"} {
		w.Topic(topic, 1)
		w.Plain(w.Sides.Source, topic, 0, 10)
	}
	w.Cfg.Topics = []string{"orders"}
	settings.Introduce([]settings.Config{w.Cfg})
	r := w.Start(nil)
	r.Reaches(10)
	progress := func(topic string) int64 {
		p, _ := r.Shown(topic, 0)
		return int64(p.Progress)
	}
	refused := make(chan error, 10)
	change := func(to func(*settings.Config)) {
		t.Helper()
		cfg := w.Cfg
		to(&cfg)
		w.Must("change", r.Engine.Change(w.Ctx, w.Clusters(), []settings.Config{cfg}, func(err error) { refused <- err }))
	}
	change(func(c *settings.Config) { c.Topics = []string{"orders", "more"} })
	w.Await("the other topic is copied", func() bool { return progress("more") == 10 })
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r.Reaches(20)

	change(func(c *settings.Config) { c.Topics, c.Shards = []string{"orders", "later"}, 5 })
	err := <-refused
	var shards *ledger.ShardsError
	if !errors.As(err, &shards) || !strings.Contains(err.Error(), "the former one goes on") {
		t.Errorf("got %v, want that the number of shards is refused", err)
	}
	w.Plain(w.Sides.Source, "more", 0, 10)
	w.Await("the former rules are at work again", func() bool { return progress("more") == 20 })
	if n := progress("later"); n > 0 {
		t.Errorf("a topic of the refused rules is copied up to %d", n)
	}
	before := strings.Count(w.Log.String(), "\n")
	change(func(c *settings.Config) { c.Topics = []string{"orders", "more"} })
	w.Plain(w.Sides.Source, "orders", 0, 10)
	r.Reaches(30)
	if lines := strings.Split(w.Log.String(), "\n")[before:]; strings.Contains(strings.Join(lines, "\n"), "shard") {
		t.Errorf("the same rules disturb the flow:\n%s", strings.Join(lines, "\n"))
	}
	if len(refused) > 0 {
		t.Errorf("refused: %v", <-refused)
	}
	var again *replicate.RefusedError
	if !errors.As(err, &again) {
		t.Errorf("got %T", err)
	}
}
