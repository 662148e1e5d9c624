package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// builtin is a rule that holds without being configured.
type builtin struct {
	pattern *regexp.Regexp
	what    string
	always  bool // even for a name that the operator lists letter by letter
}

func rule(pattern, what string) builtin { return builtin{pattern: anchored(pattern), what: what} }

func ruleAlways(pattern, what string) builtin { return builtin{anchored(pattern), what, true} }

// builtinTopics leaves out what belongs to a cluster rather than to its users.
// MirrorMaker's heartbeats are not among them: it copies them itself, and many a
// user's topic is called so.
var builtinTopics = []builtin{
	ruleAlways(`__.*`, "internal topic (name begins with __)"),
	rule(`connect-(configs|offsets|status)`, "Kafka Connect's own topic"),
	rule(`mm2-(configs|offsets|status|offset-syncs)[-._].*`, "MirrorMaker's own topic"),
	rule(`.*[-._]checkpoints[-._]internal`, "MirrorMaker's own topic"),
	rule(`.*[-.]internal`, "internal topic (name ends with .internal or -internal)"),
	rule(`.*\.replica`, "a replica made by another tool (name ends with .replica)"),
}

// builtinGroups leaves out groups whose offsets mean nothing on another cluster.
var builtinGroups = []builtin{
	ruleAlways(`__.*`, "internal group (name begins with __)"),
	ruleAlways(`replicator\..*`, "replicator's own ownership group"),
	rule(`console-consumer-.*`, "a console consumer's group"),
	rule(`connect-.*`, "a Kafka Connect group"),
}

// selection chooses among the names of one kind.
type selection struct {
	kind     string // topic or group
	listed   map[string]bool
	include  []pattern
	exclude  []pattern
	builtins []builtin
}

type pattern struct {
	text string
	re   *regexp.Regexp
}

// newSelection takes patterns that Validate has accepted.
func newSelection(kind string, include, exclude []string, builtins []builtin) selection {
	s := selection{kind: kind, listed: map[string]bool{}, builtins: builtins}
	for _, text := range include {
		s.include = append(s.include, pattern{text, anchored(text)})
		s.listed[text] = true
		s.listed[unquoted(text)] = true
	}
	for _, text := range exclude {
		s.exclude = append(s.exclude, pattern{text, anchored(text)})
	}
	return s
}

// judge decides on one name. The operator's own exclusion comes first, so that the
// verdict names what he wrote.
func (s *selection) judge(name string) Verdict {
	if name == "" {
		return Verdict{Why: "it has no name"}
	}
	for _, p := range s.exclude {
		if p.re.MatchString(name) {
			return Verdict{Why: fmt.Sprintf("excluded by exclude_%ss %q", s.kind, p.text)}
		}
	}
	for _, b := range s.builtins {
		switch {
		case !b.pattern.MatchString(name):
		case b.always:
			return Verdict{Why: b.what + ", never copied"}
		case !s.listed[name]:
			return Verdict{Why: fmt.Sprintf("%s; to copy it all the same, list it in %ss by its whole name", b.what, s.kind)}
		}
	}
	for _, p := range s.include {
		if p.re.MatchString(name) {
			return Verdict{Selected: true, Why: fmt.Sprintf("chosen by %ss %q", s.kind, p.text)}
		}
	}
	return Verdict{Why: fmt.Sprintf("no pattern in %ss matches it", s.kind)}
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
