package repartition

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
	announce "replicator/pkg/versions"
)

const (
	timestampType   = "message.timestamp.type"
	maxMessageBytes = "max.message.bytes"
	defaultBytes    = 1_000_000 // where the settings do not tell how large a batch may be
)

// whileFilled are the settings that the new version has until it is current, so that
// timestamps arrive unchanged. The limits' names differ between brokers: those
// that the cluster does not know are left out.
var whileFilled = map[string]string{
	timestampType:                         "CreateTime",
	"message.timestamp.after.max.ms":      strconv.FormatInt(math.MaxInt64, 10),
	"message.timestamp.before.max.ms":     strconv.FormatInt(math.MaxInt64, 10),
	"message.timestamp.difference.max.ms": strconv.FormatInt(math.MaxInt64, 10),
}

// makeMeta makes the topic of announcements where it is missing.
func (m *mover) makeMeta(ctx context.Context) error {
	for _, s := range m.sides() {
		meta, err := s.describe(ctx, announce.Meta)
		if err != nil {
			return err
		}
		if meta.exists && meta.partitions != 1 {
			return &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s has %d partitions", announce.Meta,
				s.cfg.Name, meta.partitions), Fix: "it needs one, or its records have no order: make it anew"}
		}
		if meta.exists {
			continue
		}
		configs := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
		if err := s.create(ctx, announce.Meta, 1, m.source.replicas, configs); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) create(ctx context.Context, name string, partitions int32, replicas int16,
	configs map[string]*string) error {
	if brokers, err := s.admin.ListBrokers(ctx); err == nil {
		replicas = min(replicas, int16(len(brokers)))
	}
	if _, err := s.admin.CreateTopic(ctx, partitions, replicas, configs, name); err != nil {
		return s.cfg.Explain(fmt.Errorf("create topic %s: %w", name, err))
	}
	for { // until every partition has a leader
		found, err := s.describe(ctx, name)
		if err == nil && found.exists {
			if _, err = s.ends(ctx, found); err == nil {
				return nil
			}
		}
		if err := wait.Pause(ctx, checkEvery); err != nil {
			return err
		}
	}
}

// makeTarget makes the new version with the settings of the old one.
func (m *mover) makeTarget(ctx context.Context) error {
	own, err := m.settings(ctx, m.from, m.source.name)
	if err != nil {
		return err
	}
	known, err := m.settings(ctx, m.to, announce.Meta)
	if err != nil {
		return err
	}
	configs := map[string]*string{}
	for key, s := range own {
		if s.explicit {
			configs[key] = kadm.StringPtr(s.value)
		}
	}
	for key, value := range whileFilled {
		if _, ok := known[key]; ok && !m.NoCopy {
			configs[key] = kadm.StringPtr(value)
		}
	}
	if err := m.to.create(ctx, m.target.name, m.Partitions, m.source.replicas, configs); err != nil {
		return err
	}
	m.Say("made topic %s with %d partitions on cluster %s", m.target.name, m.Partitions, m.To.Name)
	m.target, err = m.to.describe(ctx, m.target.name)
	return err
}

// settle gives the new version the settings that filling it needed otherwise.
func (m *mover) settle(ctx context.Context) error {
	own, err := m.settings(ctx, m.from, m.source.name)
	if err != nil || m.NoCopy {
		return err
	}
	now, err := m.settings(ctx, m.to, m.target.name)
	if err != nil {
		return err
	}
	var alter []kadm.AlterConfig
	for key := range whileFilled {
		if !now[key].explicit {
			continue
		}
		if s := own[key]; s.explicit {
			alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(s.value)})
		} else {
			alter = append(alter, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
		}
	}
	if len(alter) == 0 {
		return nil
	}
	done, err := m.to.admin.AlterTopicConfigs(ctx, alter, m.target.name)
	for _, each := range done {
		if err == nil {
			err = each.Err
		}
	}
	if err != nil {
		return m.to.cfg.Explain(fmt.Errorf("settings of %s: %w", m.target.name, err))
	}
	return nil
}

type setting struct {
	value    string
	explicit bool // set on the topic itself
}

func (m *mover) settings(ctx context.Context, s *side, name string) (map[string]setting, error) {
	described, err := s.admin.DescribeTopicConfigs(ctx, name)
	if err == nil && len(described) == 1 {
		err = described[0].Err
	}
	if err != nil {
		return nil, s.cfg.Explain(fmt.Errorf("settings of %s: %w", name, err))
	}
	all := map[string]setting{}
	for _, topic := range described {
		for _, c := range topic.Configs {
			if !strings.HasSuffix(c.Key, ".throttled.replicas") { // those name brokers
				all[c.Key] = setting{c.MaybeValue(), c.Source == kmsg.ConfigSourceDynamicTopicConfig}
			}
		}
	}
	return all, nil
}

// batchBytes bounds what is written at once by what the new version takes.
func (m *mover) batchBytes(ctx context.Context) int32 {
	all, err := m.settings(ctx, m.to, m.target.name)
	if n, bad := strconv.Atoi(all[maxMessageBytes].value); err == nil && bad == nil && n > 0 {
		return int32(min(n, 64<<20))
	}
	return defaultBytes
}
