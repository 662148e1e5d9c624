package preflight

import (
	"context"
	"fmt"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/survey"
)

// Migration is what moving by a flow will do, and what stands in its way: the
// [FlowPlan], and what both clusters tell of their users. Its JSON is stable: fields
// may be added, none changes its name or meaning. Sizes are bytes, durations
// seconds, times RFC 3339; null is not known, and NotKnown says why.
type Migration struct {
	Flow   string        `json:"flow"` // as old->new
	Taken  time.Time     `json:"taken"`
	Source MigrationSide `json:"source"`
	Target MigrationSide `json:"target"`
	Lane   settings.Lane `json:"lane"`

	Topics []MigrationTopic `json:"topics"` // selected ones, by source name
	Totals MigrationTotals  `json:"totals"`
	Pace   MigrationPace    `json:"pace"`
	Quotas []MigrationQuota `json:"quotas"` // those that bind the daemon
	Rooms  []survey.Room    `json:"target_disks"`

	SourceGroups []MigrationGroup `json:"source_groups"` // selected ones, and those of kinds that are not carried
	TargetGroups []MigrationGroup `json:"target_groups"` // those of the same names that have members
	Open         []survey.Open    `json:"open_transactions"`
	// ActiveWithin is how recent a record makes its producer an active one.
	ActiveWithin int64        `json:"producers_active_within_seconds"`
	MissingACLs  []MissingACL `json:"missing_acls"`

	Obstacles []inspect.ProblemStatus `json:"obstacles"` // in the way: the exit code tells of these
	Warnings  []inspect.ProblemStatus `json:"warnings"`
	NotKnown  []inspect.ProblemStatus `json:"not_known"`

	// LeftOut is what the flow's patterns choose and a rule leaves out.
	LeftOut []inspect.LeftOut `json:"left_out"`

	problems []error
}

// InTheWay are the obstacles as errors with remedies.
func (m *Migration) InTheWay() []error { return m.problems }

// MigrationSide is a cluster that answered.
type MigrationSide struct {
	Name    string `json:"name"`
	ID      string `json:"cluster_id"`
	Brokers int    `json:"brokers"`
}

// MigrationTopic is one topic.
type MigrationTopic struct {
	Topic  string `json:"topic"`
	Target string `json:"target_topic"`
	// Action: create, alter, as_is, stop.
	Action            string `json:"action"`
	Partitions        int    `json:"partitions"`
	TargetPartitions  int    `json:"target_partitions"`  // as they will be
	ReplicationFactor int    `json:"replication_factor"` // on the target; 0: not known
	Size              *int64 `json:"source_bytes"`       // of the leaders' logs
	Records           int64  `json:"records_to_copy"`    // offsets: no more records than that
	Left              *int64 `json:"bytes_to_copy"`      // by the share of the offsets
	Disk              *int64 `json:"target_bytes"`       // that these take on all replicas
	// Altered settings will be set by the flow; Differing ones stay different.
	Altered   map[string]string   `json:"altered"`
	Differing []survey.Difference `json:"differing"`
	Writers   *survey.Writing     `json:"producers"` // on the source
}

// MigrationTotals sums up the topics; a sum of which a part is not known is null.
type MigrationTotals struct {
	Topics     int    `json:"topics"`
	Create     int    `json:"topics_to_create"`
	Partitions int    `json:"partitions_to_create"`
	Replicas   int    `json:"replicas_to_create"`
	Size       *int64 `json:"source_bytes"`
	Records    int64  `json:"records_to_copy"`
	Left       *int64 `json:"bytes_to_copy"`
	Disk       *int64 `json:"target_bytes"`
}

// MigrationPace is how long copying what is there now takes, at a rate of which the
// origin is told. What producers add meanwhile is not in it.
type MigrationPace struct {
	// From: given; daemon, the progress of a daemon that runs; read, a sample read from the source, which is no
	// copy; quota, where a quota allows less than that; unknown.
	From     string   `json:"from"`
	Why      string   `json:"why"` // what was measured, in words
	Bytes    *float64 `json:"bytes_per_second"`
	Records  *float64 `json:"records_per_second"`
	Duration *int64   `json:"duration_seconds"`
}

// MigrationQuota is a quota of the daemon's own user or client id.
type MigrationQuota struct {
	Cluster string  `json:"cluster"`
	Key     string  `json:"quota"` // consumer_byte_rate, producer_byte_rate or request_percentage
	Value   float64 `json:"value"` // on each broker
	Entity  string  `json:"entity"`
	// Bound is what it lets through at most in bytes per second, over all brokers that lead a part; null: it does not
	// say that.
	Bound *float64 `json:"bytes_per_second"`
}

// MigrationGroup is a group in use.
type MigrationGroup struct {
	survey.Group
	Active bool `json:"active"`
}

// MissingACL is an entry for applications that the target has none like.
type MissingACL struct {
	Principal string `json:"principal"`
	Command   string `json:"command"`
}

// MigrationOptions are what an operator may choose.
type MigrationOptions struct {
	Rate   float64       // bytes per second; 0: measured
	Active time.Duration // how recent a record makes its producer active
	Sample time.Duration // how long the rate is measured
}

// DefaultMigrationOptions measure the rate.
func DefaultMigrationOptions() MigrationOptions {
	return MigrationOptions{Active: 10 * time.Minute, Sample: 3 * time.Second}
}

// migration gathers a Migration.
type migration struct {
	*Migration
	viewer         *snapshot.Viewer
	opts           MigrationOptions
	plan           *FlowPlan
	snap           *snapshot.Snapshot
	source, target *survey.Cluster
	brokers        []int32 // of the source
	placed         survey.Placement
}

// PlanMigration plans a flow as Plan does, and asks both clusters what else there is
// to know. What they do not tell is in NotKnown. Neither is changed.
func PlanMigration(ctx context.Context, v *snapshot.Viewer, opts MigrationOptions) (*Migration, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := v.Take(ctx, func(string) bool { return true }, true)
	if err != nil {
		return nil, err
	}
	plan, err := planSeen(ctx, v, snap)
	if err != nil {
		return nil, err
	}
	m := migration{
		viewer: v, opts: opts, plan: plan, snap: snap,
		source: survey.Of(v.SourceCluster, v.SourceClient), target: survey.Of(v.TargetCluster, v.TargetClient),
		Migration: &Migration{
			Flow: plan.Flow, Taken: snap.Taken, ActiveWithin: int64(opts.Active / time.Second),
			Source: MigrationSide{plan.Source.Name, plan.Source.ID, plan.Source.Brokers},
			Target: MigrationSide{plan.Target.Name, plan.Target.ID, plan.Target.Brokers},
			Topics: []MigrationTopic{}, Quotas: []MigrationQuota{}, Rooms: []survey.Room{},
			SourceGroups: []MigrationGroup{}, TargetGroups: []MigrationGroup{}, Open: []survey.Open{},
			MissingACLs: []MissingACL{}, Obstacles: []inspect.ProblemStatus{}, Warnings: []inspect.ProblemStatus{},
			NotKnown: []inspect.ProblemStatus{},
			LeftOut:  plan.LeftOut,
		},
	}
	m.Lane, _ = v.Flow.LaneInUse()
	for _, err := range plan.InTheWay() {
		m.inTheWay(err)
	}
	for _, warning := range plan.Warnings {
		m.warn("", "%s", warning)
	}
	m.askTopics()
	m.askSizes(ctx)
	m.askSettings(ctx)
	m.askWriters(ctx)
	m.askGroups(ctx)
	m.askACLs(ctx)
	m.askQuotas(ctx)
	m.Pace = (&pacer{migration: &m}).measure(ctx)
	return m.Migration, ctx.Err()
}

func (m *migration) inTheWay(err error) {
	m.problems = append(m.problems, err)
	m.Obstacles = append(m.Obstacles, inspect.ProblemStatusOf(err))
}

func (m *migration) warn(remedy, format string, args ...any) {
	m.Warnings = append(m.Warnings, inspect.ProblemStatus{Error: fmt.Sprintf(format, args...), Remedy: remedy})
}

// unknown notes what a cluster does not tell; about opens the sentence.
func (m *migration) unknown(about string, err error) {
	if err != nil {
		m.NotKnown = append(m.NotKnown, inspect.ProblemStatus{Error: about + ": " + err.Error(), Remedy: chunk.Remedy(err)})
	}
}
