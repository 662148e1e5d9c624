package groups

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"replicator/pkg/offsets"
)

// pair are two logs, each of which a flow copies into the other, with a shared group that uses them, as lists.
type pair struct {
	logs    [2][]int // ids of records, 0 for a marker
	natives [2]map[int]bool
	done    [2]int        // how far the flow that begins at a side has come there
	at      [2]*Committed // of the group
	read    map[int]bool  // by the group, and committed
	made    int
	rules   [2]Rule // of both flows, by the side where they begin
}

func newPair() *pair {
	return &pair{natives: [2]map[int]bool{{}, {}}, read: map[int]bool{}, rules: rules}
}

// rules are those of a shared group.
var rules = [2]Rule{
	{Flow: "a->b", Opposite: []string{"b->a"}, Shared: true}, {Flow: "b->a", Opposite: []string{"a->b"}, Shared: true},
}

func (p *pair) write(side, n int) {
	for range n {
		p.made++
		p.logs[side] = append(p.logs[side], p.made)
		p.natives[side][p.made] = true
	}
}

func (p *pair) carry(from, n int) {
	wrote := false
	for ; n > 0 && p.done[from] < len(p.logs[from]); n-- {
		if id := p.logs[from][p.done[from]]; p.natives[from][id] {
			p.logs[1-from], wrote = append(p.logs[1-from], id), true
		}
		p.done[from]++
	}
	if wrote {
		p.logs[1-from] = append(p.logs[1-from], 0)
	}
}

// translate is what a translator answers, found by looking at every record.
func (p *pair) translate(from int, s int64, stands Place) Answer {
	if done := p.done[from]; int(s) > done {
		end := p.translate(from, int64(done), stands)
		return Answer{Rule: offsets.NotYet, Reached: &Reached{offsets.Source(done), end.Target, end.Passes}}
	}
	been, here := map[int]bool{0: true}, 0
	for _, id := range p.logs[from][:s] {
		been[id] = true
	}
	if stands.Read {
		here = int(*stands.At)
	}
	for _, id := range p.logs[1-from][:here] {
		been[id] = true
	}
	at, passes := here, int64(0)
	for ; at < len(p.logs[1-from]) && been[p.logs[1-from][at]]; at++ {
		if p.logs[1-from][at] != 0 {
			passes++
		}
	}
	return Answer{Target: offsets.Target(at), Rule: offsets.InRun, Ready: true, Passes: passes}
}

// sync is one round of the flow that begins at a side.
func (p *pair) sync(from int) (wrote bool) {
	source, target, rule := p.at[from], p.at[1-from], p.rules[from]
	if source == nil {
		return false
	}
	a := p.translate(from, source.Offset, rule.Place(*source, target))
	d := rule.Decide(*source, target, a)
	if !d.Write {
		return false
	}
	by := offsets.Source(source.Offset)
	if d.Reached != nil {
		by = d.Reached.Source
	}
	p.at[1-from] = &Committed{int64(d.Target), Mark{rule.Flow, by, d.Target}.Format()}
	return true
}

// use has the application read some records on a side, and commit.
func (p *pair) use(side, n int) {
	at := 0
	if p.at[side] != nil {
		at = int(p.at[side].Offset)
	}
	end := min(at+n, len(p.logs[side]))
	for _, id := range p.logs[side][at:end] {
		p.read[id] = true
	}
	if n > 0 {
		p.at[side] = &Committed{Offset: int64(end)}
	}
}

// unread says which record before a side's position was not read; 0: none.
func (p *pair) unread(side int) int {
	if p.at[side] == nil {
		return 0
	}
	for _, id := range p.logs[side][:p.at[side].Offset] {
		if id != 0 && !p.read[id] {
			return id
		}
	}
	return 0
}

// best is the first record of a side that was not read.
func (p *pair) best(side int) int64 {
	for at, id := range p.logs[side] {
		if id != 0 && !p.read[id] {
			return int64(at)
		}
	}
	return int64(len(p.logs[side]))
}

// passed counts the records in [from,to) of a side.
func (p *pair) passed(side int, from, to int64) (n int) {
	for _, id := range p.logs[side][min(from, to):to] {
		if id != 0 {
			n++
		}
	}
	return n
}

// An application that is stopped on one side and started on the other, any number of times, finds its position before
// all that it has not read. Once the flows have caught up it is the best that there is, unless what it has committed on
// a side has expired.
func TestSharedGroupGoesToAndFro(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		p, side, expires := newPair(), 0, seed%3 == 0
		for step := range 80 {
			switch rnd.IntN(7) {
			case 0, 1:
				p.write(rnd.IntN(2), 1+rnd.IntN(3))
			case 2, 3:
				p.carry(rnd.IntN(2), 1+rnd.IntN(6))
			case 4:
				p.use(side, rnd.IntN(5))
			case 5:
				side = rnd.IntN(2)
				if expires && rnd.IntN(8) == 0 {
					p.at[1-side] = nil
				}
			case 6:
				p.sync(rnd.IntN(2)) // the broker lets it, as there are no members between two uses
			}
			for s := range 2 {
				if id := p.unread(s); id != 0 {
					t.Fatalf("seed %d, step %d: side %d stands at %+v, behind record %d, which was not read", seed, step, s,
						p.at[s], id)
				}
			}
		}
		p.settle(t, fmt.Sprintf("seed %d", seed))
		for s := range 2 {
			if p.at[s] == nil || expires {
				continue
			}
			if best := p.best(s); p.passed(s, p.at[s].Offset, best) > 0 {
				t.Errorf("seed %d: side %d stands at %+v, the best is %d", seed, s, p.at[s], best)
			}
		}
	}
}

// lose has a side lose its log, which the other refills with all that it holds. What the group has read is told by its
// position on the other alone.
func (p *pair) lose(side int) {
	other := 1 - side
	p.logs[side], p.natives[side], p.done, p.at[side] = nil, map[int]bool{}, [2]int{}, nil
	clear(p.read)
	for at, id := range p.logs[other] {
		p.natives[other][id] = id != 0
		if p.at[other] != nil && at < int(p.at[other].Offset) {
			p.read[id] = true
		}
	}
}

// A side that is lost and refilled takes over what the group has read on the other: offsets of the log that was there
// before say nothing, in whatever order the flows and the application go on. A group that is not shared stays at home.
func TestGroupOfALostSide(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		p, side, shared := newPair(), 0, seed%2 == 0
		p.rules[0].Shared, p.rules[1].Shared = shared, shared
		for range 4 {
			for range 12 {
				p.write(rnd.IntN(2), rnd.IntN(3))
				p.carry(rnd.IntN(2), rnd.IntN(6))
				p.use(side, rnd.IntN(4))
				p.sync(rnd.IntN(2))
				if shared && rnd.IntN(4) == 0 {
					side = rnd.IntN(2)
				}
			}
			p.standsBest(t, fmt.Sprintf("seed %d", seed))
			lost := rnd.IntN(2)
			p.lose(lost)
			for range rnd.IntN(8) {
				if shared { // else what is written first in the new log is read first, and again what comes behind it
					p.write(rnd.IntN(2), rnd.IntN(2))
				}
				p.carry(rnd.IntN(2), rnd.IntN(4))
				if shared || lost == 1 {
					p.use(1-lost, rnd.IntN(2))
				}
				p.sync(rnd.IntN(2))
			}
			p.standsBest(t, fmt.Sprintf("seed %d, side %d was lost", seed, lost))
			if shared {
				side = rnd.IntN(2)
			}
		}
	}
}

// standsBest has the flows settle, and asks whether the group stands, on both sides, just behind what it has read.
func (p *pair) standsBest(t *testing.T, why string) {
	t.Helper()
	p.settle(t, why)
	for s := range 2 {
		at := p.at[s]
		if at == nil {
			at = &Committed{}
		}
		if best := p.best(s); p.unread(s) != 0 || p.passed(s, at.Offset, best) > 0 {
			t.Fatalf("%s: side %d stands at %+v, the best is %d", why, s, at, best)
		}
	}
}

// A group that is set back where it is used is set back on the other side too, and not put forward again.
func TestSharedGroupIsSetBack(t *testing.T) {
	p := newPair()
	p.write(0, 10)
	p.use(0, 10)
	p.settle(t, "at the end")
	p.at[0] = &Committed{Offset: 4}
	if p.sync(1) {
		t.Fatal("the opposite flow moves the position, though its own is void")
	}
	p.settle(t, "set back")
	if p.at[0].Offset != 4 || p.at[1].Offset != 4 {
		t.Errorf("the group stands at %+v and %+v, want 4 on both sides", p.at[0], p.at[1])
	}
	// It goes on, on the other side, and is set back there.
	p.use(1, 6)
	p.settle(t, "on the other side")
	p.at[1] = &Committed{Offset: 2}
	p.settle(t, "set back on the other side")
	if p.at[0].Offset != 2 || p.at[1].Offset != 2 {
		t.Errorf("the group stands at %+v and %+v, want 2 on both sides", p.at[0], p.at[1])
	}
}

// What a consumer has committed stays where nothing but a marker comes next.
func TestSharedGroupKeepsWhatAConsumerCommitted(t *testing.T) {
	p := newPair()
	p.write(0, 3)
	p.use(0, 3)
	p.carry(0, 3) // three copies and a marker
	p.use(1, 3)
	if p.sync(0) || p.at[1].Metadata != "" {
		t.Errorf("the position was moved to %+v", p.at[1])
	}
	p.write(0, 2)
	p.use(0, 2)
	if p.sync(0) || p.at[1].Metadata != "" {
		t.Errorf("ahead of the copy, the position was moved to %+v", p.at[1])
	}
}

func TestWhereASharedGroupLives(t *testing.T) {
	ours, theirs := Mark{"a->b", 7, 9}.Format(), Mark{"b->a", 9, 7}.Format()
	for _, c := range []struct {
		why            string
		source, target int
		onSource       string
		onTarget       *string
		want           Side
	}{
		{why: "members on the source", source: 2, want: OnSource},
		{why: "members on the target", target: 1, onTarget: &ours, want: OnTarget},
		{why: "members on both", source: 1, target: 1, want: OnBoth},
		{why: "committed last on the source", onTarget: &ours, want: OnSource},
		{why: "never on the target", want: OnSource},
		{why: "committed last on the target", onSource: theirs, onTarget: new(string), want: OnTarget},
		{why: "committed on both", onTarget: new(string), want: OnSomeSide},
		{why: "no commit but of flows", onSource: theirs, onTarget: &ours, want: OnSomeSide},
	} {
		at := Position{Source: Committed{7, c.onSource}}
		if c.onTarget != nil {
			at.Target = &Committed{9, *c.onTarget}
		}
		if got := rules[0].SideOf(c.source, c.target, []Position{at}); got != c.want {
			t.Errorf("%s: it lives on %q, want %q", c.why, got, c.want)
		}
	}
}

// settle has both flows copy all, and both sync until nothing is written.
func (p *pair) settle(t *testing.T, why string) {
	t.Helper()
	for range 2 {
		p.carry(0, len(p.logs[0]))
		p.carry(1, len(p.logs[1]))
	}
	for rounds := 0; p.sync(0) || p.sync(1); rounds++ {
		if rounds > 4 {
			t.Fatalf("%s: the positions go on and on: %+v, %+v", why, p.at[0], p.at[1])
		}
	}
}
