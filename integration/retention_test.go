package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
)

// What the target deletes before a group has read it is counted to the record, told with every answer about the group,
// and a cutover is refused; and what is about to be deleted is told before.
func TestTargetDeletesUnread(t *testing.T) {
	source, target := shared(t)
	ctx := deadline(t, 2*time.Minute)
	name := unique(t)
	topic, aged := name+"-orders", name+"-aged"
	keep := workload.KeepConfigs()
	must(t, workload.Topics(ctx, source.Bootstrap(), 1, keep, topic, aged))
	must(t, workload.Produce(ctx, source.Bootstrap(), topic, numbered("order", 3000, 0)...))
	for i, age := range []time.Duration{69, 41, 10} {
		must(t, workload.Produce(ctx, source.Bootstrap(), aged,
			&kgo.Record{Value: fmt.Append(nil, i), Timestamp: time.Now().Add(-age * time.Hour)}))
	}
	must(t, workload.Commit(ctx, source.Bootstrap(), []workload.Position{
		{Group: name + "-billing", Topic: topic, At: 200}, {Group: name + "-ahead", Topic: topic, At: 2900},
		{Group: name + "-near", Topic: aged, At: 0}, {Group: name + "-half", Topic: aged, At: 1},
		{Group: name + "-fresh", Topic: aged, At: 2}}))
	s := newSite(t, source, target, patterns(t, []string{topic, aged}, "sync_topic_configs: false")...)
	s.copyOnce()

	out, _ := s.command("offsets", "--topic", topic, "--partition", "0", "--at", "2500")
	at := regexp.MustCompile(`target .* offset (\d+)`).FindStringSubmatch(out)
	if at == nil {
		t.Fatalf("offsets says\n%s", out)
	}
	start, err := strconv.ParseInt(at[1], 10, 64)
	must(t, err)
	deleteRecords(ctx, t, target.Bootstrap(), topic, 0, start)
	must(t, workload.Alter(ctx, target.Bootstrap(), aged,
		map[string]string{"cleanup.policy": "delete", "retention.ms": fmt.Sprint(80 * 3600 * 1000)}))
	s.copyOnce() // the groups are compared anew

	out, _ = s.command("status", "--json")
	var seen struct {
		Flows []struct {
			Unread   int64                    `json:"unread_deleted"`
			Warnings []struct{ Error string } `json:"warnings"`
			Groups   []struct {
				Group     string
				Positions []struct {
					State  string
					Target *int64 `json:"target_offset"`
					Unread int64  `json:"unread_deleted"`
					Kept   *int64 `json:"kept_for_at_least_seconds"`
				}
			}
		}
	}
	must(t, json.Unmarshal([]byte(out), &seen))
	flow := seen.Flows[0]
	if flow.Unread != 2300 {
		t.Errorf("status counts %d records deleted unread, want 2300", flow.Unread)
	}
	// 11, 39 and 70 of 80 h are left: at least these.
	kept := map[string]int64{"-near": 36000, "-half": 72000, "-fresh": 144000}
	for _, g := range flow.Groups {
		p, end := g.Positions[0], strings.TrimPrefix(g.Group, name)
		switch want := kept[end]; {
		case end == "-billing" && (p.State != "unread_deleted" || p.Unread != 2300 || p.Target == nil || *p.Target != start):
			t.Errorf("group billing is told as %+v, want 2300 unread records deleted, and to stand at %d", p, start)
		case end == "-ahead" && (p.State != "right" || p.Unread != 0):
			t.Errorf("a group that had read them is told as %+v", p)
		case want > 0 && (p.Kept == nil || *p.Kept != want):
			t.Errorf("group %s is told as %+v, want kept for %d s", g.Group, p, want)
		}
	}
	if told := fmt.Sprint(flow.Warnings); !strings.Contains(told, "topic "+aged+" is kept 80h0m0s on new, and for ever "+
		"on old") || !strings.Contains(told, "group "+name+"-near has not read") {
		t.Errorf("the warnings are %s", told)
	}
	for _, args := range [][]string{{"cutover", "--dry-run"}, {"cutover", "--yes"}, {"wait", "--groups", ".*billing",
		"--timeout", "10s"}} {
		if out, code := s.command(args...); code != 1 || !strings.Contains(out, "2300 records that the group has not read") {
			t.Errorf("%v ends with %d and says\n%s", args, code, out)
		}
	}
	deleteRecords(ctx, t, source.Bootstrap(), topic, 0, 700)
	out, _ = s.command("status", "--all")
	out = strings.Join(strings.Fields(out), " ")
	for _, want := range []string{"1800 records that the group has not read were deleted on the target",
		"500 records that the group has not read were deleted on both"} {
		if strings.Contains(out, want) {
			continue
		}
		t.Errorf("after the source has deleted 500 of them, status says\n%s", out)
	}
}
