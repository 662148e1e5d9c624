// Package policy decides which topics and consumer groups a flow copies, what
// they are called on the target, and which sets of flows would send records in a
// circle. It decides and never does: the engine's rooms carry it out.
//
// The central type is [Policy], compiled from one flow's [Config]. It guarantees:
//
//  1. a name is selected only if a pattern matches all of it, no exclusion does,
//     and no built-in rule speaks against it; the verdict says which rule it was;
//  2. SourceTopic undoes Topic's naming for every name; no two groups of the source have
//     one name on the target;
//  3. every name that it gives on the target begins with the target's prefix, and a
//     name of the source that does not begin with the source's is never selected;
//  4. a topic that has passed through the target already, as far as the prefixes
//     of the known flows tell, is never copied there again.
//
// A cluster of which only a part is ours has a prefix, "" for all of it. What is
// left of a name without it is its logical name: patterns, naming and all rules go
// by logical names, and the prefixes are taken off and put on at the borders.
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
	Prefix   Naming = "prefix"   // <from><separator><name>, behind the target's own prefix
)

const (
	// DefaultSeparator stands between a prefix and the topic's name.
	DefaultSeparator = "."

	// maxTopicName is the longest topic name that Kafka takes, in bytes.
	maxTopicName = 249

	// maxPrefix leaves room for a name behind it.
	maxPrefix = 100
)

// Config is what one flow selects and how it names it. Patterns are RE2 regular
// expressions that have to match the whole name.
type Config struct {
	Flow // what other flows are concerned with as well

	Topics        []string // that match names without the source's prefix; at least one pattern
	ExcludeTopics []string // beside the built-in ones
	Groups        []string // whose offsets follow; no pattern: no group follows
	ExcludeGroups []string // beside the built-in ones
	SharedGroups  []string // of them, those that are one application, which runs on one side at a time

	// Flows are all flows that are known, this one may be among them. They tell
	// which topics of the source are copies, and which are ledgers.
	Flows []Flow
}

// DefaultConfig selects everything, under its own name. From and To are open.
func DefaultConfig() Config {
	return Config{
		Flow:   Flow{Naming: Identity, Separator: DefaultSeparator},
		Topics: []string{".*"},
		Groups: []string{".*"},
	}
}

// Validate reports every problem: its path within the flow, what was got, and
// what would be accepted.
func (c *Config) Validate(bad func(path, format string, args ...any)) {
	for _, e := range []struct{ path, name string }{{"from", c.From}, {"to", c.To}} {
		if !legalName.MatchString(e.name) {
			bad(e.path, "%q is not a cluster name; use letters, digits, dot, underscore and hyphen", e.name)
		}
	}
	for _, e := range []struct{ path, prefix string }{
		{"source_prefix", c.SourcePrefix}, {"target_prefix", c.TargetPrefix}} {
		if why := PrefixProblem(e.prefix); why != "" {
			bad(e.path, "%s", why)
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
	c.validateLedger(bad)
}

func (c *Config) validateLedger(bad func(path, format string, args ...any)) {
	ledger := c.LedgerTopic()
	switch {
	case c.Ledger != "" && (!legalName.MatchString(c.Ledger) || len(c.Ledger) > maxTopicName):
		bad("ledger", "%q is not a topic name; use up to %d letters, digits, dots, underscores and hyphens",
			c.Ledger, maxTopicName)
	case c.Ledger != "" && c.TargetPrefix != "" && strings.HasPrefix(c.Ledger, c.TargetPrefix):
		bad("ledger", "%q begins with the prefix of cluster %s, which would be put before it once more; leave it out",
			c.Ledger, c.To)
	case len(ledger) > maxTopicName:
		bad("ledger", "it would be called %q, which has %d characters, and Kafka takes %d; name a shorter one",
			ledger, len(ledger), maxTopicName)
	}
}

// PrefixProblem answers what is wrong with a cluster's prefix, or "".
func PrefixProblem(prefix string) string {
	switch {
	case prefix == "":
		return ""
	case !legalName.MatchString(prefix):
		return fmt.Sprintf("%q cannot stand in a topic name; use letters, digits, dot, underscore and hyphen", prefix)
	case strings.HasPrefix(prefix, "__"):
		return fmt.Sprintf("%q begins as Kafka's internal topics do; use one without __ in front", prefix)
	case len(prefix) > maxPrefix:
		return fmt.Sprintf("has %d characters, which leaves too few for names; use up to %d", len(prefix), maxPrefix)
	}
	return ""
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
		{"groups", c.Groups}, {"exclude_groups", c.ExcludeGroups}, {"shared_groups", c.SharedGroups},
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
	shared selection
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
		self:   c.Flow,
		topics: newSelection(Topics, c.Topics, c.ExcludeTopics, builtinTopics),
		groups: newSelection(Groups, c.Groups, c.ExcludeGroups, builtinGroups),
		shared: newSelection(SharedGroups, c.SharedGroups, nil, nil),
	}
	p.flows = append([]Flow{p.self}, c.Flows...)
	if c.Naming == Prefix {
		// Its opposite may run elsewhere, from a file of its own: it is expected to
		// name topics the same way.
		p.flows = append(p.flows, Flow{From: c.To, To: c.From, SourcePrefix: c.TargetPrefix, TargetPrefix: c.SourcePrefix,
			Naming: Prefix, Separator: c.Separator})
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

	// Builtin: the patterns choose it, and a built-in rule leaves it out. Kept: no pattern brings it along, since
	// Kafka or replicator keeps it for itself.
	Builtin, Kept bool
}

// BlockedFix is what to do about a topic that is blocked.
const BlockedFix = "name it in exclude_topics, or change naming"

// Topic says what a source topic is called on the target, and whether it is copied.
// The name is given in either case, but "" for a topic that is not ours.
func (p *Policy) Topic(name string) (target string, v Verdict) {
	logical, v, ours := p.ours(name)
	if !ours {
		return "", v
	}
	target = p.self.targetPrefix() + logical
	if why := p.ledgerRule(logical); why != "" {
		return target, Verdict{Why: why}
	}
	v = p.topics.judge(logical)
	if !v.Selected {
		return target, v
	}
	if by, back := p.cameByName(p.self.From, logical, map[visit]bool{}); back {
		return target, Verdict{Why: fmt.Sprintf("it came from %s by flow %s and is never copied back", p.self.To, by)}
	}
	if p.isLedger(p.self.prefix()+logical, p.self.To) {
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
	return renamed(target, p.self.targetPrefix(), p.self.SourcePrefix)
}

// Group says what a source group is called on the target, and whether its offsets
// follow there. Groups keep their logical names, whatever the naming of topics. The
// name is given in either case, but "" for a group that is not ours.
func (p *Policy) Group(name string) (target string, v Verdict) {
	logical, v, ours := p.ours(name)
	if !ours {
		return "", v
	}
	return p.self.TargetPrefix + logical, p.groups.judge(logical)
}

// SourceGroup says which source group would have this name on the target, and whether it would follow there; "" if
// none would.
func (p *Policy) SourceGroup(target string) (source string, v Verdict) {
	source, named := renamed(target, p.self.TargetPrefix, p.self.SourcePrefix)
	if !named {
		return "", Verdict{}
	}
	_, v = p.Group(source)
	return source, v
}

// Shared says whether a source group is one application that runs on one side at a time.
func (p *Policy) Shared(name string) bool {
	logical, _, ours := p.ours(name)
	return ours && p.shared.judge(logical).Selected
}

// ours takes the source's prefix off a name; the verdict is about names without it.
func (p *Policy) ours(name string) (logical string, v Verdict, ours bool) {
	if logical, ours = strings.CutPrefix(name, p.self.SourcePrefix); ours {
		return logical, v, true
	}
	return "", Verdict{Why: fmt.Sprintf("not ours: it does not begin with the prefix of %s, %q", p.self.From,
		p.self.SourcePrefix)}, false
}

// renamed puts another prefix in the place of one; false for a name without it, or
// with nothing behind it.
func renamed(name, from, to string) (string, bool) {
	rest, ok := strings.CutPrefix(name, from)
	if !ok || rest == "" {
		return "", false
	}
	return to + rest, true
}

// ledgerRule answers why a source topic, by its logical name, is left out as a
// ledger, or "".
func (p *Policy) ledgerRule(name string) string {
	if strings.HasPrefix(name, "__replicator") {
		return "a ledger of replicator (name begins with __replicator)"
	}
	if p.isLedger(name, p.self.From) {
		return "a ledger of replicator, as configured"
	}
	return ""
}

// isLedger says whether a known flow keeps its ledger in that topic, by its logical
// name, of the cluster.
func (p *Policy) isLedger(topic, cluster string) bool {
	for _, f := range p.flows {
		if f.To == cluster && f.ledger() == topic {
			return true
		}
	}
	return false
}
