package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"replicator/pkg/replicate/kafka"
)

// Back is a setting that the flow has put on a target topic, and what becomes of it once
// the flow has ended.
type Back struct {
	Topic   string `json:"topic"` // on the source
	Target  string `json:"target"`
	Key     string `json:"setting"`
	Set     string `json:"set"`     // by the flow
	Now     string `json:"now"`     // on the topic
	Was     string `json:"was"`     // before the flow has set it
	Default bool   `json:"default"` // it was not set on the topic itself
	// Source: the flow has created the topic, and Was and Default are those of the source topic now.
	Source bool   `json:"as_on_source,omitempty"`
	Stays  string `json:"stays,omitempty"` // why it is not put back
	Left   bool   `json:"left,omitempty"`  // that is so for now: it is not for this command to put it back
	Fix    string `json:"remedy,omitempty"`
	// Gone: there is nothing to put back any more, as the topic is gone, or somebody has set what was there.
	Gone bool  `json:"gone,omitempty"`
	Err  error `json:"-"` // why the target did not take it
}

// Pending says that the setting is to be put back, and can be.
func (b *Back) Pending() bool { return b.Stays == "" && !b.Gone }

// PlanBack tells what would be put back, and what stays and why. It changes nothing.
func (t *Topics) PlanBack(ctx context.Context, kept []Kept) ([]Back, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var targets, sources []string
	for _, k := range kept {
		if len(k.Settings) > 0 {
			targets = append(targets, k.Target)
		}
		if len(k.Settings) > 0 && k.Created {
			sources = append(sources, k.Topic)
		}
	}
	there, err := t.target.withSettings(ctx, targets)
	if err != nil {
		return nil, err
	}
	from, err := t.source.withSettings(ctx, sources)
	if err != nil {
		return nil, err
	}
	var all []Back
	for _, k := range kept {
		for _, key := range sortedKeys(k.Settings) {
			put := k.Settings[key]
			b := Back{Topic: k.Topic, Target: k.Target, Key: key, Set: put.Set, Was: put.Was, Default: put.Default}
			if on := from[k.Topic]; on != nil && k.Created {
				if now, known := asOnSource(on.Settings, key); known {
					b.Was, b.Default, b.Source = now.Value, !now.Explicit, true
				}
			}
			b.judge(&k, there[k.Target], t.cfg.Target)
			all = append(all, b)
		}
	}
	return all, nil
}

// judge decides what becomes of the setting.
func (b *Back) judge(k *Kept, on *side, target kafka.Config) {
	switch {
	case on == nil, on.Err == nil && k.TargetID != "" && k.TargetID != on.ID.String():
		b.Gone = true // with the topic that it was set on
		return
	case on.Err != nil || on.SettingsErr != nil:
		b.Err = errors.Join(on.Err, on.SettingsErr)
		b.Stays = fmt.Sprintf("cluster %s does not tell it", target.Name)
		b.Fix = "grant Describe and DescribeConfigs on the topic, and give the command again"
		return
	}
	has, known := on.Settings[b.Key]
	b.Now = has.Value
	switch {
	case !known, has.Explicit == !b.Default && same(b.Key, has.Value, b.Was), b.Default && !has.Explicit:
		b.Gone = true
	case !same(b.Key, has.Value, b.Set):
		b.Stays = fmt.Sprintf("somebody has set it to %s since", has.Value)
		b.Fix = "nothing, if that is what it is to be"
	case keepsLess(b.Key, b.Set, b.Was):
		b.Stays = "what was there before keeps less, and would delete records that groups may not have read"
		b.Fix = fmt.Sprintf("set it by hand once nobody needs them: kafka-configs.sh --alter --entity-type topics "+
			"--entity-name %s %s", b.Target, b.byHand())
	}
}

func (b *Back) byHand() string {
	if b.Default {
		return "--delete-config " + b.Key
	}
	return fmt.Sprintf("--add-config %s=[%s]", b.Key, b.Was)
}

// keepsLess says whether a topic loses records, or hides values, sooner with a value than
// with the one that it has.
func keepsLess(key, has, value string) bool {
	switch key {
	case "retention.ms", "retention.bytes":
		return number(value) >= 0 && (number(has) < 0 || number(value) < number(has))
	case "delete.retention.ms", "min.compaction.lag.ms", "max.compaction.lag.ms":
		return number(value) < number(has)
	case cleanupPolicy:
		return slices.ContainsFunc(words(value), func(word string) bool { return !slices.Contains(words(has), word) })
	}
	return false
}

// PutBack puts back what is pending of what [Topics.PlanBack] has answered. What the target
// does not take stays, and says why.
func (t *Topics) PutBack(ctx context.Context, list []Back) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string][]alteration)
	for i := range list {
		b := &list[i]
		if !b.Pending() {
			continue
		}
		a := alteration{b.Key, &b.Was}
		if b.Default {
			a.Value = nil
		}
		all[b.Target] = append(all[b.Target], a)
	}
	answers, err := t.target.alterEach(ctx, all, forReal)
	if err != nil {
		return err
	}
	for i := range list {
		b := &list[i]
		if err := answers[b.Target]; err != nil && b.Pending() {
			refusal := refused(&Change{Mirrored: Mirrored{Source: b.Topic, Target: b.Target}}, t.cfg.Target, altering, err)
			b.Err, b.Stays, b.Fix = err, refusal.Reason, refusal.Fix
		} else if b.Pending() {
			t.log.Info("setting of target topic put back", "topic", b.Target, "setting", b.Key, "set", b.Was,
				"default", b.Default, "was", b.Now)
		}
	}
	return nil
}
