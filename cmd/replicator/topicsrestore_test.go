package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// What the flow puts on topics of the target is named beforehand and afterwards, and put
// back by a verb, which leaves alone what it would not be safe to put back.
func TestTopicsRestore(t *testing.T) {
	w := newWorld(t)
	w.source.Topic("orders", 1)
	w.source.Topic("there", 1)
	w.source.Fill("orders", 0, 3)
	set := func(key, value string) map[string]*string { return map[string]*string{key: kadm.StringPtr(value)} }
	if _, err := w.target.Admin().CreateTopic(t.Context(), 1, 1, set("retention.ms", "50000"), "there"); err != nil {
		t.Fatal(err)
	}
	says(t, "check before the first run", w.must("check", "--connect"),
		"while it is mirrored: message.timestamp.after.max.ms=9223372036854775807, ", "retention.ms: 50000 -> ")
	w.must("run", "--until-caught-up")
	says(t, "check afterwards", w.must("check", "--connect"),
		"set by this flow, until it ends: message.timestamp.after.max.ms=9223372036854775807 (was not set)", "(was 50000)")

	dry := w.must("topics", "restore")
	says(t, "a look", dry, "flow old->new, topics of new:",
		"orders: message.timestamp.after.max.ms: 9223372036854775807 -> not set: would be put back",
		"there: retention.ms stays", "(was \"50000\"): what was there before keeps less",
		"--add-config retention.ms=[50000]")
	if w.must("topics", "restore") != dry {
		t.Error("a look has changed something")
	}
	if _, err := w.source.Admin().DeleteTopics(t.Context(), "orders", "there"); err != nil { // the flow has done its work
		t.Fatal(err)
	}
	says(t, "the verb", w.must("topics", "restore", "--yes"), "-> not set: put back", "there: retention.ms stays")
	after := w.must("topics", "restore", "--yes")
	if strings.Contains(after, "message.timestamp") || !strings.Contains(after, "there: retention.ms stays") {
		t.Errorf("the same again says:\n%s", after)
	}
}
