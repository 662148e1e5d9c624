// Package policy decides which topics and consumer groups a flow copies, what
// they are called on the target, and which sets of flows would send records in a
// circle. It decides and never does: the engine's rooms carry it out.
//
// The central type is [Policy], compiled from one flow's [Config]. It guarantees:
//
//  1. a name is selected only if a pattern matches all of it, no exclusion does,
//     and no built-in rule speaks against it; the verdict says which rule it was;
//  2. SourceTopic undoes Topic's naming for every name;
//  3. a topic that has passed through the target already, as far as the prefixes
//     of the known flows tell, is never copied there again.
//
// It knows names only: whether two names mean one cluster is found when the
// clusters are reached, see [SameCluster].
package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// Naming says how a topic is called on the target.
type Naming string

const (
	Identity Naming = "identity" // as on the source
	Prefix   Naming = "prefix"   // <from><separator><name>
)

const (
	// DefaultSeparator stands between a prefix and the topic's name.
	DefaultSeparator = "."

	// maxTopicName is the longest topic name that Kafka takes, in bytes.
	maxTopicName = 249
)

// Config is what one flow selects and how it names it. Patterns are RE2 regular
// expressions that have to match the whole name.
type Config struct {
	From, To      string   // the clusters' names
	Topics        []string // at least one pattern
	ExcludeTopics []string // beside the built-in ones
	Groups        []string // no pattern: no group follows
	ExcludeGroups []string // beside the built-in ones
	Naming        Naming
	Separator     string // with Prefix: at least one character
	Ledger        string // "": DefaultLedger

	// Flows are all flows that are known, this one may be among them. They tell
	// which topics of the source are copies, and which are ledgers.
	Flows []Flow
}

// DefaultConfig selects everything, under its own name. From and To are open.
func DefaultConfig() Config {
	return Config{
		Topics:    []string{".*"},
		Groups:    []string{".*"},
		Naming:    Identity,
		Separator: DefaultSeparator,
	}
}

// flow is the config's own flow.
func (c *Config) flow() Flow {
	return Flow{From: c.From, To: c.To, Naming: c.Naming, Separator: c.Separator, Ledger: c.Ledger}
}

// Validate reports every problem: its path within the flow, what was got, and
// what would be accepted.
func (c *Config) Validate(bad func(path, format string, args ...any)) {
	for _, e := range []struct{ path, name string }{{"from", c.From}, {"to", c.To}} {
		if !legalName.MatchString(e.name) {
			bad(e.path, "%q is not a cluster name; use letters, digits, dot, underscore and hyphen", e.name)
		}
	}
	if len(c.Topics) == 0 {
		bad("topics", `is empty, so nothing would be copied; name at least one pattern, ".*" for all topics`)
	}
	for _, l := range c.lists() {
		for i, s := range l.patterns {
			if why := patternProblem(s); why != "" {
				bad(fmt.Sprintf("%s[%d]", l.path, i), "%s", why)
			}
		}
	}
	switch c.Naming {
	case Identity:
	case Prefix:
		if !legalName.MatchString(c.Separator) {
			bad("separator", "%q cannot stand in a topic name; use letters, digits, dot, underscore and hyphen",
				c.Separator)
		}
	default:
		bad("naming", "%q is unknown; use %s or %s", c.Naming, Identity, Prefix)
	}
	if c.Ledger != "" && (!legalName.MatchString(c.Ledger) || len(c.Ledger) > maxTopicName) {
		bad("ledger", "%q is not a topic name; use up to %d letters, digits, dots, underscores and hyphens",
			c.Ledger, maxTopicName)
	}
}

// legalName is what Kafka allows in a topic name.
var legalName = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)

type list struct {
	path     string
	patterns []string
}

func (c *Config) lists() []list {
	return []list{
		{"topics", c.Topics}, {"exclude_topics", c.ExcludeTopics},
		{"groups", c.Groups}, {"exclude_groups", c.ExcludeGroups},
	}
}

// Error carries all problems of a Config.
type Error struct{ Problems []string }

func (e *Error) Error() string { return "policy: " + strings.Join(e.Problems, "; ") }

// Remedy tells the operator what to do.
func (e *Error) Remedy() string {
	return "correct the flow's configuration; 'replicator check' lists every problem"
}

// Policy is one flow's selection and naming, ready to be asked.
type Policy struct {
	self   Flow
	flows  []Flow // every flow known, this one and its implied opposite among them
	topics selection
	groups selection
}

// New compiles a Config. The error is an *Error with every problem Validate finds.
func New(c Config) (*Policy, error) {
	var problems []string
	c.Validate(func(path, format string, args ...any) {
		problems = append(problems, path+": "+fmt.Sprintf(format, args...))
	})
	if len(problems) > 0 {
		return nil, &Error{problems}
	}
	p := &Policy{
		self:   c.flow(),
		topics: newSelection("topic", c.Topics, c.ExcludeTopics, builtinTopics),
		groups: newSelection("group", c.Groups, c.ExcludeGroups, builtinGroups),
	}
	p.flows = append([]Flow{p.self}, c.Flows...)
	if c.Naming == Prefix {
		// Its opposite may run elsewhere, from a file of its own: it is expected to
		// name topics the same way.
		p.flows = append(p.flows, Flow{From: c.To, To: c.From, Naming: Prefix, Separator: c.Separator})
	}
	return p, nil
}

// Verdict says whether a topic or group is copied, and which rule decided.
type Verdict struct {
	Selected bool
	Why      string // for the operator: never empty

	// Blocked: the patterns choose the topic, yet it cannot be copied. Unlike a
	// topic that is left out it has to be reported.
	Blocked bool
}

// Topic says what a source topic is called on the target, and whether it is copied.
// The name is given in either case.
func (p *Policy) Topic(name string) (target string, v Verdict) {
	target = p.targetName(name)
	if why := p.ledgerRule(name); why != "" {
		return target, Verdict{Why: why}
	}
	v = p.topics.judge(name)
	if !v.Selected {
		return target, v
	}
	if by, back := p.cameFromTarget(p.self.From, name, map[visit]bool{}); back {
		return target, Verdict{Why: fmt.Sprintf("it came from %s by flow %s and is never copied back", p.self.To, by)}
	}
	if p.isLedger(target, p.self.To) {
		return target, Verdict{Blocked: true, Why: fmt.Sprintf("its name on the target, %s, is that of a ledger", target)}
	}
	if len(target) > maxTopicName {
		return target, Verdict{Blocked: true, Why: fmt.Sprintf(
			"its name on the target would have %d characters and Kafka takes %d; use naming: identity or a shorter prefix",
			len(target), maxTopicName)}
	}
	return target, v
}

// SourceTopic says which source topic would have this name on the target; false if
// no topic would. Whether that topic is copied is Topic's verdict.
func (p *Policy) SourceTopic(target string) (string, bool) {
	if p.self.Naming == Identity {
		return target, target != ""
	}
	name, ok := strings.CutPrefix(target, p.self.prefix())
	if !ok || name == "" {
		return "", false
	}
	return name, true
}

// Group says whether a group's offsets follow to the target. Groups keep their names.
func (p *Policy) Group(name string) Verdict { return p.groups.judge(name) }

func (p *Policy) targetName(name string) string {
	if p.self.Naming == Identity {
		return name
	}
	return p.self.prefix() + name
}

// ledgerRule answers why a source topic is left out as a ledger, or "".
func (p *Policy) ledgerRule(name string) string {
	if strings.HasPrefix(name, "__replicator") {
		return "a ledger of replicator (name begins with __replicator)"
	}
	if p.isLedger(name, p.self.From) {
		return "a ledger of replicator, as configured"
	}
	return ""
}

// isLedger says whether a known flow keeps its ledger in that topic of the cluster.
func (p *Policy) isLedger(topic, cluster string) bool {
	for _, f := range p.flows {
		if f.To == cluster && f.LedgerTopic() == topic {
			return true
		}
	}
	return false
}
