package peers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/owner"
	"replicator/pkg/replicate/settings"
)

// Note is what a replica lets the others of its group know: whose work it does, and
// by which rules. Of each rule it holds a digest: two replicas agree or they do not.
type Note struct {
	Ledger  string            `json:"ledger"`
	Source  string            `json:"source"` // cluster id
	Program string            `json:"program"`
	Rules   map[string]string `json:"rules"` // by key of the configuration
}

// LeavesOut is the rule of what a replica does not copy by who wrote it. It follows from records, delivery and lane.
const LeavesOut = "leaves_out"

// RulesOf are digests of all that decides what is copied, and how it looks on the target.
// Intervals and the like may differ between replicas, and the lane as far as it leaves out the same.
func RulesOf(c *settings.Config) map[string]string {
	rules := map[string]string{}
	for key, value := range map[string]any{
		"topics": c.Topics, "exclude_topics": c.ExcludeTopics, "groups": c.Groups, "exclude_groups": c.ExcludeGroups,
		"shared_groups": c.SharedGroups, "naming": c.Naming, "records": c.Records, "separator": c.Separator,
		"start": c.Start, "delivery": c.Delivery, LeavesOut: c.Self().LeavesOut,
		"replication_factor": c.ReplicationFactor, "sync_topic_configs": c.SyncTopicConfigs,
		"exclude_configs": c.ExcludeConfigs, "prefix": []string{c.SourcePrefix, c.TargetPrefix}, "shards": c.Shards,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			panic(fmt.Sprintf("replicate: rule %s cannot be written as JSON: %v", key, err))
		}
		digest := sha256.Sum256(text)
		rules[key] = hex.EncodeToString(digest[:4])
	}
	return rules
}

// DifferingKeys lists the keys in which two replicas' rules differ; what one of them does not
// know is left out.
func DifferingKeys(a, b map[string]string) []string {
	var keys []string
	for key, digest := range a {
		if other, known := b[key]; known && other != digest {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// NoteFor is what the flow's member of the group lets the others know.
func NoteFor(c *settings.Config, id ledger.Identity) []byte {
	text, err := json.Marshal(Note{c.LedgerTopic(), id.SourceCluster, id.Program, RulesOf(c)})
	if err != nil {
		panic(fmt.Sprintf("replicate: a member's note cannot be written as JSON: %v", err))
	}
	return text
}

// NoteOf reads a member's note; false where there is none that can be read.
func NoteOf(m *owner.Member) (n Note, ok bool) {
	return n, m.Note != nil && json.Unmarshal(m.Note, &n) == nil
}

// Differing are replicas whose rules are not those of a configuration.
type Differing struct {
	Hosts map[string]bool
	Keys  map[string]bool // in which they differ
	Count int
}

// CompareRules finds members with other rules than these.
func CompareRules(members []owner.Member, rules map[string]string) Differing {
	o := Differing{Hosts: map[string]bool{}, Keys: map[string]bool{}}
	for i := range members {
		note, ok := NoteOf(&members[i])
		if !ok {
			continue
		}
		keys := DifferingKeys(rules, note.Rules)
		for _, key := range keys {
			o.Keys[key] = true
		}
		if len(keys) > 0 {
			o.Count++
			o.Hosts[members[i].Host] = true
		}
	}
	return o
}

// String names the keys and the hosts.
func (o *Differing) String() string {
	if o.Count == 0 {
		return ""
	}
	list := func(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }
	return fmt.Sprintf("%d replicas, on %s, have other rules (%s)", o.Count, list(o.Hosts), list(o.Keys))
}

// MixedRemedy is what to do about replicas that differ.
const MixedRemedy = "give all replicas the same configuration and restart those that have another: until then a " +
	"topic that only some of them choose is copied only where these own its shard"

// ForeignMembersError reports that another flow's replicas are in the flow's group: the names of
// its clusters are the same, and so would be its transactional ids.
type ForeignMembersError struct {
	Group, Ledger string
	Others        []string // the ledgers of the others
	Hosts         []string
}

func (e *ForeignMembersError) Error() string {
	return fmt.Sprintf("group %s is that of another flow now: replicas on %s work with ledger %s, this flow's is %s",
		e.Group, strings.Join(e.Hosts, ", "), strings.Join(e.Others, ", "), e.Ledger)
}

// Remedy tells what to do.
func (e *ForeignMembersError) Remedy() string {
	return "two flows to one cluster need clusters of other names, of which group and transactional ids are made: name " +
		"the source or the target of one of them otherwise, and keep its ledger with ledger: NAME. This flow begins by " +
		"itself when the others are gone"
}

// ForeignMembers finds members of the group that work for another ledger: a *[ForeignMembersError], or nil.
func ForeignMembers(c *settings.Config, members []owner.Member) error {
	e := &ForeignMembersError{Group: c.GroupID(), Ledger: c.LedgerTopic()}
	for i := range members {
		m := &members[i]
		if m.Known && !slices.Contains(m.Topics, c.LedgerTopic()) {
			e.Others, e.Hosts = append(e.Others, m.Topics...), append(e.Hosts, m.Host)
		}
	}
	if len(e.Hosts) == 0 {
		return nil
	}
	slices.Sort(e.Hosts)
	slices.Sort(e.Others)
	e.Hosts, e.Others = slices.Compact(e.Hosts), slices.Compact(e.Others)
	return e
}

// AreForeignMembers says whether that is why a flow ended.
func AreForeignMembers(err error) bool {
	var e *ForeignMembersError
	return errors.As(err, &e)
}
