package mm2

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/settings"
)

// yaml writes the configuration: only what differs from the defaults, and where each
// line comes from.
func (in *importer) yaml(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Imported from %s, whose lines are named.\n", name)
	for _, v := range in.result.Variables {
		fmt.Fprintf(&b, "# Set %s: %s.\n", v.Name, printable(v.What))
	}
	b.WriteString("\nclusters:\n")
	for _, c := range in.used() {
		fmt.Fprintf(&b, "  %s:%s\n", quote(c.newName()), c.renamed())
		names := slices.SortedFunc(maps.Keys(c.written.properties), func(a, b string) int {
			return strings.Compare(order(a)+a, order(b)+b)
		})
		for _, property := range names {
			t := c.written.properties[property]
			value := "${" + t.env + "}"
			switch {
			case t.hole:
				value = `""`
			case t.env == "":
				value = quote(t.value)
			}
			fmt.Fprintf(&b, "    %s: %s # %s\n", property, value, t.origin)
		}
	}
	b.WriteString("\nflows:\n")
	for i, f := range in.flows {
		if i > 0 {
			b.WriteByte('\n')
		}
		f.yaml(&b)
	}
	return b.String()
}

// renamed is a comment on a cluster that is not called as in the file.
func (c *cluster) renamed() string {
	if c.alias == "" {
		return ""
	}
	return " # " + c.name + " in the file; topics are named by this"
}

// order puts the brokers and the way of reaching them first.
func order(property string) string {
	switch property {
	case "bootstrap.servers":
		return "0"
	case "security.protocol":
		return "1"
	}
	return "2"
}

func (f *flow) yaml(b *strings.Builder) {
	c, normal := f.config, settings.DefaultConfig()
	fmt.Fprintf(b, "  - from: %s # line %d\n    to: %s\n", quote(c.From), f.by.line, quote(c.To))
	line := func(key, value string, differs bool) {
		origin := f.origin[key]
		if differs || origin != "" {
			fmt.Fprintf(b, "    %s: %s", key, value)
			if origin != "" {
				b.WriteString(" # " + origin)
			}
			b.WriteByte('\n')
		}
	}
	line("topics", quotes(c.Topics), false)
	line("exclude_topics", quotes(c.ExcludeTopics), false)
	line("groups", quotes(c.Groups), false)
	line("exclude_groups", quotes(c.ExcludeGroups), len(c.ExcludeGroups) > 0)
	line("naming", string(c.Naming), true)
	if c.Naming == policy.Prefix {
		line("separator", quote(c.Separator), c.Separator != normal.Separator)
	}
	line("start", string(c.Start), false)
	line("replication_factor", fmt.Sprint(c.ReplicationFactor), false)
	line("sync_topic_configs", fmt.Sprint(c.SyncTopicConfigs), false)
	line("exclude_configs", quotes(c.ExcludeConfigs), false)
	line("commit_interval", short(c.CommitInterval), false)
	line("group_sync_interval", short(c.GroupSyncInterval), false)
	line("refresh_interval", short(c.RefreshInterval), false)
}

// short writes 10m0s as 10m.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func quotes(list []string) string {
	quoted := make([]string, len(list))
	for i, item := range list {
		quoted[i] = quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var (
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
	yamlWord  = regexp.MustCompile(`(?i)^(null|true|false|yes|no|on|off|y|n)$`)
)

// quote writes a scalar that YAML reads as this text. What would be taken for a
// variable of the environment is kept from it.
func quote(text string) string {
	if plainWord.MatchString(text) && !yamlWord.MatchString(text) {
		return text
	}
	text = strings.ReplaceAll(text, "${", "$${")
	if text == printable(text) {
		if strings.ContainsAny(text, `\"`) {
			return "'" + strings.ReplaceAll(text, "'", "''") + "'"
		}
		return `"` + text + `"`
	}
	return strconv.QuoteToASCII(text) // all of Go's escapes are YAML's as well
}
