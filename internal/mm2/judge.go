package mm2

import (
	"fmt"
	"slices"
	"strings"
)

// vote is a verdict on a setting that came from one flow or cluster.
type vote struct {
	from string
	Verdict
}

// vote counts a verdict; a setting may concern several flows or clusters.
func (s *setting) vote(from string, v Verdict) {
	s.votes = append(s.votes, vote{from, v})
}

// decide makes one verdict of all votes: the one that asks most of the operator, with
// those whom it concerns if the others have another.
func (s *setting) decide() {
	for _, class := range []Class{NoEquivalent, Mapped, LeftOut} {
		var texts, from []string
		for _, v := range s.votes {
			if v.Class == class {
				from = append(from, v.from)
				if !slices.Contains(texts, v.Text) {
					texts = append(texts, v.Text)
				}
			}
		}
		if len(from) == 0 {
			continue
		}
		s.verdict = Verdict{class, strings.Join(texts, ", ")}
		if class != Mapped && len(from) < len(s.votes) {
			s.verdict.Text += " (" + strings.Join(from, ", ") + ")"
		}
		return
	}
}

// judge carries every setting out, and gives each its verdict.
func (in *importer) judge() {
	for _, f := range in.flows {
		keys := keysOf(connectorRules)
		slices.Sort(keys)
		for _, key := range keys {
			if s := f.effective(key); s != nil {
				s.vote(f.name(), connectorRules[key](f, s))
			}
		}
		f.finish()
	}
	for _, c := range in.used() {
		keys := keysOf(connectionRules)
		slices.Sort(keys)
		for _, key := range keys {
			if s := c.effective(key); s != nil {
				s.vote(c.name, connectionRules[key](c, s))
			}
		}
		c.finish()
		c.rack()
	}
	for _, s := range in.settings {
		if s.verdict.Class == "" && s.kind != unknown {
			if s.decide(); s.verdict.Class == "" {
				s.verdict = in.rest(s)
			}
		}
	}
}

// rack: the consumer's rack is the cluster's, so that reading finds the nearest replica.
func (c *cluster) rack() {
	if s := c.in.find(c.name + ".consumer.client.rack"); s != nil && s.trimmed() != "" {
		s.vote(c.name, c.written.set("client.rack", s.trimmed(), s))
	}
}

// rest is the verdict on a setting that concerned no flow and no cluster that is used.
func (in *importer) rest(s *setting) Verdict {
	switch {
	case s.flow != "" && !slices.Contains(in.enabled, s.flow):
		text := "flow " + s.flow + " is not enabled"
		if s.rest == "enabled" && !strings.EqualFold(s.value, "false") {
			text += fmt.Sprintf(": MirrorMaker takes %q for no, only true as the whole value is yes", s.value)
		}
		return Verdict{LeftOut, text}
	case s.flow != "" && !slices.ContainsFunc(in.flows, func(f *flow) bool { return f.name() == s.flow }):
		return Verdict{LeftOut, "flow " + s.flow + " is not imported"}
	case s.cluster != "" && !slices.Contains(in.used(), in.clusterOf(s.cluster)):
		return Verdict{LeftOut, "no imported flow uses cluster " + s.cluster}
	}
	switch s.kind {
	case driver:
		if s.cluster+s.flow == "" {
			return in.driver(s)
		}
		return Verdict{LeftOut, "MirrorMaker drops it in silence: it belongs to the process as a whole"}
	case worker:
		return workerVerdict(s)
	case client:
		return in.clientVerdict(s)
	case connection:
		if s.flow != "" {
			return Verdict{NoEquivalent, "a cluster is reached in one way by all flows; set it for the cluster"}
		}
		return Verdict{LeftOut, "each cluster has a value of its own"}
	}
	switch {
	case s.cluster != "":
		return Verdict{LeftOut, fmt.Sprintf("MirrorMaker drops it in silence: keys of connectors count in a flow (%s.%s) "+
			"or bare", in.flows[0].name(), s.rest)}
	case connectorRules[s.rest] == nil:
		return familyVerdict(s.rest)
	case s.rest == "enabled":
		return Verdict{LeftOut, "each flow has a value of its own"}
	}
	return Verdict{LeftOut, "each flow has a value of its own, which comes first"}
}

func (in *importer) driver(s *setting) Verdict {
	if s.rest == "clusters" {
		var names []string
		for _, c := range in.used() {
			names = append(names, c.name)
		}
		return Verdict{Mapped, "clusters: " + strings.Join(names, ", ")}
	}
	return drivers[s.rest]
}
