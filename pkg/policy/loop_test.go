package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// flowsOf reads "a->b b->a:prefix a->c=ledger".
func flowsOf(t *testing.T, text string) []Flow {
	t.Helper()
	var flows []Flow
	for _, word := range strings.Fields(text) {
		f := Flow{Naming: Identity, Separator: DefaultSeparator}
		word, f.Ledger, _ = strings.Cut(word, "=")
		word, prefix := strings.CutSuffix(word, ":prefix")
		if prefix {
			f.Naming = Prefix
		}
		var ok bool
		if f.From, f.To, ok = strings.Cut(word, "->"); !ok {
			t.Fatalf("flow %q", word)
		}
		flows = append(flows, f)
	}
	return flows
}

func TestLoops(t *testing.T) {
	for _, c := range []struct{ flows, want, why string }{
		{"a->b", "", "one way"},
		{"a->b b->c a->c", "", "a fan without a circle"},
		{"a->c b->c", "", "two into one"},
		{"a->b b->a:prefix", "", "prefix one way"},
		{"a->b:prefix b->a:prefix", "", "prefix both ways"},
		{"a->a:prefix", "", "within one cluster under a prefix"},
		{"a->b b->c c->a:prefix", "", "a circle that a prefix breaks"},
		{"a->a", "0 naming: identity naming from a to itself", "onto itself"},
		{"a->b b->a", "1 naming: identity naming all the way b->a->b would", "both directions"},
		{"a->b b->c c->a", "2 naming: identity naming all the way c->a->b->c", "a circle over three"},
		{"a->b c->d b->c d->a c->a", "3 naming: all the way d->a->b->c->d|4 naming: all the way c->a->b->c", "two circles"},
		{"a->b a->b:prefix", "1 to: flow a->b is there already as flows[0]", "one flow twice"},
		{"a->c=x b->c=x", "1 ledger: flows[0], a->c, keeps its ledger in topic x of c too", "one ledger on one target"},
		{"a->c=x a->b=x", "", "one ledger name on two targets"},
		{"a->c b->c=__replicator.a.c", "1 ledger: flows[0]", "a ledger that is another's default"},
		{"a->b=x b->a", "1 naming: both flows have to see", "ledgers apart, still a circle"},
	} {
		got := Loops(flowsOf(t, c.flows))
		var want []string
		if c.want != "" {
			want = strings.Split(c.want, "|")
		}
		ok := len(got) == len(want)
		for i := 0; ok && i < len(got); i++ {
			place, message, _ := strings.Cut(want[i], ": ")
			ok = fmt.Sprintf("%d %s", got[i].Flow, got[i].Path) == place && strings.Contains(got[i].Message, message)
		}
		if !ok {
			t.Errorf("%s: Loops(%s) = %+v, want %q", c.why, c.flows, got, c.want)
		}
	}
}

func TestNeverCopiedBack(t *testing.T) {
	for _, c := range []struct {
		flows string // the first one is asked
		topic string
		by    string // "": copied
		why   string
	}{
		{"a->b:prefix", "orders", "", "an own topic"},
		{"a->b:prefix", "b.orders", "b->a", "the opposite flow may run elsewhere"},
		{"a->b:prefix", "bb.orders", "", "begins alike only"},
		{"a->b:prefix", "b.", "", "a prefix and nothing after it is no copy"},
		{"a->b:prefix", "a.orders", "", "the own prefix on the own source is somebody's topic"},
		{"a->b b->a:prefix", "b.orders", "b->a", "identity here, prefix in the opposite flow"},
		{"a->b", "b.orders", "", "no opposite flow is known"},
		{"b->a:prefix a->b", "a.orders", "a->b", "what the opposite flow calls the same"},
		{"a->b:prefix b->c:prefix c->a:prefix", "c.b.orders", "b->c", "over a third cluster"},
		{"a->b:prefix b->c:prefix c->a:prefix", "c.orders", "", "the third cluster's own"},
		{"b->c a->b c->a:prefix", "c.orders", "c->a", "carried on under the prefixed name"},
		{"a->b b->c c->a:prefix", "c.orders", "", "from c on its way to b"},
		{"a->b b->c:prefix c->a", "b.orders", "b->c", "prefixed on the way before"},
	} {
		flows := flowsOf(t, c.flows)
		f := flows[0]
		p, err := New(Config{Flow: f, Topics: []string{".*"}, Flows: flows})
		if err != nil {
			t.Fatal(err)
		}
		_, v := p.Topic(c.topic)
		if v.Selected != (c.by == "") || c.by != "" && !strings.Contains(v.Why, "by flow "+c.by+" and is never copied back") {
			t.Errorf("%s: flow %s, topic %s: %+v, want copied back by %q", c.why, c.flows, c.topic, v, c.by)
		}
	}
}

// FuzzCirclesEnd lets topics spread over random flows that Loops accepts: none comes
// back to where it was, and their number stays finite.
func FuzzCirclesEnd(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Add(uint64(219)) // every cluster copies onto itself and onwards: eight prefixes are possible
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		const clusters = "abcd"
		var flows []Flow
		for range 2 + rnd.IntN(6) {
			next := Flow{From: string(clusters[rnd.IntN(4)]), To: string(clusters[rnd.IntN(4)]), Naming: Identity}
			if rnd.IntN(2) == 0 {
				next.Naming, next.Separator = Prefix, "."
			}
			if len(Loops(append(flows, next))) == 0 {
				flows = append(flows, next)
			}
		}
		policies := make([]*Policy, len(flows))
		for i, f := range flows {
			p, err := New(Config{Flow: f, Topics: []string{".*"}, Flows: flows})
			if err != nil {
				t.Fatal(err)
			}
			policies[i] = p
		}
		const open, done = 1, 2
		state := map[visit]int{}
		var spread func(at visit)
		spread = func(at visit) {
			// Each cluster is left under a prefix once, and copied onto itself once before.
			if state[at] == open || strings.Count(at.topic, ".") > 2*len(clusters) {
				t.Fatalf("seed %d: flows %v send a topic round: %v", seed, flows, at)
			}
			if state[at] == done {
				return
			}
			state[at] = open
			for i, f := range flows {
				if target, v := policies[i].Topic(at.topic); f.From == at.cluster && v.Selected {
					spread(visit{f.To, target})
				}
			}
			state[at] = done
		}
		for _, c := range clusters {
			spread(visit{string(c), "orders"})
		}
	})
}

// Two flows that name one topic of one target are told; what only patterns could choose
// is not.
func TestShared(t *testing.T) {
	flow := func(from, to string, naming Naming, topics ...string) Config {
		c := DefaultConfig()
		c.From, c.To, c.Naming, c.Topics = from, to, naming, topics
		return c
	}
	for _, c := range []struct {
		why     string
		configs []Config
		want    string
	}{
		{"the same name", []Config{flow("a", "c", Identity, "orders"), flow("b", "c", Identity, "users", "orders")},
			"1 topics[1] flows[0], a->c, fills topic orders of c too"},
		{"escaped", []Config{flow("a", "c", Identity, `shop\.orders`), flow("b", "c", Identity, "shop.orders")},
			"1 topics[0] flows[0], a->c, fills topic shop.orders of c too"},
		{"under a prefix", []Config{flow("a", "c", Prefix, "orders"), flow("b", "c", Identity, "a.orders")},
			"1 topics[0] flows[0], a->c, fills topic a.orders of c too"},
		{"apart by prefix", []Config{flow("a", "c", Prefix, "orders"), flow("b", "c", Prefix, "orders")}, ""},
		{"two targets", []Config{flow("a", "c", Identity, "orders"), flow("a", "d", Identity, "orders")}, ""},
		{"patterns", []Config{flow("a", "c", Identity, ".*"), flow("b", "c", Identity, "orders.*")}, ""},
		{"twice in one", []Config{flow("a", "c", Identity, "orders", "orders")}, ""},
	} {
		got := ""
		for _, p := range Shared(c.configs) {
			got += fmt.Sprintf("%d %s %s", p.Flow, p.Path, p.Message)
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}
