package topics

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"replicator/pkg/replicate/chunk"
)

// Ledger is what the flow's ledger answers and keeps about target topics.
type Ledger interface {
	// Judge is asked about target topics that exist, before anything of them is altered. A topic that is missing
	// in the answer, which goes by target names, may be altered.
	Judge(ctx context.Context, there []Mirrored) (map[string]Verdict, error)
	// Keep returns when it is committed what a topic had before; only then it is altered. It may be called again with
	// the same.
	Keep(ctx context.Context, kept []Kept) error
}

// Verdict is why a target topic is left as it is.
type Verdict struct {
	Stop *chunk.Stop // it is not to be copied to either; nil: only its settings are left alone
	Why  string      // without a Stop
}

// Kept is what the ledger keeps of a flow's alterations of a target topic.
type Kept struct {
	Topic    string         `json:"topic"` // on the source
	Target   string         `json:"target"`
	TargetID string         `json:"target_id,omitempty"` // in hexadecimal; "": it is about to be created
	Created  bool           `json:"created,omitempty"`   // by this flow
	Settings map[string]Put `json:"settings"`
}

// Put is a setting that the flow has put on a topic.
type Put struct {
	Set     string    `json:"set"`
	Was     string    `json:"was"`               // what comes back, but see Back.Source
	Default bool      `json:"default,omitempty"` // it was not set on the topic itself
	Since   time.Time `json:"since"`
}

// with adds later alterations. A setting that somebody else has changed in between comes
// back as it was left.
func (k Kept) with(later Kept) Kept {
	merged := later
	merged.Created = later.Created || k.Created
	merged.Settings = make(map[string]Put, len(k.Settings)+len(later.Settings))
	for key, put := range k.Settings {
		merged.Settings[key] = put
	}
	for key, put := range later.Settings {
		before, known := k.Settings[key]
		if k.Created && !known && !ours(key) {
			continue // it is what its source asks for, now as at its creation
		}
		if known && same(key, before.Set, put.Was) {
			put.Was, put.Default, put.Since = before.Was, before.Default, before.Since
		}
		merged.Settings[key] = put
	}
	return merged
}

// After is what is kept once later alterations of the same topic were made: of another
// topic that had its name nothing counts any more.
func (k Kept) After(before Kept) Kept {
	if before.TargetID != "" && before.TargetID != k.TargetID || before.TargetID == "" && !before.Created {
		return k
	}
	return before.with(k)
}

// judge asks the ledger about the topics that would be altered, and takes back what may not be.
func (t *Topics) judge(ctx context.Context, changes []*Change) error {
	if t.cfg.Ledger == nil {
		return nil
	}
	var there []Mirrored
	for _, c := range changes {
		if c.Stop == nil && !c.Create && !c.Nothing() {
			there = append(there, c.Mirrored)
		}
	}
	if len(there) == 0 {
		return nil
	}
	verdicts, err := t.cfg.Ledger.Judge(ctx, there)
	if err != nil {
		return err
	}
	for _, c := range changes {
		verdict, left := verdicts[c.Target]
		if !left || c.Stop != nil || c.Create {
			continue
		}
		c.Stop = verdict.Stop
		if was, wrong := c.From[timestampType]; c.Stop == nil && wrong {
			c.Stop = stop(c.Source, chunk.StopTopic,
				fmt.Sprintf("%s of topic %s on cluster %s is %s, which replaces the timestamps of all records: %s",
					timestampType, c.Target, t.cfg.Target.Name, was, verdict.Why),
				"nothing, if the flow has done its work; else take the cutover back", nil)
		}
		if c.Stop == nil {
			for _, key := range sortedKeys(c.Set) {
				c.Left = append(c.Left, Left{key, verdict.Why})
			}
		}
		c.PartitionsTo, c.Set, c.From = c.PartitionsFrom, nil, nil
	}
	return nil
}

// keep notes what is about to be set. What a topic had that is there is what comes back;
// of a topic that the flow creates, only what it would not have but for being mirrored.
func (t *Topics) keep(ctx context.Context, changes []*Change, pairs []pair) error {
	if t.cfg.Ledger == nil {
		return nil
	}
	by := make(map[string]pair, len(pairs))
	for _, p := range pairs {
		by[p.Source] = p
	}
	var kept []Kept
	for _, c := range changes {
		if c.Stop != nil || c.Nothing() && !c.created {
			continue
		}
		k := Kept{Topic: c.Source, Target: c.Target, Created: c.Create || c.created}
		k.Settings = c.puts(by[c.Source], time.Now())
		if !c.Create {
			k.TargetID = c.TargetID.String()
		}
		if k.Created || len(k.Settings) > 0 {
			kept = append(kept, k)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return t.cfg.Ledger.Keep(ctx, kept)
}

// puts lists what the change sets, each with what comes back.
func (c *Change) puts(p pair, now time.Time) map[string]Put {
	puts := make(map[string]Put)
	now = now.UTC().Truncate(time.Millisecond)
	for key, value := range c.Set {
		put := Put{Set: value, Since: now}
		if c.Create || c.created {
			back, only := whileMirrored(p.source.Settings, key, value)
			if !only {
				continue
			}
			put.Was, put.Default = back.Value, !back.Explicit
		} else {
			put.Was, put.Default = c.From[key], !p.target.Settings[key].Explicit
		}
		puts[key] = put
	}
	return puts
}

// whileMirrored says whether a new topic gets a setting only for the sake of the copy, and what it would have else: of
// those that the mirror always sets also where the source has the same, as that may change until the end.
func whileMirrored(source settings, key, value string) (back setting, only bool) {
	back, known := asOnSource(source, key)
	if key == maxMessageBytes {
		return back, known && back.Value != value
	}
	return back, ours(key) && (known || key != timestampType)
}

// asOnSource is what a target topic has of its source's settings once it is not mirrored any more.
func asOnSource(source settings, key string) (back setting, known bool) {
	has := source[key]
	switch {
	case has.Value == "":
		return setting{}, false
	case key == timestampType: // the clusters' defaults may differ
		return setting{has.Value, true}, true
	case key == maxMessageBytes:
		return setting{strconv.FormatInt(number(has.Value), 10), true}, true
	}
	return has, ours(key)
}
