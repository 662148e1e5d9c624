// Package config reads the YAML file into each room's own Config.
//
// The central type is [Config]. Parse guarantees:
//
//  1. only known keys are read: an unknown one is refused, with the nearest
//     known one beside it, and so is a key given twice;
//  2. all problems are told at once, each with its line, path, what was got and
//     what is accepted;
//  3. a Config without problems holds together: every flow's clusters exist, and
//     no two flows stand in each other's way;
//  4. no message shows a password, or a value that came from the environment.
//
// It has no defaults of its own but those of http and log: a flow's are
// settings.DefaultConfig, a client's are librdkafka's.
package config

import (
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// Config is the whole configuration of a daemon.
type Config struct {
	Clusters map[string]kafka.Config // by name
	Prefixes map[string]string       // by cluster: what all names begin with that are ours there
	Flows    []settings.Config       // in the file's order, at least one
	HTTP     HTTP
	Log      Log
}

// HTTP is where the page, metrics and health are served, and to whom.
type HTTP struct {
	Listen    string // host:port; "": nowhere
	WebConfig string // a file of TLS and logins, as Prometheus has them; "": whoever reaches Listen is answered
}

// Open says that other machines are answered, whoever asks.
func (h HTTP) Open() bool {
	host, _, err := net.SplitHostPort(h.Listen)
	if h.Listen == "" || h.WebConfig != "" || err != nil || host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}

// Log is what is logged and how.
type Log struct {
	Level  slog.Level
	Format Format
}

// Format is how a log line looks.
type Format string

const (
	Text Format = "text"
	JSON Format = "json"
)

// Handler writes log lines as configured.
func (l Log) Handler(w io.Writer) slog.Handler { return l.HandlerAt(w, l.Level) }

// HandlerAt is Handler at a level that may change.
func (l Log) HandlerAt(w io.Writer, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: inWords}
	if l.Format == JSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// inWords gives what has a text of its own as that text, so that both formats say the
// same: orders/3, and 1.5s, not the fields of a struct and nanoseconds.
func inWords(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		a.Value = slog.AnyValue(text(a.Value.Any()))
	}
	return a
}

// text is what a value says of itself, or those in a list of their own say; any other
// value stays.
func text(value any) any {
	switch v := value.(type) {
	case nil, error, slog.Level, *slog.Source:
		return v
	case fmt.Stringer:
		return v.String()
	}
	list := reflect.ValueOf(value)
	if list.Kind() != reflect.Slice || list.Len() == 0 || list.Type().Elem().Kind() == reflect.Uint8 {
		return value
	}
	words := make([]any, list.Len())
	for i := range words {
		words[i] = text(list.Index(i).Interface())
		if err, failed := words[i].(error); failed {
			words[i] = err.Error()
		}
	}
	return words
}

// DefaultConfig has the defaults of http and log; clusters and flows are open.
func DefaultConfig() Config {
	return Config{HTTP: HTTP{Listen: "127.0.0.1:9642"}, Log: Log{Level: slog.LevelInfo, Format: Text}}
}

//go:embed reference.yaml
var reference string

// Reference is a configuration with every key, its default and its meaning.
func Reference() string { return reference }

// UnknownFlowError says that no flow has the name that was asked for.
type UnknownFlowError struct {
	Name  string
	Known []string
}

func (e *UnknownFlowError) Error() string {
	if e.Name == "" {
		return fmt.Sprintf("the configuration has %d flows", len(e.Known))
	}
	return fmt.Sprintf("the configuration has no flow %q", e.Name)
}

// Remedy lists the flows.
func (e *UnknownFlowError) Remedy() string {
	return "choose one with --flow: " + strings.Join(e.Known, ", ")
}

// Flow finds a flow by its name, as old->new; "" finds the only one.
func (c *Config) Flow(name string) (settings.Config, error) {
	if name == "" && len(c.Flows) == 1 {
		return c.Flows[0], nil
	}
	unknown := &UnknownFlowError{Name: name}
	for _, flow := range c.Flows {
		if flow.Name() == name {
			return flow, nil
		}
		unknown.Known = append(unknown.Known, flow.Name())
	}
	return settings.Config{}, unknown
}

// Load reads a file, with ${NAME} from the process's environment. The error is
// a *Problems.
func Load(path string) (*Config, error) { return load(path, false) }

func load(path string, withoutFlows bool) (*Config, error) {
	loaded, err := read(path, withoutFlows)
	if err != nil {
		return nil, err
	}
	return loaded.Config, nil
}

// Loaded is a configuration with what its file says of each key.
type Loaded struct {
	Config   *Config
	Settings []Setting // all keys, and those properties of clusters that are given
	Files    []string  // that were read for it, its own first
}

// Read is Load for who has to know where values come from.
func Read(path string) (*Loaded, error) { return read(path, false) }

func read(path string, withoutFlows bool) (*Loaded, error) {
	data, err := ReadFile(path)
	if err != nil {
		return nil, &Problems{File: path, List: []Problem{{Message: unread(err).Error()}}}
	}
	loaded, err := parse(path, data, os.LookupEnv, withoutFlows)
	if err != nil {
		return nil, err
	}
	loaded.Files = slices.Insert(loaded.Files, 0, path)
	return loaded, nil
}

// LoadClusters is Load for what needs clusters alone: one is enough, and flows may
// be missing.
func LoadClusters(path string) (*Config, error) { return load(path, true) }

// Parse reads a configuration; name is what problems call it, getenv answers for
// ${NAME}. The error is a *Problems. What came from files is read again, by the Renew
// of the clusters, for new connections. Files that the configuration names must exist.
func Parse(name string, data []byte, getenv func(string) (string, bool)) (*Config, error) {
	loaded, err := parse(name, data, getenv, false)
	if err != nil {
		return nil, err
	}
	return loaded.Config, nil
}

func parse(name string, data []byte, getenv func(string) (string, bool), withoutFlows bool) (*Loaded, error) {
	p := newParser(getenv, ReadFile)
	p.withoutFlows = withoutFlows
	config := DefaultConfig()
	if root := p.yaml.document(data); root != nil {
		p.environment(root)
		p.config(root, &config)
		p.validate(&config)
	}
	if len(p.found.problems) > 0 {
		slices.SortStableFunc(p.found.problems, func(a, b Problem) int { return a.Line - b.Line })
		return nil, &Problems{File: name, List: p.found.problems, Read: p.env.files}
	}
	return &Loaded{Config: &config, Settings: p.told.ordered(), Files: p.env.files}, nil
}

func (p *parser) config(root *yaml.Node, c *Config) {
	seen := p.yaml.mapping(root, "", map[string]field{
		"clusters": func(n *yaml.Node, path string) { c.Clusters, c.Prefixes = p.clusters(n, path), p.prefixes },
		"env_file": func(n *yaml.Node, path string) {
			if n == nil { // else it was read before
				p.yaml.text(&p.env.file)(n, path)
			}
		},
		"flows": func(n *yaml.Node, path string) { c.Flows = p.flows(n, path) },
		"http": func(n *yaml.Node, path string) {
			p.yaml.mapping(n, path, map[string]field{
				"listen": p.yaml.text(&c.HTTP.Listen), "web_config": p.yaml.text(&c.HTTP.WebConfig),
			})
		},
		"log": func(n *yaml.Node, path string) {
			p.yaml.mapping(n, path, map[string]field{
				"level":  oneOf(p.yaml, levels, &c.Log.Level),
				"format": oneOf(p.yaml, formats, &c.Log.Format),
			})
		},
	})
	if p.found.faulty[""] {
		return // no mapping at all: nothing can be missing from it
	}
	if !seen["clusters"] {
		p.found.bad("clusters", "missing; name the source and the target, each with its bootstrap.servers")
	}
	if !seen["flows"] && !p.withoutFlows {
		p.found.bad("flows", "missing; give at least one, with from and to")
	}
}

var (
	levels = map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	formats = map[string]Format{"text": Text, "json": JSON}
)

func (p *parser) clusters(n *yaml.Node, path string) map[string]kafka.Config {
	clusters := map[string]kafka.Config{}
	p.yaml.each(n, path, func(name string, value *yaml.Node, path string) {
		p.env.used = false
		c, prefix := p.cluster(name, value, path)
		if p.env.used {
			c.Renew = p.renewal(name, value, path, c.Properties)
		}
		p.told.name(path, "cluster "+name)
		clusters[name], p.prefixes[name] = c, prefix
	})
	return clusters
}

// cluster reads a cluster's properties, and the two keys that are not librdkafka's.
func (p *parser) cluster(name string, n *yaml.Node, path string) (c kafka.Config, prefix string) {
	c = kafka.Config{Name: name, Properties: map[string]string{}}
	own := map[string]bool{}
	var addon string
	p.yaml.each(n, path, func(key string, value *yaml.Node, path string) {
		text, ok := p.yaml.scalar(value, path)
		if ok {
			p.told.property(path, key, text, "")
		} else {
			text = ""
		}
		switch own[key] = true; key {
		case "from_env":
			addon = text
		case "prefix":
			prefix = text
		default:
			c.Properties[key] = text
		}
	})
	prefixAt := join(path, "prefix")
	if at := join(path, "from_env"); own["from_env"] {
		if given := p.fromEnv(&c, addon, at, own); given != "" && !own["prefix"] {
			prefix, prefixAt = given, at+"."+addon+prefixVariable.suffix
		}
		p.tellAddon(&c, path, addon, own, prefix)
		if c.Properties["bootstrap.servers"] == "" { // follows from what has been told
			p.found.faulty[join(path, "bootstrap.servers")] = true
		}
	}
	if why := policy.PrefixProblem(prefix); why != "" {
		p.found.bad(prefixAt, "%s", why)
		return c, "" // what follows from it is not told
	}
	return c, prefix
}

func (p *parser) flows(n *yaml.Node, path string) []settings.Config {
	var flows []settings.Config
	p.yaml.items(n, path, func(n *yaml.Node, path string) {
		f := settings.DefaultConfig()
		seen := p.yaml.mapping(n, path, map[string]field{
			"from":                p.yaml.text(&f.From),
			"to":                  p.yaml.text(&f.To),
			"topics":              p.yaml.list(&f.Topics),
			"exclude_topics":      p.yaml.list(&f.ExcludeTopics),
			"groups":              p.yaml.list(&f.Groups),
			"exclude_groups":      p.yaml.list(&f.ExcludeGroups),
			"shared_groups":       p.yaml.list(&f.SharedGroups),
			"naming":              word(p.yaml, &f.Naming, policy.Identity, policy.Prefix),
			"separator":           p.yaml.text(&f.Separator),
			"records":             word(p.yaml, &f.Records, settings.AllRecords, settings.LocalRecords),
			"delivery":            word(p.yaml, &f.Delivery, settings.ExactlyOnce, settings.AtLeastOnce),
			"lane":                word(p.yaml, &f.Lane, settings.LaneAuto, settings.LaneBatch, settings.LaneRecord),
			"start":               p.yaml.text((*string)(&f.Start)),
			"replication_factor":  p.yaml.integer(&f.ReplicationFactor),
			"sync_topic_configs":  p.yaml.boolean(&f.SyncTopicConfigs),
			"exclude_configs":     p.yaml.list(&f.ExcludeConfigs),
			"shards":              p.yaml.integer(&f.Shards),
			"commit_interval":     p.yaml.duration(&f.CommitInterval),
			"group_sync_interval": p.yaml.duration(&f.GroupSyncInterval),
			"refresh_interval":    p.yaml.duration(&f.RefreshInterval),
			"ledger":              p.yaml.text(&f.Ledger),
			"limits":              p.limits(&f.Limits),
		})
		if seen["separator"] && f.Naming == policy.Identity {
			p.found.bad(path+".separator", "would not be used with naming: identity; take it out, or use naming: prefix")
		}
		p.told.name(path, "flow "+f.Name())
		flows = append(flows, f)
	})
	return flows
}

// limits reads what bounds a flow.
func (p *parser) limits(into *settings.Limits) field {
	return func(n *yaml.Node, path string) {
		p.yaml.mapping(n, path, map[string]field{
			"bytes_per_second": p.yaml.size(&into.BytesPerSecond),
			"time_zone":        p.yaml.text(&into.TimeZone),
			"calendar": func(n *yaml.Node, path string) {
				p.yaml.items(n, path, func(n *yaml.Node, path string) {
					var w settings.Window
					p.yaml.mapping(n, path, map[string]field{
						"days": p.yaml.text(&w.Days), "from": p.yaml.text(&w.From), "to": p.yaml.text(&w.To),
						"bytes_per_second": p.yaml.size(&w.BytesPerSecond),
					})
					into.Calendar = append(into.Calendar, w)
				})
			},
		})
	}
}

func clusterNames(c *Config) string {
	if len(c.Clusters) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(c.Clusters)), ", ")
}
