package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/judge"
	"replicator/integration/workload"
)

// must ends the test at an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var listenLine = regexp.MustCompile(`(?m)^http: .*$`)

// replica is the same flow with a configuration file of its own, whose metrics
// are served at the address that it answers.
func (s *site) replica() (*site, string) {
	s.t.Helper()
	text, err := os.ReadFile(s.path)
	must(s.t, err)
	address := freeAddress(s.t)
	other := *s
	other.path = filepath.Join(s.t.TempDir(), "replica.yaml")
	text = listenLine.ReplaceAll(text, fmt.Appendf(nil, "http: {listen: %q}", address))
	must(s.t, os.WriteFile(other.path, text, 0o600))
	return &other, address
}

// freeAddress is one that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// metric adds up the samples of a metric whose labels have the given values, as
// in metric(t, address, "partitions_stopped", "kind", "topic_missing"). found is
// false while the daemon does not serve it.
func metric(t *testing.T, address, name string, labels ...string) (sum float64, found bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	must(t, err)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	for _, sample := range sampleLine.FindAllStringSubmatch(string(text), -1) {
		matches := sample[1] == "replicator_"+name
		for i := 0; i < len(labels); i += 2 {
			matches = matches && strings.Contains(sample[2], fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
		}
		if matches {
			value, err := strconv.ParseFloat(sample[3], 64)
			must(t, err)
			found = true
			sum += value
		}
	}
	return sum, found
}

// sampleLine is a metric's name, labels and value.
var sampleLine = regexp.MustCompile(`(?m)^(\w+)(\{.*\})? (\S+)$`)

// owned waits until the daemon at the address owns so many shards.
func owned(t *testing.T, address string, want func(shards float64) bool) {
	t.Helper()
	eventually(t, 90*time.Second, "shards are where they should be", func() bool {
		got, found := metric(t, address, "shards", "state", "owned")
		return found && want(got)
	})
}

// says waits for a line of the daemon's log that holds all parts.
func (d *daemon) says(within time.Duration, parts ...string) {
	d.t.Helper()
	eventually(d.t, within, fmt.Sprintf("a line of the log with %q", parts), func() bool {
		return lineWith(d.out.String(), parts...) != ""
	})
}

// lineWith gives the first line that holds all parts, or "".
func lineWith(text string, parts ...string) string {
	for line := range strings.Lines(text) {
		if holds(line, parts...) {
			return line
		}
	}
	return ""
}

// holds compares words: quotes that the log escapes, and lines that a table breaks, do not count.
func holds(text string, parts ...string) bool {
	text = strings.ReplaceAll(text, `\"`, `"`)
	joined := strings.Join(strings.Fields(text), " ")
	for _, part := range parts {
		if !strings.Contains(text, part) && !strings.Contains(joined, part) {
			return false
		}
	}
	return true
}

// fails waits until the daemon ends by itself, which must be with exit code 1 and
// an error that holds all parts, and has a remedy.
func (d *daemon) fails(within time.Duration, parts ...string) {
	d.t.Helper()
	select {
	case <-d.done:
	case <-time.After(within):
		d.t.Fatalf("the daemon still runs after %s, want it to end with %q", within, parts)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 1 {
		d.t.Errorf("the daemon ended with exit code %d, want 1", code)
	}
	out := d.out.String()
	if said := out[max(strings.LastIndex(out, "\nerror:"), 0):]; !holds(said, append(parts, "remedy:")...) {
		d.t.Errorf("the daemon ended with %q, want %q and a remedy", said, parts)
	}
}

// flowSeen is what status --json says, as far as tests ask for it.
type flowSeen struct {
	Replicas   *int            `json:"replicas"`
	CaughtUp   bool            `json:"caught_up"`
	Stopped    int             `json:"stopped"`
	Partitions []partitionSeen `json:"partitions"`
	Groups     []groupSeen     `json:"groups"`
	Problems   []problemSeen   `json:"problems"`
}

type partitionSeen struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Shard     int    `json:"shard"`
	State     string `json:"state"`
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy"`
	Behind    int64  `json:"records_behind"`
	Holes     *struct {
		Count   int64 `json:"count"`
		Offsets int64 `json:"offsets"`
	} `json:"holes"`
	Foreign []struct{ From, To int64 } `json:"foreign"`
}

type groupSeen struct {
	Group     string         `json:"group"`
	Error     string         `json:"error"`
	Remedy    string         `json:"remedy"`
	Positions []positionSeen `json:"positions"`
}

type positionSeen struct {
	Topic          string `json:"topic"`
	Partition      int32  `json:"partition"`
	State          string `json:"state"`
	Why            string `json:"why"`
	Target         *int64 `json:"target_offset"`
	TargetLag      *int64 `json:"target_lag"`
	WouldReadAgain int64  `json:"would_read_again"`
	WouldSkip      int64  `json:"would_skip"`
}

type problemSeen struct {
	Error  string `json:"error"`
	Remedy string `json:"remedy"`
}

// status is what both forms of the verb say; text has its lines joined, since a
// table breaks them.
func (s *site) status() (seen flowSeen, text string) {
	s.t.Helper()
	out, code := s.command("status", "--json")
	if code != 0 {
		s.t.Fatalf("status --json ended with %d:\n%s", code, out)
	}
	var document struct {
		Flows []flowSeen `json:"flows"`
	}
	if err := json.Unmarshal([]byte(out), &document); err != nil || len(document.Flows) != 1 {
		s.t.Fatalf("status --json tells about %d flows (%v):\n%s", len(document.Flows), err, out)
	}
	out, code = s.command("status", "--all")
	if code != 0 {
		s.t.Fatalf("status ended with %d:\n%s", code, out)
	}
	return document.Flows[0], strings.Join(strings.Fields(out), " ")
}

// of finds a partition.
func (f *flowSeen) of(topic string, number int32) partitionSeen {
	for _, p := range f.Partitions {
		if p.Topic == topic && p.Partition == number {
			return p
		}
	}
	return partitionSeen{}
}

// stopped is a partition that is to stop, and how that must show.
type stopped struct {
	topic     string
	partition int32
	kind      string // label of the metric
	reason    string // part of it
}

func (w stopped) String() string { return w.topic + "/" + strconv.Itoa(int(w.partition)) }

// checkStopped holds status, metrics and log against what is to be stopped,
// which must be all that is.
func checkStopped(t *testing.T, s *site, d *daemon, address string, want []stopped) {
	t.Helper()
	kinds := map[string]float64{}
	for _, w := range want {
		kinds[w.kind]++
		d.says(30*time.Second, "level=ERROR", w.topic, w.reason, "remedy=")
	}
	for kind, n := range kinds {
		eventually(t, 30*time.Second, fmt.Sprintf("%g partitions with kind %s in the metrics", n, kind), func() bool {
			got, _ := metric(t, address, "partitions_stopped", "kind", kind)
			return got == n
		})
	}
	if all, _ := metric(t, address, "partitions_stopped"); all != float64(len(want)) {
		t.Errorf("metrics tell of %g stopped partitions, want %d", all, len(want))
	}
	seen, text := s.status()
	if seen.Stopped != len(want) {
		t.Errorf("status tells of %d stopped partitions, want %d", seen.Stopped, len(want))
	}
	if seen.CaughtUp {
		t.Error("status says caught up, while partitions are stopped")
	}
	for _, w := range want {
		p := seen.of(w.topic, w.partition)
		if p.State != "stopped" || !strings.Contains(p.Reason, w.reason) || p.Remedy == "" {
			t.Errorf("%s: status says %+v, want it stopped since %q, and a remedy", w, p, w.reason)
		}
		for _, part := range []string{p.Reason, p.Remedy} {
			if !strings.Contains(text, strings.Join(strings.Fields(part), " ")) {
				t.Errorf("%s: the table does not say %q:\n%s", w, part, text)
			}
		}
	}
}

// reported makes one comparison, and logs it.
func reported(ctx context.Context, t *testing.T, sides judge.Sides, topics ...string) *judge.Report {
	t.Helper()
	r, err := judge.Compare(ctx, sides, topics)
	must(t, err)
	t.Log(r)
	return r
}

// mixed writes transactional data.
func mixed(ctx context.Context, t *testing.T, bootstrap, topic string, seed uint64, records, partitions int) {
	t.Helper()
	_, err := workload.Mixed(ctx, bootstrap, topic,
		workload.MixedSpec{Seed: seed, Records: records, Partitions: partitions})
	must(t, err)
}

// stand puts groups of the test somewhere in the topics.
func stand(ctx context.Context, t *testing.T, bootstrap string, seed uint64, groups int, topics ...string) []string {
	t.Helper()
	positions, err := workload.CommitRandom(ctx, bootstrap,
		workload.GroupSpec{Seed: seed, Prefix: unique(t), Groups: groups, Topics: topics})
	must(t, err)
	return workload.Groups(positions)
}

// stableEnds are the last stable offsets of a topic by partition.
func stableEnds(ctx context.Context, t *testing.T, bootstrap, topic string) map[int32]int64 {
	t.Helper()
	ends, err := ask(bootstrap, func(admin *kadm.Client) (map[int32]int64, error) {
		listed, err := admin.ListCommittedOffsets(ctx, topic)
		ends := map[int32]int64{}
		listed.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
		return ends, err
	})
	must(t, err)
	return ends
}

// deleteTopic returns when the cluster does not know the topic any more.
func deleteTopic(ctx context.Context, t *testing.T, bootstrap, topic string) {
	t.Helper()
	_, err := ask(bootstrap, func(admin *kadm.Client) (kadm.DeleteTopicResponses, error) {
		answer, err := admin.DeleteTopics(ctx, topic)
		if err == nil {
			err = answer.Error()
		}
		return answer, err
	})
	must(t, err)
}

// deleteRecords deletes all records of a partition below an offset.
func deleteRecords(ctx context.Context, t *testing.T, bootstrap, topic string, partition int32, below int64) {
	t.Helper()
	_, err := ask(bootstrap, func(admin *kadm.Client) (kadm.DeleteRecordsResponses, error) {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, partition, below, -1)
		answer, err := admin.DeleteRecords(ctx, offsets)
		if err == nil {
			err = answer.Error()
		}
		return answer, err
	})
	must(t, err)
}

// numbered makes plain records for one partition.
func numbered(prefix string, n int, partition int32) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "%s %d", prefix, i)}
	}
	return records
}
