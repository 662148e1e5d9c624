package replicate_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/flowtest"
	"replicator/pkg/operate/preflight"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/txlimit"
)

// limitedTarget exchanges the target for one that lets transactions last that long at
// most, in milliseconds, and does not tell so if it is secret.
func limitedTarget(w *flowtest.World, most string, secret bool) {
	w.T.Helper()
	w.Target, w.Sides.Target, w.To = w.Cluster("limited", kfake.BrokerConfigs(map[string]string{
		"transaction.max.timeout.ms": most}))
	if !secret {
		return
	}
	brokersTell(w, nil)
}

// brokersTell makes the target's brokers tell only these settings of theirs.
func brokersTell(w *flowtest.World, settings map[string]string) {
	w.Target.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.Target.KeepControl()
		asked := req.(*kmsg.DescribeConfigsRequest).Resources
		if len(asked) != 1 || asked[0].ResourceType != kmsg.ConfigResourceTypeBroker {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		one := kmsg.NewDescribeConfigsResponseResource()
		one.ResourceType, one.ResourceName = asked[0].ResourceType, asked[0].ResourceName
		if settings == nil {
			one.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		}
		for key, value := range settings {
			c := kmsg.NewDescribeConfigsResponseResourceConfig()
			c.Name, c.Value = key, kmsg.StringPtr(value)
			one.Configs = append(one.Configs, c)
		}
		resp.Resources = append(resp.Resources, one)
		return resp, nil, true
	})
}

// planned is what check says of the world's flow.
func planned(w *flowtest.World) *preflight.FlowPlan {
	w.T.Helper()
	look, err := snapshot.Open(w.Ctx, w.HandoverOptions().Clusters, w.Cfg, nil)
	w.Must("inspect", err)
	defer look.Close()
	plan, err := preflight.Plan(w.Ctx, look)
	w.Must("plan", err)
	return plan
}

// TestTransactionsFitTheTargetsLimit: on a target that lets transactions last less than we would like
// ours are shortened, whether it tells so or not.
func TestTransactionsFitTheTargetsLimit(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{false, true} {
		for _, lane := range []settings.Lane{settings.LaneBatch, settings.LaneRecord} {
			t.Run(string(lane)+map[bool]string{false: ", told", true: ", secret"}[secret], func(t *testing.T) {
				w := flowtest.New(t)
				w.Cfg.Lane = lane
				limitedTarget(w, "10000", secret)
				w.Topic("orders", 2)
				w.Mixed("orders", 2, 200)
				plan := planned(w)
				warned := strings.Contains(strings.Join(plan.Warnings, " "), "transaction last at most 10s")
				if len(plan.InTheWay()) > 0 || warned == secret {
					t.Errorf("check: in the way %v, warnings %q", plan.InTheWay(), plan.Warnings)
				}
				w.Must("the one-off copy", w.Ends(w.Once()))
				w.Equal([]string{"orders"})
			})
		}
	}
}

// TestCommitIntervalBeyondTheLimitIsRefused: where the commit interval does not fit, both values are named, and
// a one-off copy ends with that.
func TestCommitIntervalBeyondTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{false, true} {
		t.Run(map[bool]string{false: "told", true: "secret"}[secret], func(t *testing.T) {
			w := flowtest.New(t)
			w.Cfg.CommitInterval = 9 * time.Second
			limitedTarget(w, "10000", secret)
			w.Topic("orders", 1)
			w.Plain(w.Sides.Source, "orders", 0, 3)
			if plan := planned(w); !secret {
				var short *txlimit.TooShortError
				if list := plan.InTheWay(); len(list) != 1 || !errors.As(list[0], &short) {
					t.Errorf("check: in the way %v", list)
				}
			}
			err := w.Ends(w.Once())
			for _, want := range []string{"transaction.max.timeout.ms", "commit_interval 9s"} {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("the one-off copy ends with %v, want it to name %s", err, want)
				}
			}
			want := map[bool]string{false: "set commit_interval to at most 8s, or raise", true: "set commit_interval lower"}
			if fix := chunk.Remedy(err); !strings.Contains(fix, want[secret]) {
				t.Errorf("the remedy is %q", fix)
			}
		})
	}
}

// TestInternalTopicsThatCannotBeMade: more replicas than brokers are named at check, and end
// a one-off copy.
func TestInternalTopicsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for setting, topic := range map[string]string{
		"transaction.state.log.replication.factor": "__transaction_state",
		"transaction.state.log.min.isr":            "__transaction_state",
		"offsets.topic.replication.factor":         "__consumer_offsets",
	} {
		t.Run(setting, func(t *testing.T) {
			w := flowtest.New(t)
			brokersTell(w, map[string]string{setting: "2"})
			w.Topic("orders", 1)
			var internal *kafka.InternalTopicError
			list := planned(w).InTheWay()
			if len(list) != 1 || !errors.As(list[0], &internal) || internal.Topic != topic || internal.Setting != setting {
				t.Errorf("check: in the way %v", list)
			}
			err := w.Ends(w.Once())
			if !errors.As(err, &internal) || !strings.Contains(chunk.Remedy(err), "set "+setting+" to at most 1") {
				t.Errorf("the one-off copy ends with %v", err)
			}
		})
	}
}
