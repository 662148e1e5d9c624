// Package versions follows a topic whose partition count changes: it tells an
// application which version of the topic to write to, when to stand still, and
// which to read. 'replicator topic-version' moves a topic, and announces what it
// does on the compacted topic [Meta]; docs/FORMATS.md describes the records.
//
// The central type is [Follower]. What it guarantees to applications that write
// with [Follower.Write] and read with [Follower.Read]:
//
//  1. a write begins only in the version that is current, and never while
//     publishers have to stand still, or when the announcements were not heard of
//     for [Lease];
//  2. a group reads a version to its end before it reads the next one, so that the
//     order of each key holds over the change;
//  3. it goes on where the command put it: nothing is lost, nothing read again.
//
// It imports franz-go and the standard library alone.
package versions

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Meta is the topic that versions are announced on: compacted, one partition.
const Meta = "_meta_versions"

// State is how far a version is.
type State string

const (
	// Preparing: the version is there and is being filled; publishers write to the one before.
	Preparing State = "preparing"
	// Switching: publishers stand still until the version is current, and consumers read the one before to its end.
	Switching State = "switching"
	// Current: publishers write here; consumers that are done with the one before read here.
	Current State = "current"
	// Retired: nobody uses the version any more, or it was given up before it was current.
	Retired State = "retired"
)

// Version is what is announced about one version of a topic; it is the value of a
// record, as JSON. The key is the topic, a slash and the version.
type Version struct {
	Topic      string `json:"topic"`
	Version    string `json:"version"` // v and a number
	State      State  `json:"state"`
	Physical   string `json:"physical"`          // the name of the Kafka topic
	Cluster    string `json:"cluster,omitempty"` // as the configuration of the command calls it
	Partitions int32  `json:"partitions"`
	// From is the version that this one follows, "" for the first.
	From string `json:"from,omitempty"`
	// Partitioner is what spreads keys over the partitions, by librdkafka's names.
	Partitioner string `json:"partitioner,omitempty"`
	// Copied says whether the version begins with the records of the one before.
	Copied bool `json:"copied"`
	// Offsets say where From ended and this version begins, by the id of the cluster that
	// they are offsets of: a copy of the topics on another cluster has others. Empty
	// until From is silent.
	Offsets map[string]Offsets `json:"offsets,omitempty"`
}

// Offsets are where one version ends and the next one begins, on one cluster.
type Offsets struct {
	// Drained has, of each partition of From, the offset behind its last visible
	// record: a group that has committed these is done with it.
	Drained []int64 `json:"drained,omitempty"`
	// Ends has, of each partition of From, the end of its log when it was silent.
	Ends []int64 `json:"ends,omitempty"`
	// Begins has, of each partition of this version, the offset of the first record that
	// was not copied: where a group goes on that is done with From.
	Begins []int64 `json:"begins,omitempty"`
}

// Key is the record's key.
func (v Version) Key() string { return v.Topic + "/" + v.Version }

// Number is the number in the version's name, -1 for none.
func (v Version) Number() int { return Number(v.Version) }

// Number reads v and a number in its shortest form; -1 for anything else.
func Number(name string) int {
	digits, ok := strings.CutPrefix(name, "v")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 0 || digits != strconv.Itoa(n) {
		return -1
	}
	return n
}

// Encode gives the record's value.
func (v Version) Encode() []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a version cannot be written: %v", err)) // it holds nothing that JSON lacks
	}
	return text
}

// Decode reads a record. Fields that it does not know are left alone; what it must
// know and does not is an error.
func Decode(key, value []byte) (Version, error) {
	var v Version
	if err := json.Unmarshal(value, &v); err != nil {
		return v, fmt.Errorf("announcement %q: %w", key, err)
	}
	known := slices.Contains([]State{Preparing, Switching, Current, Retired}, v.State)
	if v.Key() != string(key) || v.Number() < 0 || v.Physical == "" || v.Partitions < 1 || !known {
		return v, fmt.Errorf("announcement %q does not hold together: %s", key, value)
	}
	return v, nil
}

// View is all that is announced about one topic, by number.
type View struct {
	Topic    string
	Versions []Version
}

// With is the view after one more announcement.
func (w View) With(v Version) View {
	all := slices.Clone(w.Versions)
	at, known := slices.BinarySearchFunc(all, v.Number(), func(a Version, n int) int { return a.Number() - n })
	if known {
		all[at] = v
	} else {
		all = slices.Insert(all, at, v)
	}
	return View{w.Topic, all}
}

// Get is the version of that name.
func (w View) Get(name string) (Version, bool) {
	for _, v := range w.Versions {
		if v.Version == name {
			return v, true
		}
	}
	return Version{}, false
}

// Current is the highest version that is current. Where nothing is announced that
// is v0, under the topic's own name.
func (w View) Current() Version {
	for _, v := range slices.Backward(w.Versions) {
		if v.State == Current {
			return v
		}
	}
	return Version{Topic: w.Topic, Version: "v0", State: Current, Physical: w.Topic}
}

// Coming is the version that the topic is moved to.
func (w View) Coming() (Version, bool) {
	for _, v := range w.Versions {
		if v.Number() > w.Current().Number() && (v.State == Preparing || v.State == Switching) {
			return v, true
		}
	}
	return Version{}, false
}

// Writable says whether publishers may write, to [View.Current].
func (w View) Writable() bool {
	coming, moving := w.Coming()
	return !moving || coming.State != Switching
}

// after is the version that follows v, once it is known where v ends.
func (w View) after(v Version) (Version, bool) {
	for _, next := range w.Versions {
		if next.From == v.Version && len(next.Offsets) > 0 && (next.State == Switching || next.State == Current) {
			return next, true
		}
	}
	return Version{}, false
}

// oldest is where a group begins to look for what it has to read.
func (w View) oldest() Version {
	for _, v := range w.Versions {
		if v.State == Current {
			return v
		}
	}
	return w.Current()
}
