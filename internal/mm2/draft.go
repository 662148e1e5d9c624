package mm2

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"replicator/pkg/replicate/kafka"
)

// text is a value of a written cluster: given, or read from the environment.
type text struct {
	value  string
	env    string // the variable's name; "": value holds
	hole   bool   // nothing is known that could stand here
	origin string // comment
}

// draft is what is written of a cluster, and what the operator has to do for it.
type draft struct {
	name       string // the cluster's, in the file
	prefix     string // of its environment variables
	properties map[string]text
	variables  []Variable
	steps      []string
}

// newDraft begins that of a cluster. Clusters whose names become one in variables are told apart by their number.
func newDraft(name string, before []*cluster) *draft {
	prefix := shout(name)
	if slices.ContainsFunc(before, func(other *cluster) bool { return shout(other.name) == prefix }) {
		prefix += strconv.Itoa(len(before) + 1)
	}
	return &draft{name: name, prefix: prefix, properties: map[string]text{}}
}

var (
	ownVariable = regexp.MustCompile(`^\$\{env:(?::|)([A-Za-z_][A-Za-z0-9_]*)\}$`)
	inURL       = regexp.MustCompile(`://([^/]*@|.*\?)`) // a password before a host, or a key behind it
	provided    = regexp.MustCompile(`\$\{[^}:]+:[^}]*\}`)
)

// set writes a property with the value of a setting, or of a part of it. What a
// config provider would answer is read from the environment.
func (d *draft) set(property, value string, s *setting) Verdict {
	if kafka.Secret(property) || inURL.MatchString(value) || provided.MatchString(value) {
		return d.fromEnv(property, value, s)
	}
	d.properties[property] = text{value: value, origin: fmt.Sprintf("line %d", s.line)}
	return Verdict{Mapped, "clusters." + d.name + "." + property}
}

// fromEnv writes a property that is read from the environment.
func (d *draft) fromEnv(property, value string, s *setting) Verdict {
	line := fmt.Sprintf("line %d", s.line)
	name := d.variable(property)
	what := fmt.Sprintf("%s of cluster %s, in %s", property, d.name, line)
	if own := ownVariable.FindStringSubmatch(strings.TrimSpace(value)); own != nil {
		name, what = own[1], what+", as before"
	} else if provided.MatchString(value) {
		what += ", from its config provider"
	}
	d.properties[property] = text{env: name, origin: line}
	d.need(name, what)
	return Verdict{Mapped, fmt.Sprintf("clusters.%s.%s, read from ${%s}", d.name, property, name)}
}

// need asks for an environment variable.
func (d *draft) need(name, what string) {
	if !slices.ContainsFunc(d.variables, func(v Variable) bool { return v.Name == name }) {
		d.variables = append(d.variables, Variable{name, what})
	}
}

// variable names the environment variable of a property: A_SASL_PASSWORD.
func (d *draft) variable(property string) string { return d.prefix + "_" + shout(property) }

func shout(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		return "CLUSTER_" + name
	}
	return name
}

// step is something that the operator has to do.
func (d *draft) step(format string, args ...any) {
	if step := fmt.Sprintf(format, args...); !slices.Contains(d.steps, step) {
		d.steps = append(d.steps, step)
	}
}
