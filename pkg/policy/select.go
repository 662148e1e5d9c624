package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// builtin is a rule that holds without being configured.
type builtin struct {
	pattern *regexp.Regexp
	what    string
	always  bool   // even for a name that the operator lists letter by letter
	like    string // a pattern that overrides it
}

func rule(pattern, what, like string) builtin {
	return builtin{pattern: anchored(pattern), what: what, like: like}
}

func ruleAlways(pattern, what string) builtin {
	return builtin{pattern: anchored(pattern), what: what, always: true}
}

// builtinTopics leaves out what belongs to a cluster rather than to its users.
// MirrorMaker's heartbeats are not among them: it copies them itself, and many a
// user's topic is called so.
var builtinTopics = []builtin{
	ruleAlways(`__.*`, "internal topic (name begins with __)"),
	rule(`connect-(configs|offsets|status)`, "Kafka Connect's own topic", "connect-(configs|offsets|status)"),
	rule(`mm2-(configs|offsets|status|offset-syncs)[-._].*`, "MirrorMaker's own topic", `mm2-configs\..*`),
	rule(`.*[-._]checkpoints[-._]internal`, "MirrorMaker's own topic", `.*\.checkpoints\.internal`),
	rule(`.*[-.]internal`, "internal topic (name ends with .internal or -internal)", `.*[-.]internal`),
	rule(`.*\.replica`, "a replica made by another tool (name ends with .replica)", `.*\.replica`),
}

// builtinGroups leaves out groups whose offsets mean nothing on another cluster.
var builtinGroups = []builtin{
	ruleAlways(`__.*`, "internal group (name begins with __)"),
	ruleAlways(`replicator\..*`, "replicator's own ownership group"),
	rule(`console-consumer-.*`, "a console consumer's group", "console-consumer-.*"),
	rule(`connect-.*`, "a Kafka Connect group", "connect-.*"),
}

// selection chooses among the names of one kind.
type selection struct {
	kind     string // topic or group
	include  []pattern
	exclude  []pattern
	builtins []builtin
}

type pattern struct {
	text string
	re   *regexp.Regexp
	any  []*regexp.Regexp // of "a|b" both; else the pattern itself
}

func newPattern(text string) pattern {
	p := pattern{text: text, re: anchored(text)}
	if parsed, err := syntax.Parse(text, syntax.Perl); err == nil && parsed.Op == syntax.OpAlternate {
		for _, one := range parsed.Sub {
			p.any = append(p.any, anchored(one.String()))
		}
		return p
	}
	p.any = []*regexp.Regexp{p.re}
	return p
}

// newSelection takes patterns that Validate has accepted.
func newSelection(kind string, include, exclude []string, builtins []builtin) selection {
	s := selection{kind: kind, builtins: builtins}
	for _, text := range include {
		s.include = append(s.include, newPattern(text))
	}
	for _, text := range exclude {
		s.exclude = append(s.exclude, newPattern(text))
	}
	return s
}

// judge decides on one name. The operator's own exclusion comes first, so that the
// verdict names what he wrote. A built-in rule speaks against a name that the patterns
// choose only by the way; the first that fits is the most specific one.
func (s *selection) judge(name string) Verdict {
	if name == "" {
		return Verdict{Why: "it has no name"}
	}
	for _, p := range s.exclude {
		if p.re.MatchString(name) {
			return Verdict{Why: fmt.Sprintf("excluded by exclude_%ss %q", s.kind, p.text)}
		}
	}
	for i := range s.builtins {
		b := &s.builtins[i]
		if !b.pattern.MatchString(name) {
			continue
		}
		chosen := slices.ContainsFunc(s.include, func(p pattern) bool { return p.re.MatchString(name) })
		if b.always {
			return Verdict{Builtin: chosen, Kept: true, Why: b.what + ", never copied"}
		}
		for _, p := range s.include {
			if b.namedBy(p, name) {
				return Verdict{Selected: true, Why: fmt.Sprintf("chosen by %ss %q, which names it", s.kind, p.text)}
			}
		}
		return Verdict{Builtin: chosen, Why: fmt.Sprintf("%s; to copy it all the same, list it in %ss by its whole name or "+
			"by a pattern that fits nothing else, as %q", b.what, s.kind, b.like)}
	}
	for _, p := range s.include {
		if p.re.MatchString(name) {
			return Verdict{Selected: true, Why: fmt.Sprintf("chosen by %ss %q", s.kind, p.text)}
		}
	}
	return Verdict{Why: fmt.Sprintf("no pattern in %ss matches it", s.kind)}
}

// substitutes are put in the place of single characters to see whether a pattern means
// just what a built-in rule is about.
const substitutes = "aZ0_-.~"

// namedBy says whether a pattern names what the rule leaves out: it matches the name,
// and no neighbour of the name that the rule does not concern. So "connect-.*" names
// connect-sink, and ".*" or "c.*" do not, since they match xonnect-sink or cZnnect-sink.
func (b *builtin) namedBy(p pattern, name string) bool {
	if p.text == name || unquoted(p.text) == name {
		return true
	}
	return slices.ContainsFunc(p.any, func(re *regexp.Regexp) bool {
		return re.MatchString(name) && !b.exceeded(re, name)
	})
}

// exceeded says whether an expression matches a neighbour of the name that the rule
// does not concern.
func (b *builtin) exceeded(re *regexp.Regexp, name string) bool {
	for i := range len(name) {
		for _, c := range substitutes {
			other := name[:i] + string(c) + name[i+1:]
			if re.MatchString(other) && !b.pattern.MatchString(other) {
				return true
			}
		}
	}
	return false
}

// unquoted is the name that a pattern with escaped dots spells out.
func unquoted(text string) string { return strings.ReplaceAll(text, `\.`, ".") }

// anchored compiles a pattern that Validate has accepted, or one of our own.
func anchored(text string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + text + `)$`) }

// patternProblem answers what is wrong with a pattern, or "".
func patternProblem(text string) string {
	if text == "" {
		return `"" matches no name; write a pattern, ".*" for all`
	}
	// By itself first: "a)(b" would be balanced inside the anchors.
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Sprintf("%q is not a pattern: %v (RE2 syntax, without look-around and back references)", text, err)
	}
	if _, err := regexp.Compile(`^(?:` + text + `)$`); err != nil {
		return fmt.Sprintf("%q is not a pattern: %v", text, err)
	}
	return ""
}
