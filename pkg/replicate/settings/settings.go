package settings

import (
	"fmt"
	"regexp"
	"time"

	"replicator/pkg/policy"
)

// Delivery says what a crash may leave behind.
type Delivery string

const (
	// ExactlyOnce puts data, map and progress into one transaction.
	ExactlyOnce Delivery = "exactly_once"
	// AtLeastOnce writes data without a transaction: readers see it sooner, and
	// after a crash some records may be there twice.
	AtLeastOnce Delivery = "at_least_once"
)

// Start says where a partition without progress starts: Earliest, Latest, or an
// RFC 3339 time.
type Start string

const (
	// Earliest is the first record that the source has.
	Earliest Start = "earliest"
	// Latest is the end of the source's log: only what is written from now on.
	Latest Start = "latest"
)

// Time is the time that the start names; false for Earliest and Latest.
func (s Start) Time() (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, string(s))
	return at, err == nil
}

// Config is one flow: what is copied from where to where, and how. Start from
// [DefaultConfig]; [Config.Validate] tells what is wrong with it.
type Config struct {
	// What is selected, and how it is named; its Flows are all flows of the configuration, this one among them.
	policy.Config
	Beside []policy.Hop // the configuration's other flows

	Records           Records
	Delivery          Delivery
	Lane              Lane
	Start             Start
	ReplicationFactor int // 0: the source's, at most the number of target brokers
	SyncTopicConfigs  bool
	ExcludeConfigs    []string // patterns of topic config keys that stay the target's own

	Shards            int           // fixed once the ledger topic exists
	CommitInterval    time.Duration // how long a transaction gathers records
	GroupSyncInterval time.Duration
	RefreshInterval   time.Duration // how often topics and partitions are compared
	Limits            Limits
}

// Limits of what Validate accepts.
const (
	maxShards            = 256
	maxReplicationFactor = 32767 // what the protocol's int16 holds

	// MinCommitInterval and its counterpart: a transaction lasts a commit interval and the commit itself, and brokers
	// end it after a minute.
	MinCommitInterval, maxCommitInterval   = 10 * time.Millisecond, 30 * time.Second
	minGroupInterval, maxGroupInterval     = 100 * time.Millisecond, time.Hour
	minRefreshInterval, maxRefreshInterval = 100 * time.Millisecond, time.Hour
)

// DefaultConfig is a flow with every default; From and To are open.
func DefaultConfig() Config {
	return Config{
		Config:           policy.DefaultConfig(),
		Records:          AllRecords,
		Delivery:         ExactlyOnce,
		Lane:             LaneAuto,
		Start:            Earliest,
		SyncTopicConfigs: true,
		// What MirrorMaker 2 leaves out as well: these belong to a cluster and its brokers.
		ExcludeConfigs: []string{
			`follower\.replication\.throttled\.replicas`,
			`leader\.replication\.throttled\.replicas`,
			`message\.timestamp\.difference\.max\.ms`,
			`message\.timestamp\.type`,
			`unclean\.leader\.election\.enable`,
			`min\.insync\.replicas`,
		},
		Shards:            8,
		CommitInterval:    500 * time.Millisecond,
		GroupSyncInterval: time.Second,
		RefreshInterval:   10 * time.Second,
		Limits:            Limits{TimeZone: DefaultTimeZone},
	}
}

// Validate reports every problem of this flow alone: its path within the flow,
// what was got, what is accepted. Faults between flows are policy.Loops' to find.
func (c *Config) Validate(bad func(path, format string, args ...any)) {
	c.Config.Validate(bad)
	if c.From == c.To && c.From != "" && c.Naming != policy.Identity { // Loops reports the same with identity
		bad("to", "%q is the flow's own source; name another cluster", c.To)
	}
	if c.Delivery != ExactlyOnce && c.Delivery != AtLeastOnce {
		bad("delivery", "%q is unknown; use %s or %s", c.Delivery, ExactlyOnce, AtLeastOnce)
	}
	if c.Records != AllRecords && c.Records != LocalRecords {
		bad("records", "%q is unknown; use %s or %s", c.Records, AllRecords, LocalRecords)
	} else if lane, why := c.LaneInUse(); c.Records == LocalRecords && lane != LaneBatch {
		bad("records", "%s needs to see who wrote a record, which only lane: %s does; this flow has lane %s (%s)",
			LocalRecords, LaneBatch, lane, why)
	}
	switch {
	case c.Lane != LaneAuto && c.Lane != LaneBatch && c.Lane != LaneRecord:
		bad("lane", "%q is unknown; use %s, %s or %s", c.Lane, LaneAuto, LaneBatch, LaneRecord)
	case c.Lane == LaneBatch && c.Delivery == AtLeastOnce:
		bad("lane", "%s copies exactly once; use delivery: %s, or lane: %s", LaneBatch, ExactlyOnce, LaneRecord)
	}
	c.validateStart(bad)
	if c.ReplicationFactor < 0 || c.ReplicationFactor > maxReplicationFactor {
		bad("replication_factor", "%d is out of range; use 1 to %d, or 0 for the source's (default 0)",
			c.ReplicationFactor, maxReplicationFactor)
	}
	if c.Shards < 1 || c.Shards > maxShards {
		bad("shards", "%d is out of range; use 1 to %d (default 8)", c.Shards, maxShards)
	}
	for i, pattern := range c.ExcludeConfigs {
		if _, err := regexp.Compile(pattern); err != nil {
			bad(fmt.Sprintf("exclude_configs[%d]", i), "%q is not a pattern: %v", pattern, err)
		}
	}
	defaults := DefaultConfig()
	within(bad, "commit_interval", c.CommitInterval, MinCommitInterval, maxCommitInterval, defaults.CommitInterval)
	within(bad, "group_sync_interval", c.GroupSyncInterval, minGroupInterval, maxGroupInterval,
		defaults.GroupSyncInterval)
	within(bad, "refresh_interval", c.RefreshInterval, minRefreshInterval, maxRefreshInterval, defaults.RefreshInterval)
	c.Limits.validate(bad)
}

func (c *Config) validateStart(bad func(path, format string, args ...any)) {
	at, isTime := c.Start.Time()
	switch {
	case c.Start == Earliest || c.Start == Latest:
	case !isTime:
		bad("start", "%q is unknown; use %s, %s or a time such as 2026-01-31T06:00:00Z", c.Start, Earliest, Latest)
	case at.UnixMilli() < 0:
		bad("start", "%s is before 1970, where Kafka's time begins; use %s", c.Start, Earliest)
	}
}

func within(bad func(path, format string, args ...any), path string, got, least, most, normal time.Duration) {
	if got < least || got > most {
		bad(path, "%s is out of range; use %s to %s (default %s)", got, least, most, normal)
	}
}

// Name is the flow's name, as old->new.
func (c *Config) Name() string { return c.From + "->" + c.To }

// OppositeLedger is the topic on the source that the flow in the opposite direction
// keeps its maps and claims in; "" where the configuration has no such flow.
func (c *Config) OppositeLedger() string {
	for _, f := range c.Flows {
		if f.From == c.To && f.To == c.From && f.Called == "" {
			return f.LedgerTopic()
		}
	}
	return ""
}

// GroupID is the consumer group on the target whose members share the shards.
func (c *Config) GroupID() string { return c.TargetPrefix + "replicator." + c.From + "." + c.To }

// TransactionalID is what the producer of a shard is known by on the target.
func (c *Config) TransactionalID(shard int32) string {
	return fmt.Sprintf("%s.%d", c.GroupID(), shard)
}

// Validate reports the problems of all flows, each alone and together; i is the
// index of the flow.
func Validate(flows []Config, bad func(i int, path, format string, args ...any)) {
	var named []policy.Flow
	var index []int // of the named ones: what has no name yet closes no circle
	for i := range flows {
		flows[i].Validate(func(path, format string, args ...any) { bad(i, path, format, args...) })
		if flows[i].From != "" && flows[i].To != "" {
			named, index = append(named, flows[i].Self()), append(index, i)
		}
	}
	for _, problem := range policy.Loops(named) {
		bad(index[problem.Flow], problem.Path, "%s", problem.Message)
	}
	chosen := make([]policy.Config, len(index))
	for i, at := range index {
		chosen[i] = flows[at].Config
		chosen[i].Flow = flows[at].Self()
	}
	for _, problem := range policy.Shared(chosen) {
		bad(index[problem.Flow], problem.Path, "%s", problem.Message)
	}
}
