package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"replicator/integration/workload"
)

// Contestants, as they are named in tables and in Options.Only.
const (
	plainLoop    = "plain"
	exactlyOnce  = "exactly_once"
	atLeastOnce  = "at_least_once"
	mm2LeastOnce = "mm2_at_least_once"
	mm2ExactOnce = "mm2_exactly_once"
)

// contestant is a way to copy one topic.
type contestant struct {
	name    string
	title   string
	endless bool // it never ends by itself: it is killed when the target has all
	prepare func(ctx context.Context, j *job) (*exec.Cmd, error)
}

var contestants = []contestant{
	{plainLoop, "plain librdkafka loop in Go", false, preparePlain},
	{exactlyOnce, "replicator, exactly_once", false, prepareReplicator("exactly_once")},
	{atLeastOnce, "replicator, at_least_once", false, prepareReplicator("at_least_once")},
	{mm2LeastOnce, "MirrorMaker 2, at least once", true, prepareMM2(false)},
	{mm2ExactOnce, "MirrorMaker 2, exactly once", true, prepareMM2(true)},
}

// job is one contestant's task in one round.
type job struct {
	site  *Site
	tools *tools
	data  Data
	alias string // of the source cluster, unlike that of any other job
	dir   string // of this job alone
}

// target is the topic the copy goes to.
func (j *job) target() string { return j.alias + "." + j.data.topic() }

func (j *job) write(name, text string) (string, error) {
	path := filepath.Join(j.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

func preparePlain(ctx context.Context, j *job) (*exec.Cmd, error) {
	if err := workload.Topics(ctx, j.site.Target, partitions, nil, j.target()); err != nil {
		return nil, err
	}
	return exec.Command(j.tools.plain, "-source", j.site.Source, "-target", j.site.Target,
		"-from", j.data.topic(), "-to", j.target(), "-codec", j.data.Codec), nil
}

func prepareReplicator(delivery string) func(context.Context, *job) (*exec.Cmd, error) {
	return func(_ context.Context, j *job) (*exec.Cmd, error) {
		path, err := j.write("flow.yaml", configuration(j, delivery))
		if err != nil {
			return nil, err
		}
		return exec.Command(j.tools.replicator, "run", "-c", path, "--until-caught-up"), nil
	}
}

// configuration leaves everything at its default but what this task needs, and
// the target's compression, which is that of the data for all contestants.
func configuration(j *job, delivery string) string {
	return fmt.Sprintf(strings.TrimLeft(`
clusters:
  %[1]s: {bootstrap.servers: %[2]q}
  new: {bootstrap.servers: %[3]q, compression.type: %[4]s}
flows:
  - from: %[1]s
    to: new
    topics: [%[5]s]
    naming: prefix
    delivery: %[6]s
http: {listen: ""}
`, "\n"), j.alias, j.site.Source, j.site.Target, j.data.Codec, j.data.topic(), delivery)
}
