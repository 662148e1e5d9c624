package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"replicator/integration/workload"
)

// Contestants, as they are named in tables and in Options.Only.
const (
	plainLoop       = "plain"
	rawCopy         = "raw"
	exactlyOnce     = "exactly_once"
	fastCommits     = "exactly_once_50ms"
	recordExactOnce = "record_exactly_once"
	recordLeastOnce = "record_at_least_once"
	mm2LeastOnce    = "mm2_at_least_once"
	mm2ExactOnce    = "mm2_exactly_once"
)

// contestant is a way to copy one topic.
type contestant struct {
	name    string
	title   string
	most    int  // rounds of copying; 0: all
	endless bool // it never ends by itself: it is killed when the target has all
	prepare func(ctx context.Context, j *job) (*exec.Cmd, error)
}

var contestants = []contestant{
	{plainLoop, "plain librdkafka loop in Go", 0, false, prepareLoop},
	{rawCopy, "raw copy without transactions", 0, false, prepareLoop},
	{exactlyOnce, "replicator, exactly_once", 0, false, prepareReplicator(flowSettings{})},
	{fastCommits, "replicator, exactly_once, commit_interval: 50ms", 0, false,
		prepareReplicator(flowSettings{interval: 50 * time.Millisecond})},
	{recordExactOnce, "replicator, lane: record, exactly_once", 2, false, prepareReplicator(flowSettings{records: true})},
	{recordLeastOnce, "replicator, lane: record, at_least_once", 2, false,
		prepareReplicator(flowSettings{records: true, leastOnce: true})},
	{mm2LeastOnce, "MirrorMaker 2, at least once", 1, true, prepareMM2(false)},
	{mm2ExactOnce, "MirrorMaker 2, exactly once", 1, true, prepareMM2(true)},
}

// choose gives the named contestants whose "data/name" matches, in table order.
func choose(data string, names []string, only *regexp.Regexp) []contestant {
	return slices.DeleteFunc(slices.Clone(contestants), func(c contestant) bool {
		return !slices.Contains(names, c.name) || only != nil && !only.MatchString(data+"/"+c.name)
	})
}

// job is one contestant's task in one round.
type job struct {
	tools          *tools
	name           string // of the contestant
	source, target string // bootstrap addresses
	topic          string // on the source
	partitions     int
	codec          string // of the data
	follow         bool   // the topic goes on: to copy with little delay counts, not throughput
	alias          string // of the source cluster, unlike that of any other job
	dir            string // of this job alone
}

// copied is the topic the copy goes to.
func (j *job) copied() string { return j.alias + "." + j.topic }

func (j *job) write(name, text string) (string, error) {
	path := filepath.Join(j.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// prepareLoop is for the two programs that take a topic that is there, and know
// nothing but how to copy it.
func prepareLoop(ctx context.Context, j *job) (*exec.Cmd, error) {
	if err := workload.Topics(ctx, j.target, int32(j.partitions), nil, j.copied()); err != nil {
		return nil, err
	}
	args := []string{"-source", j.source, "-target", j.target, "-from", j.topic, "-to", j.copied()}
	if j.follow {
		args = append(args, "-follow")
	}
	if j.name == rawCopy { // batches stay as they are compressed
		return exec.Command(j.tools.raw, args...), nil
	}
	return exec.Command(j.tools.plain, append(args, "-codec", j.codec)...), nil
}

// flowSettings are what differs between the replicator's contestants.
type flowSettings struct {
	records   bool // lane: record
	leastOnce bool
	interval  time.Duration // 0: the default
}

func prepareReplicator(s flowSettings) func(context.Context, *job) (*exec.Cmd, error) {
	return func(_ context.Context, j *job) (*exec.Cmd, error) {
		path, err := j.write("flow.yaml", configuration(j, s))
		if err != nil {
			return nil, err
		}
		args := []string{"run", "-c", path}
		if !j.follow {
			args = append(args, "--until-caught-up")
		}
		return exec.Command(j.tools.replicator, args...), nil
	}
}

// configuration leaves everything at its default but what this task needs, and
// the target's compression, which is that of the data for all contestants.
func configuration(j *job, s flowSettings) string {
	text := fmt.Sprintf(strings.TrimLeft(`
clusters:
  %[1]s: {bootstrap.servers: %[2]q}
  new: {bootstrap.servers: %[3]q, compression.type: %[4]s}
http: {listen: ""}
flows:
  - from: %[1]s
    to: new
    topics: [%[5]s]
    naming: prefix
`, "\n"), j.alias, j.source, j.target, j.codec, j.topic)
	if s.records {
		text += "    lane: record\n"
	}
	if s.leastOnce {
		text += "    delivery: at_least_once\n"
	}
	if s.interval > 0 {
		text += fmt.Sprintf("    commit_interval: %s\n", s.interval)
	}
	return text
}
