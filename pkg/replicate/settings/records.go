package settings

import "replicator/pkg/policy"

// Records says which records of the source are copied.
type Records string

const (
	// AllRecords are all but those which the flow in the opposite direction wrote there.
	AllRecords Records = "all"
	// LocalRecords are those which no flow wrote there.
	LocalRecords Records = "local"
)

// Self is the flow as others need to know it.
func (c *Config) Self() policy.Flow {
	self := c.Flow
	self.Habits = policy.Habits{KeepsSettings: c.SyncTopicConfigs}
	if lane, _ := c.LaneInUse(); lane != LaneBatch || c.Delivery != ExactlyOnce {
		return self // it does not see who wrote a record, or what it writes is not claimed as a whole
	}
	self.LeavesOut = policy.WhatCameBack
	if c.Records == LocalRecords {
		self.LeavesOut = policy.WhatFlowsWrote
	}
	return self
}

// hop is the flow with what it chooses.
func (c *Config) hop() policy.Hop {
	return policy.Hop{Flow: c.Self(), Topics: c.Topics, ExcludeTopics: c.ExcludeTopics, SharedGroups: c.SharedGroups}
}

// Introduce has flows of one configuration know each other.
func Introduce(flows []Config) {
	var all []policy.Flow
	for i := range flows {
		all = append(all, flows[i].Flow)
	}
	for i := range flows {
		flows[i].Flows, flows[i].Beside = all, nil
		for j := range flows {
			if j != i {
				flows[i].Beside = append(flows[i].Beside, flows[j].hop())
			}
		}
	}
}
