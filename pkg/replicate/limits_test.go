package replicate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// limitedTarget exchanges the target for one that lets transactions last that long at
// most, in milliseconds, and does not tell so if it is secret.
func (w *world) limitedTarget(most string, secret bool) {
	w.t.Helper()
	w.target, w.sides.Target, w.to = w.cluster("limited", kfake.BrokerConfigs(map[string]string{
		"transaction.max.timeout.ms": most}))
	if !secret {
		return
	}
	w.brokersTell(nil)
}

// brokersTell makes the target's brokers tell only these settings of theirs.
func (w *world) brokersTell(settings map[string]string) {
	w.target.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.target.KeepControl()
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
func (w *world) planned() *FlowPlan {
	w.t.Helper()
	look, err := Inspect(w.ctx, w.handoverOptions().Clusters, w.cfg, nil)
	w.must("inspect", err)
	defer look.Close()
	plan, err := look.Plan(w.ctx)
	w.must("plan", err)
	return plan
}

// TestShortTransactions: on a target that lets transactions last less than we would like
// ours are shortened, whether it tells so or not.
func TestShortTransactions(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{false, true} {
		for _, lane := range []Lane{LaneBatch, LaneRecord} {
			t.Run(string(lane)+map[bool]string{false: ", told", true: ", secret"}[secret], func(t *testing.T) {
				w := newWorld(t)
				w.cfg.Lane = lane
				w.limitedTarget("10000", secret)
				w.topic("orders", 2)
				w.mixed("orders", 2, 200)
				plan := w.planned()
				warned := strings.Contains(strings.Join(plan.Warnings, " "), "transaction last at most 10s")
				if len(plan.InTheWay()) > 0 || warned == secret {
					t.Errorf("check: in the way %v, warnings %q", plan.InTheWay(), plan.Warnings)
				}
				w.must("the one-off copy", w.ends(w.once()))
				w.equal([]string{"orders"})
			})
		}
	}
}

// TestTooShortTransactions: where the commit interval does not fit, both values are named, and
// a one-off copy ends with that.
func TestTooShortTransactions(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{false, true} {
		t.Run(map[bool]string{false: "told", true: "secret"}[secret], func(t *testing.T) {
			w := newWorld(t)
			w.cfg.CommitInterval = 9 * time.Second
			w.limitedTarget("10000", secret)
			w.topic("orders", 1)
			w.plain(w.sides.Source, "orders", 0, 3)
			if plan := w.planned(); !secret {
				var short *TooShortError
				if list := plan.InTheWay(); len(list) != 1 || !errors.As(list[0], &short) {
					t.Errorf("check: in the way %v", list)
				}
			}
			err := w.ends(w.once())
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
			w := newWorld(t)
			w.brokersTell(map[string]string{setting: "2"})
			w.topic("orders", 1)
			var internal *kafka.InternalTopicError
			list := w.planned().InTheWay()
			if len(list) != 1 || !errors.As(list[0], &internal) || internal.Topic != topic || internal.Setting != setting {
				t.Errorf("check: in the way %v", list)
			}
			err := w.ends(w.once())
			if !errors.As(err, &internal) || !strings.Contains(chunk.Remedy(err), "set "+setting+" to at most 1") {
				t.Errorf("the one-off copy ends with %v", err)
			}
		})
	}
}
