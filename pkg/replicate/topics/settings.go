package topics

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	timestampType   = "message.timestamp.type"
	createTime      = "CreateTime"
	cleanupPolicy   = "cleanup.policy"
	maxMessageBytes = "max.message.bytes"

	// leastMaxMessageBytes is Kafka's default of max.message.bytes. The record lane
	// gathers what the source holds in many small batches, and the batch lane may have
	// to write a batch anew that was stored smaller: a source topic's lower limit would
	// refuse both on the target.
	leastMaxMessageBytes = 1048588
)

var noLimit = strconv.FormatInt(math.MaxInt64, 10)

// timestampLimits refuse records by their time. Brokers before 3.6 know only the
// last one, brokers from 4.0 on only the first two.
var timestampLimits = []string{
	"message.timestamp.after.max.ms",
	"message.timestamp.before.max.ms",
	"message.timestamp.difference.max.ms",
}

// compared settings decide what the target keeps and takes. They are compared by
// what holds, not by what somebody set: the brokers' defaults differ.
var compared = map[string]bool{
	"retention.ms":          true,
	"retention.bytes":       true,
	cleanupPolicy:           true,
	maxMessageBytes:         true,
	"delete.retention.ms":   true, // a target that forgets tombstones earlier shows deleted keys to slow readers
	"min.compaction.lag.ms": true, // a target that compacts earlier hides values from slow readers
}

// bound settings name brokers of the cluster that they are set on.
var bound = map[string]bool{
	"leader.replication.throttled.replicas":   true,
	"follower.replication.throttled.replicas": true,
}

// setting is one topic setting as a cluster reports it.
type setting struct {
	Value    string
	Explicit bool // set on the topic itself, not a default of the broker
}

type settings map[string]setting

// Left is a setting of the source topic that the target does not get.
type Left struct {
	Key string
	Why string
}

// ours says whether the mirror gives the setting a value of its own.
func ours(key string) bool { return key == timestampType || slices.Contains(timestampLimits, key) }

// exact settings change or refuse records where they are wrong.
func exact(key string) bool { return ours(key) || key == maxMessageBytes }

// wanted is what the target should have because the source has it. everything is
// false for a topic to be created, which starts with what is set on the source
// topic itself: only the target topic can tell which defaults differ.
func wanted(source settings, exclude []*regexp.Regexp, everything bool) (map[string]string, []Left) {
	want := make(map[string]string)
	var left []Left
	for _, key := range sortedKeys(source) {
		s := source[key]
		if !s.Explicit && !(everything && compared[key]) {
			continue
		}
		if why := excluded(key, exclude); why != "" {
			if s.Explicit {
				left = append(left, Left{key, why})
			}
			continue
		}
		want[key] = s.Value
		if key == maxMessageBytes && number(s.Value) < leastMaxMessageBytes {
			want[key] = strconv.Itoa(leastMaxMessageBytes)
			if s.Explicit {
				left = append(left, Left{key, fmt.Sprintf("at least %d while the topic is mirrored: a batch that is "+
					"written anew there may be larger than the source's", leastMaxMessageBytes)})
			}
		}
	}
	return want, left
}

func excluded(key string, exclude []*regexp.Regexp) string {
	switch {
	case key == timestampType:
		return "always " + createTime + " while the topic is mirrored, so that timestamps arrive unchanged"
	case ours(key):
		return "without a limit while the topic is mirrored, so that no record is refused for its timestamp"
	case bound[key]:
		return "names brokers of the source"
	}
	for _, re := range exclude {
		if re.MatchString(key) {
			return "excluded by exclude_configs"
		}
	}
	return ""
}

// settingsForCreation is what a new target topic is created with.
func settingsForCreation(source settings, exclude []*regexp.Regexp) (map[string]string, []Left) {
	want, left := wanted(source, exclude, false)
	want[timestampType] = createTime
	want[timestampLimits[0]], want[timestampLimits[1]] = noLimit, noLimit
	return want, left
}

// bare is what every Kafka takes at a creation. Brokers refuse a creation for one
// setting they do not know; the rest is set when they have said what they know.
func bare(set map[string]string) map[string]string {
	few := map[string]string{timestampType: createTime}
	if policy, ok := set[cleanupPolicy]; ok {
		few[cleanupPolicy] = policy
	}
	return few
}

// difference is what to set on the target so that it has what is wanted. Keys
// that the target has beside these stay as they are.
func difference(target settings, want map[string]string) (set, from map[string]string, left []Left) {
	set, from = make(map[string]string), make(map[string]string)
	change := func(key, value string) {
		set[key], from[key] = value, target[key].Value
	}
	for _, key := range sortedKeys(want) {
		has, known := target[key]
		switch {
		case !known:
			left = append(left, Left{key, "the target does not know it, or does not let it be set"})
		case key == maxMessageBytes && number(has.Value) >= number(want[key]): // takes larger records too
		case !same(key, has.Value, want[key]):
			change(key, want[key])
		}
	}
	if has, known := target[timestampType]; known && has.Value != createTime {
		change(timestampType, createTime)
	}
	for _, key := range timestampLimits {
		if has, known := target[key]; known && has.Value != noLimit {
			change(key, noLimit)
		}
	}
	return set, from, left
}

// same compares two values; a cleanup policy is a set of words.
func same(key, a, b string) bool {
	if key == cleanupPolicy {
		return slices.Equal(words(a), words(b))
	}
	return a == b
}

func words(list string) []string {
	var parts []string
	for _, word := range strings.Split(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			parts = append(parts, word)
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts)
}

// number is 0 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
