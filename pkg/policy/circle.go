package policy

// Hop is a flow of another configuration that carries records on, with what it
// chooses. The names of its clusters are those of the configuration that asks.
type Hop struct {
	Flow
	Topics, ExcludeTopics []string // patterns, by logical names
	SharedGroups          []string // patterns, by logical names
}

// rounds is how often names are followed round a way: one that is another name each
// time, and chosen each time, grows for ever.
const rounds = 3

// Circles answers which of the source's topics come back to the source, where the
// flow would choose them again: by the way of hops, the first of which begins at the
// flow's target and the last of which ends at its source. None: what goes that way
// never returns under a name that is chosen, as with prefixes.
func Circles(c Config, way []Hop, topics []string) ([]string, error) {
	self := c.Flow
	for _, h := range way {
		c.Flows = append(c.Flows[:len(c.Flows):len(c.Flows)], h.Flow)
	}
	own, err := New(c)
	if err != nil {
		return nil, err
	}
	others := make([]*Policy, len(way))
	for i, h := range way {
		if others[i], err = h.Policy(append(c.Flows[:len(c.Flows):len(c.Flows)], self)); err != nil {
			return nil, err
		}
	}
	var found []string
	for _, topic := range topics {
		if own.comesBack(topic, others) {
			found = append(found, topic)
		}
	}
	return found, nil
}

// Policy is what the hop does, if it knows these flows.
func (h *Hop) Policy(flows []Flow) (*Policy, error) {
	return New(Config{Flow: h.Flow, Topics: h.Topics, ExcludeTopics: h.ExcludeTopics, Flows: flows})
}

// comesBack follows a topic's name round the way.
func (p *Policy) comesBack(topic string, others []*Policy) bool {
	at := topic
	for range rounds {
		for _, one := range append([]*Policy{p}, others...) {
			next, verdict := one.Topic(at)
			if !verdict.Selected {
				return false
			}
			at = next
		}
		if at == topic {
			return true
		}
	}
	return true
}

// Ways lists the ways by which records of one cluster come to another, each without a
// cluster twice; at most some.
func Ways(hops []Hop, from, to string) [][]Hop {
	const most = 16
	var ways [][]Hop
	var walk func(at string, way []Hop, seen map[string]bool)
	walk = func(at string, way []Hop, seen map[string]bool) {
		for _, h := range hops {
			switch {
			case len(ways) == most || h.From != at || seen[h.To]:
			case h.To == to:
				ways = append(ways, append(way[:len(way):len(way)], h))
			default:
				seen[h.To] = true
				walk(h.To, append(way[:len(way):len(way)], h), seen)
				delete(seen, h.To)
			}
		}
	}
	walk(from, nil, map[string]bool{from: true})
	return ways
}
