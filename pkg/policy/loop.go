package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Flow is what flows need to know of each other: where each copies, and under which names.
type Flow struct {
	From, To string // the clusters' names
	// What all names begin with that are ours on each cluster: of topics, groups and transactional ids. "": all names
	// are ours.
	SourcePrefix, TargetPrefix string
	Naming                     Naming
	Separator                  string // between From and the topic's name, with naming: prefix; at least one character
	Ledger                     string // topic on the target, without TargetPrefix; "": defaultLedger

	Habits

	// Of a flow of another configuration, which may call the same clusters otherwise:
	// what it calls its source, and what it is called itself. "": as here.
	CalledFrom, Called string
}

// String is the flow's name, as old->new.
func (f Flow) String() string {
	if f.Called != "" {
		return f.Called
	}
	return f.From + "->" + f.To
}

// LedgerTopic is the topic on the target that holds the flow's maps and progress.
func (f Flow) LedgerTopic() string { return f.TargetPrefix + f.ledger() }

// ledger is its logical name.
func (f Flow) ledger() string {
	if f.Ledger != "" {
		return f.Ledger
	}
	return defaultLedger(f.From, f.To)
}

// prefix is what naming puts before the logical name of a topic.
func (f Flow) prefix() string {
	if f.Naming == Identity {
		return ""
	}
	if f.CalledFrom != "" {
		return f.CalledFrom + f.Separator
	}
	return f.From + f.Separator
}

// targetPrefix is what the names of all topics that the flow writes begin with.
func (f Flow) targetPrefix() string { return f.TargetPrefix + f.prefix() }

// Apart says that no topic which the flow may write has a name that it may read,
// so that it can go on within one cluster: neither of the prefixes that such names
// begin with begins with the other.
func (f Flow) Apart() bool {
	reads, writes := f.SourcePrefix, f.targetPrefix()
	return !strings.HasPrefix(writes, reads) && !strings.HasPrefix(reads, writes) &&
		!strings.HasPrefix(f.LedgerTopic(), reads)
}

// LedgerPrefix begins the logical name of the ledger of every flow that names none.
const LedgerPrefix = "__replicator."

// defaultLedger is the logical name of the ledger topic of a flow that names none.
func defaultLedger(from, to string) string { return LedgerPrefix + from + "." + to }

// visit is a topic of a cluster, by its logical name.
type visit struct{ cluster, topic string }

// cameByName walks the ways on which a topic of the cluster, by its logical name,
// may have come there, and says whether one begins at the policy's target with a prefix that
// proves it. The walk goes through identity flows as well: a.orders may have been
// carried on under that name. A record that has left a cluster under a prefix never
// comes back to it then, and Loops refuses circles without a prefix: every way ends.
func (p *Policy) cameByName(cluster, topic string, seen map[visit]bool) (by Flow, back bool) {
	if seen[visit{cluster, topic}] {
		return Flow{}, false
	}
	seen[visit{cluster, topic}] = true
	for _, f := range p.flows {
		if f.To != cluster {
			continue
		}
		before := topic
		if f.Naming == Prefix {
			rest, ok := strings.CutPrefix(topic, f.prefix())
			if !ok || rest == "" {
				continue
			}
			if f.From == p.self.To {
				return f, true
			}
			before = rest
		}
		if by, back := p.cameByName(f.From, before, seen); back {
			return by, true
		}
	}
	return Flow{}, false
}

// Problem is a fault of a set of flows, found at one of them.
type Problem struct {
	Flow    int    // index into the flows
	Path    string // key within that flow
	Message string // what is wrong and what to do
}

// Loops answers every fault that only shows when all flows are seen together: one
// flow listed twice, two flows with one ledger, and identity naming in a circle.
// Two flows that write the same topics of one target are for [Shared], where the names
// tell, and else for the engine, which sees the topics.
func Loops(flows []Flow) []Problem {
	var found []Problem
	report := func(i int, path, format string, args ...any) {
		found = append(found, Problem{i, path, fmt.Sprintf(format, args...)})
	}
	pairs := map[string]int{}
	ledgers := map[visit]int{}
	var identity []Hop // flows under the same names, without those that close a circle
	for i, f := range flows {
		if j, ok := pairs[f.String()]; ok {
			report(i, "to", "flow %s is there already as flows[%d]; put the topics of both into one", f, j)
			continue // all else that could be said of it follows from this
		}
		pairs[f.String()] = i
		ledger := visit{f.To, f.ledger()}
		if j, ok := ledgers[ledger]; ok {
			report(i, "ledger", "flows[%d], %s, keeps its ledger in topic %s of %s too; give each a ledger of its own",
				j, flows[j], f.LedgerTopic(), f.To)
		} else {
			ledgers[ledger] = i
		}
		if f.Naming != Identity {
			continue
		}
		if f.From == f.To {
			report(i, "naming", "identity naming from %s to itself would copy every topic onto itself for ever; "+
				"name another cluster, or use naming: prefix", f.From)
			continue
		}
		if why := closes(identity, f); why != "" {
			report(i, "naming", "%s", why)
			continue
		}
		if f.KeepsSettings && slices.ContainsFunc(identity, func(h Hop) bool { return h.KeepsSettings && h.Opposite(f) }) {
			report(i, "sync_topic_configs", "both flows between %s and %s would set the settings of topics as the other side "+
				"has them; leave that to one of them, with sync_topic_configs: false here or in flow %s->%s", f.From, f.To,
				f.To, f.From)
		}
		identity = append(identity, Hop{Flow: f})
	}
	return found
}

// closes says why a flow under the same names may not be added to others: a record would go in a circle. "": it may.
func closes(others []Hop, f Flow) string {
	for _, way := range Ways(others, f.To, f.From) {
		if Covered(f, way...) {
			continue
		}
		names := []string{f.From, f.To}
		for _, h := range way {
			names = append(names, h.To)
		}
		const what = "identity naming all the way %s would copy records in a circle; "
		if len(way) == 1 {
			return fmt.Sprintf(what+"%s, or use naming: prefix in one of them", strings.Join(names, "->"), BothLeaveOut)
		}
		return fmt.Sprintf(what+"use records: local in at least two of these flows, with lane: batch, or naming: prefix in "+
			"one of them", strings.Join(names, "->"))
	}
	return ""
}

// SameClusterError reports a flow whose two clusters are one, where what it writes
// may be what it reads.
type SameClusterError struct {
	ID   string
	Flow Flow
}

func (e *SameClusterError) Error() string {
	return fmt.Sprintf("source and target are the same cluster (id %s): the flow reads topics %s and writes topics %s, "+
		"so that it could feed itself for ever", e.ID, allWith(e.Flow.SourcePrefix), allWith(e.Flow.targetPrefix()))
}

// Remedy tells the operator what to do.
func (e *SameClusterError) Remedy() string {
	return "check bootstrap.servers of both clusters; to copy within one cluster give each of the two names a prefix of " +
		"its own, neither of which begins with the other"
}

func allWith(prefix string) string {
	if prefix == "" {
		return "of any name"
	}
	return fmt.Sprintf("that begin with %q", prefix)
}

// SameCluster refuses a flow of which both ends report the same cluster id, unless
// its names are Apart. A cluster that reports none cannot be compared and is accepted.
func SameCluster(f Flow, fromID, toID string) error {
	if fromID != "" && fromID == toID && !f.Apart() {
		return &SameClusterError{ID: fromID, Flow: f}
	}
	return nil
}
