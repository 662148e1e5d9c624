package mm2

import (
	"fmt"
	"slices"
	"strings"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/spelling"
)

// kind is what a key is to MirrorMaker.
type kind int

const (
	unknown    kind = iota
	driver          // of the process as a whole
	connector       // of a flow's connectors
	worker          // of the Connect worker inside
	connection      // how to reach a cluster
	client          // of a consumer, a producer or an admin client
)

// setting is an entry that has found its place.
type setting struct {
	entry
	cluster string // the cluster that it belongs to; "" for a flow's and for bare ones
	flow    string // the flow, as A->B
	rest    string // the key without cluster or flow
	prefix  string // of a client's: consumer., source.producer., ...
	name    string // the key without any prefix
	kind    kind
	votes   []vote
	verdict Verdict // Class "" until judged
}

// Verdict is what becomes of a setting.
type Verdict struct {
	Class Class
	Text  string
}

func (s *setting) trimmed() string { return strings.TrimSpace(s.value) }

// shown is the value for a message; a secret's is not told.
func (s *setting) shown() string {
	if kafka.Secret(s.name) || strings.Contains(s.name, "jaas") || strings.Contains(s.name, "password") ||
		strings.Contains(s.name, "secret") || strings.Contains(s.name, "key") {
		return "(a secret)"
	}
	return s.value
}

// clientPrefixes stand before a client's own properties, the longer ones first.
var clientPrefixes = []string{
	"source.consumer.", "source.producer.", "source.admin.", "target.consumer.", "target.producer.", "target.admin.",
	"consumer.override.", "producer.override.", "admin.override.", "consumer.", "producer.", "admin.",
}

// classify says what a key without cluster or flow is.
func classify(rest string) (k kind, prefix, name string) {
	if drivers[rest].Class != "" {
		return driver, "", rest
	}
	if _, ok := connectorRules[rest]; ok {
		return connector, "", rest
	}
	if _, ok := connectionRules[rest]; ok {
		return connection, "", rest
	}
	if workers[rest].Class != "" || within(rest, workerFamilies) {
		return worker, "", rest
	}
	if within(rest, connectorFamilies) {
		return connector, "", rest
	}
	for _, prefix := range clientPrefixes {
		if name, ok := strings.CutPrefix(rest, prefix); ok {
			if _, ok := connectionRules[name]; ok || clients[name] != "" {
				return client, prefix, name
			}
			return unknown, prefix, name
		}
	}
	for _, prefix := range []string{"source.cluster.", "target.cluster."} {
		if name, ok := strings.CutPrefix(rest, prefix); ok {
			if _, ok := connectionRules[name]; ok {
				return client, prefix, name
			}
		}
	}
	return unknown, "", rest
}

func within(key string, families []string) bool {
	return slices.ContainsFunc(families, func(f string) bool { return strings.HasPrefix(key, f) })
}

// scope makes settings of entries: it finds the clusters, and what each key belongs to.
func (in *importer) scope(entries []entry) {
	last := map[string]int{}
	for _, e := range entries {
		last[e.key] = e.line
		if e.key == "clusters" {
			in.clusters = nil
			for _, name := range list(e.value) {
				if !slices.ContainsFunc(in.clusters, func(c *cluster) bool { return c.name == name }) {
					in.clusters = append(in.clusters, &cluster{in: in, name: name, line: e.line, written: newDraft(name, in.clusters)})
				}
			}
		}
	}
	if len(in.clusters) < 2 {
		in.bad(nil, "names %d clusters; the file of a dedicated MirrorMaker 2 has a line such as clusters = A, B",
			len(in.clusters))
		in.clusters = nil
	}
	for _, e := range entries {
		s := &setting{entry: e}
		in.settings = append(in.settings, s)
		if in.clusters == nil {
			continue // what belongs to a cluster cannot be told
		}
		in.place(s)
		if line := last[e.key]; line != e.line {
			s.verdict = Verdict{LeftOut, fmt.Sprintf("given again in line %d, and the last one counts", line)}
		}
	}
}

// place finds what a key belongs to. Where a cluster is called like the beginning of
// a known key, the reading that makes a known key wins.
func (in *importer) place(s *setting) {
	if name, rest, found := strings.Cut(s.key, "->"); found {
		for _, to := range in.byLength() {
			if rest, ok := strings.CutPrefix(rest, to.name+"."); ok && in.clusterOf(name) != nil && name != to.name {
				s.flow, s.rest = name+"->"+to.name, rest
				in.settle(s)
				return
			}
		}
		if s.verdict = (Verdict{Unknown, "its clusters are not those of the key clusters"}); !in.options.IgnoreUnknown {
			in.bad(s, "names a flow of clusters that the key clusters does not list: %s", strings.Join(in.names(), ", "))
		}
		return
	}
	s.rest = s.key
	bare, _, _ := classify(s.key)
	for _, c := range in.byLength() {
		rest, ok := strings.CutPrefix(s.key, c.name+".")
		if k, _, _ := classify(rest); ok && (k != unknown || bare == unknown) {
			s.cluster, s.rest = c.name, rest
			break
		}
	}
	in.settle(s)
}

func (in *importer) settle(s *setting) {
	s.kind, s.prefix, s.name = classify(s.rest)
	switch {
	case s.kind != unknown:
	case in.options.IgnoreUnknown:
		s.verdict = Verdict{Unknown, "MirrorMaker 2 does not know it, and nothing was made of it"}
	case strings.HasPrefix(s.value, "->"):
		in.bad(s, unknownKey+"; a key ends at the first blank, so write A->B.key without one")
	default:
		if near := in.nearest(s); near != "" {
			in.bad(s, unknownKey+"; did you mean %s?", near)
			return
		}
		in.bad(s, "%s", unknownKey)
	}
}

// nearest is the whole key that a mistyped one may mean, or "".
func (in *importer) nearest(s *setting) string {
	if s.prefix != "" {
		known := append(keysOf(clients), keysOf(connectionRules)...)
		if near := spelling.Nearest(s.name, known); near != "" {
			return strings.TrimSuffix(s.key, s.rest) + s.prefix + near
		}
		return ""
	}
	known := slices.Concat(keysOf(connectorRules), keysOf(connectionRules), keysOf(workers), keysOf(drivers))
	if near := spelling.Nearest(s.rest, known); near != "" {
		return strings.TrimSuffix(s.key, s.rest) + near
	}
	return ""
}

func keysOf[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	return keys
}

// byLength lists the clusters, the longest names first: one may begin like another.
func (in *importer) byLength() []*cluster {
	longer := func(a, b *cluster) int { return len(b.name) - len(a.name) }
	return slices.SortedStableFunc(slices.Values(in.clusters), longer)
}

func (in *importer) names() []string {
	var names []string
	for _, c := range in.clusters {
		names = append(names, c.name)
	}
	return names
}

func (in *importer) clusterOf(name string) *cluster {
	for _, c := range in.clusters {
		if c.name == name {
			return c
		}
	}
	return nil
}

// find is the setting with that whole key that counts, or nil.
func (in *importer) find(key string) *setting {
	for i := len(in.settings) - 1; i >= 0; i-- {
		if in.settings[i].key == key {
			return in.settings[i]
		}
	}
	return nil
}
