package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/survey"
)

// askGroups asks who reads on the source, and on the target by the names that the
// groups are carried to.
func (m *migration) askGroups(ctx context.Context) {
	on := map[string]bool{}
	listed, err := m.source.Groups(ctx, func(group string) bool {
		target, verdict := m.viewer.Policy.Group(group)
		if verdict.Selected {
			on[target] = true
		}
		return verdict.Selected
	})
	m.unknown("groups on the source", err)
	active := 0
	for _, g := range listed {
		m.SourceGroups = append(m.SourceGroups, MigrationGroup{g, g.Active()})
		if g.Active() {
			active++
		}
		if g.Err != "" {
			m.unknown("members of group "+g.Group+" on the source", errors.New(g.Err))
		}
		if !g.Carries {
			m.warn("", "group %s on cluster %s is not carried: %s", g.Group, m.viewer.Flow.From, g.Not)
		}
	}
	if active > 0 {
		m.warn("stop them at the cutover: they go on where they stand then",
			"groups still active on cluster %s: %d", m.viewer.Flow.From, active)
	}
	listed, err = m.target.Groups(ctx, func(group string) bool { return on[group] })
	m.unknown("groups on the target", err)
	for _, g := range listed {
		if !g.Active() {
			continue
		}
		m.TargetGroups = append(m.TargetGroups, MigrationGroup{g, true})
		m.warn("stop it on the target if it is to follow; its positions are not moved while it has members",
			"group %s is active on cluster %s; members: %d", g.Group, m.viewer.Flow.To, g.Members)
	}
}

// MissingACLs are entries for applications on the source that have no like on the target, for the topics and groups of
// a snapshot with groups; the warnings tell what else they are in for there, and what could not be asked.
func MissingACLs(ctx context.Context, v *snapshot.Viewer, snap *snapshot.Snapshot) ([]MissingACL,
	[]inspect.ProblemStatus) {
	m := migration{viewer: v, snap: snap, source: survey.Of(v.SourceCluster, v.SourceClient),
		target: survey.Of(v.TargetCluster, v.TargetClient), Migration: &Migration{}}
	for i := range snap.Held {
		m.SourceGroups = append(m.SourceGroups, MigrationGroup{Group: survey.Group{Group: snap.Held[i].Group}})
	}
	m.askACLs(ctx)
	for _, one := range m.NotKnown {
		if one.Remedy != "" { // else there can be none
			m.Warnings = append(m.Warnings, one)
		}
	}
	return m.MissingACLs, m.Warnings
}

// askACLs compares what applications may do on both sides.
func (m *migration) askACLs(ctx context.Context) {
	source, err := m.source.ACLs(ctx)
	if err != nil {
		m.unknown("ACLs of applications on the source", openly(err))
		return
	}
	target, err := m.target.ACLs(ctx)
	if errors.Is(err, survey.ErrOpen) {
		if len(source) > 0 {
			m.warn("set up an authorizer there if it is to keep the same out",
				"cluster %s has ACLs and cluster %s has no authorizer: everybody may do everything there", m.viewer.Flow.From,
				m.viewer.Flow.To)
		}
		return
	}
	if err != nil {
		m.unknown("ACLs of applications on the target", err)
		return
	}
	for _, a := range survey.Missing(source, target, m.namedACL) {
		m.MissingACLs = append(m.MissingACLs, MissingACL{a.Principal,
			a.Command(m.viewer.TargetCluster.Properties["bootstrap.servers"])})
	}
	if n := len(m.MissingACLs); n > 0 {
		m.warn("add those that applications need; ACLs are not copied", "ACLs of applications on cluster %s without "+
			"a like on cluster %s: %d", m.viewer.Flow.From, m.viewer.Flow.To, n)
	}
}

// openly says that nobody can be kept out, which is no want of a right.
func openly(err error) error {
	if errors.Is(err, survey.ErrOpen) {
		return &kafka.Problem{What: "it has no authorizer, so that there are none to compare", Fix: ""}
	}
	return err
}

// namedACL says what an entry of the source would be on the target. What the daemon
// itself may do there, and what only concerns brokers, is nothing of applications.
func (m *migration) namedACL(a survey.ACL) (survey.ACL, bool) {
	if user, known := m.viewer.SourceCluster.User(); known && a.Principal == "User:"+user {
		return a, false
	}
	switch a.Resource {
	case kmsg.ACLResourceTypeTopic:
		return named(a, m.viewer.Flow.SourcePrefix, func(name string) (string, bool) {
			target, verdict := m.viewer.Policy.Topic(name)
			return target, verdict.Selected
		}, m.snap.Topics)
	case kmsg.ACLResourceTypeGroup:
		var names []string
		for _, g := range m.SourceGroups {
			names = append(names, g.Group.Group)
		}
		return named(a, m.viewer.Flow.SourcePrefix, func(name string) (string, bool) {
			target, verdict := m.viewer.Policy.Group(name)
			return target, verdict.Selected
		}, names)
	case kmsg.ACLResourceTypeTransactionalId:
		return a, true // applications keep their ids
	case kmsg.ACLResourceTypeCluster:
		return a, a.Operation == kmsg.ACLOperationIdempotentWrite
	}
	return a, false
}

// named gives an entry the name that it has on the target. A prefix concerns the
// flow if the name of something that it copies begins with it; all names ("*")
// are those behind the target's own prefix, where it has one.
func named(a survey.ACL, prefix string, policy func(string) (string, bool), copied []string) (survey.ACL, bool) {
	whole := a.Name == "*" && !a.Prefixed
	if !a.Prefixed && !whole {
		target, selected := policy(a.Name)
		a.Name = target
		return a, selected
	}
	begin := a.Name
	if whole || strings.HasPrefix(prefix, begin) {
		begin = prefix
	}
	concerned := false
	for _, name := range copied {
		if _, selected := policy(name); selected && strings.HasPrefix(name, begin) {
			concerned = true
		}
	}
	if !concerned {
		return a, false
	}
	if a.Name, _ = policy(begin); a.Name == "" {
		a.Name, a.Prefixed = "*", false
		return a, true
	}
	a.Prefixed = true
	return a, true
}

// askQuotas asks what binds the daemon: on the source what it reads, on the target
// what it writes, and its share of the brokers' threads on both.
func (m *migration) askQuotas(ctx context.Context) {
	for _, side := range []struct {
		conf    kafka.Config
		cluster *survey.Cluster
		key     string
		brokers int
	}{
		{m.viewer.SourceCluster, m.source, "consumer_byte_rate", m.Source.Brokers},
		{m.viewer.TargetCluster, m.target, "producer_byte_rate", m.Target.Brokers},
	} {
		quotas, err := side.cluster.Quotas(ctx)
		if err != nil {
			m.unknown("quotas on cluster "+side.conf.Name, err)
			continue
		}
		user, known := side.conf.User()
		if !known && len(quotas) > 0 {
			m.unknown("quotas on cluster "+side.conf.Name+" by user", &kafka.Problem{
				What: "the name that the cluster gives the program's user is not in the configuration",
				Fix:  "look at the quotas with kafka-configs.sh --describe --entity-type users",
			})
		}
		client := side.conf.ClientID()
		for _, key := range []string{side.key, "request_percentage"} {
			value, of, found := survey.Limit(quotas, key, user, client)
			if !found {
				continue
			}
			one := MigrationQuota{Cluster: side.conf.Name, Key: key, Value: value, Entity: of.Entity()}
			if key == side.key {
				bound := value * float64(side.brokers)
				one.Bound = &bound
			}
			m.Quotas = append(m.Quotas, one)
			m.warn(fmt.Sprintf("raise it for the time of the copy: kafka-configs.sh --alter, on cluster %s", side.conf.Name),
				"cluster %s limits the program by %s = %g on each broker (%s)", side.conf.Name, key, value, of.Entity())
		}
	}
}
