package config

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"

	"github.com/prometheus/exporter-toolkit/web"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

// validate lets every room look at its part, and then at what only shows when
// the parts are seen together.
func (p *parser) validate(c *Config) {
	for _, name := range slices.Sorted(maps.Keys(c.Clusters)) {
		at := join("clusters", name)
		if !legalName.MatchString(name) {
			p.found.bad(at, "%q is not a cluster name; use letters, digits, dot, underscore and hyphen", name)
		}
		cluster := c.Clusters[name]
		cluster.Validate(func(path, format string, args ...any) { p.found.bad(join(at, path), format, args...) })
	}
	if c.Flows != nil {
		p.validateFlows(c)
	}
	if listen := c.HTTP.Listen; listen != "" {
		_, port, err := net.SplitHostPort(listen)
		if n, notNumber := strconv.Atoi(port); err != nil || notNumber != nil || n < 0 || n > 65535 {
			p.found.bad("http.listen", "%q is not an address; accepted is host:port, or \"\" for none", listen)
		}
	}
	switch file := c.HTTP.WebConfig; {
	case file == "":
	case c.HTTP.Listen == "":
		p.found.bad("http.web_config", "would not be used with listen: \"\"; take it out, or listen somewhere")
	default:
		if err := web.Validate(file); err != nil {
			p.found.bad("http.web_config", "%s cannot be used: %v; it is to be a file as Prometheus' web.config.file", file, err)
		}
	}
}

func (p *parser) validateFlows(c *Config) {
	for i, flow := range c.Flows {
		at := fmt.Sprintf("flows[%d]", i)
		for _, end := range []struct{ path, name string }{{at + ".from", flow.From}, {at + ".to", flow.To}} {
			if end.name == "" {
				p.found.bad(end.path, "missing; name one of the clusters: %s", clusterNames(c))
			} else if _, ok := c.Clusters[end.name]; !ok {
				p.found.bad(end.path, "%q is not among the clusters: %s", end.name, clusterNames(c))
			}
		}
		for _, end := range []string{flow.From, flow.To} {
			why := kafka.RecordLaneRefused(c.Clusters[end])
			if lane, by := flow.LaneInUse(); why != "" && lane == settings.LaneRecord {
				p.found.bad(at+".lane", "would be record (%s): %s; use lane: batch with delivery: exactly_once, or another "+
					"login", by, why)
			}
		}
		flow.SourcePrefix, flow.TargetPrefix = p.prefixes[flow.From], p.prefixes[flow.To]
		c.Flows[i] = flow
	}
	settings.Introduce(c.Flows)
	settings.Validate(c.Flows, func(i int, path, format string, args ...any) {
		p.found.bad(join(fmt.Sprintf("flows[%d]", i), path), format, args...)
	})
	p.validateOneCluster(c)
}

// validateOneCluster finds what Loops cannot: two names for one cluster. Clusters
// that have a broker in common are one; those that have none may be one all the
// same, which shows when they are reached.
func (p *parser) validateOneCluster(c *Config) {
	for i, flow := range c.Flows {
		at := fmt.Sprintf("flows[%d]", i)
		if broker := commonBroker(c, flow.From, flow.To); broker != "" && !flow.Flow.Apart() {
			p.found.bad(at+".to",
				"%s and %s are one cluster, both have broker %s, and what the flow writes may be what it reads, "+
					"for ever; name another cluster, or give each of the two names a prefix of its own, neither of which begins "+
					"with the other", flow.From, flow.To, broker)
		}
		for j, earlier := range c.Flows[:i] {
			broker := commonBroker(c, flow.To, earlier.To)
			if broker != "" && flow.LedgerTopic() == earlier.LedgerTopic() {
				p.found.bad(at+".ledger", "flows[%d] keeps its ledger in topic %s of the same cluster (%s and %s both have "+
					"broker %s); give each a ledger of its own", j, flow.LedgerTopic(), earlier.To, flow.To, broker)
			}
		}
	}
}

// commonBroker is a broker that two clusters of different names share, or "".
func commonBroker(c *Config, a, b string) string {
	if a == b {
		return ""
	}
	theirs := c.Clusters[b].Servers()
	for _, broker := range c.Clusters[a].Servers() {
		if slices.Contains(theirs, broker) {
			return broker
		}
	}
	return ""
}
