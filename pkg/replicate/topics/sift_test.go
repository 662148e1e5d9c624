package topics

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
)

// minima makes the target refuse values below some, as brokers of 4.1 do with
// segment.bytes, for whatever is asked for beside them.
func (w *world) minima(least map[string]int64) {
	low := func(key string, value *string) *string {
		if limit, there := least[key]; there && value != nil && number(*value) < limit {
			return kmsg.StringPtr(fmt.Sprintf("Invalid value %s for configuration %s: Value must be at least %d", *value, key,
				limit))
		}
		return nil
	}
	w.target.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.target.KeepControl()
		for _, topic := range req.(*kmsg.CreateTopicsRequest).Topics {
			for _, c := range topic.Configs {
				if said := low(c.Name, c.Value); said != nil {
					resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
					resp.Topics = append(resp.Topics, kmsg.CreateTopicsResponseTopic{Topic: topic.Topic,
						ErrorCode: kerr.InvalidConfig.Code, ErrorMessage: said})
					return resp, nil, true
				}
			}
		}
		return nil, nil, false
	})
	w.target.ControlKey(int16(kmsg.IncrementalAlterConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.target.KeepControl()
		for _, topic := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
			for _, c := range topic.Configs {
				if said := low(c.Name, c.Value); said != nil {
					resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
					resp.Resources = append(resp.Resources, kmsg.IncrementalAlterConfigsResponseResource{
						ResourceType: topic.ResourceType, ResourceName: topic.ResourceName,
						ErrorCode: kerr.InvalidConfig.Code, ErrorMessage: said})
					return resp, nil, true
				}
			}
		}
		return nil, nil, false
	})
}

// A value that the target refuses leaves no other setting unset. The topic goes without it
// where it only says how the log is stored, and stops where records would not be kept as
// on the source; a plan says the same beforehand.
func TestRefusedSettingIsLeftOut(t *testing.T) {
	for _, there := range []bool{false, true} {
		for key, isNeeded := range map[string]bool{"segment.bytes": false, "retention.ms": true} {
			t.Run(fmt.Sprintf("%s, there %v", key, there), func(t *testing.T) {
				w := newWorld(t)
				w.source.Topic("a", 1, key+"=500", "segment.ms=70000000", "cleanup.policy=compact")
				if there {
					w.target.Topic("a", 1)
				}
				w.minima(map[string]int64{key: 1000})
				ts := w.open()
				plan, err := ts.Plan(w.ctx)
				if err != nil {
					t.Fatal(err)
				}
				one := plan.Topics[0]
				left := slices.ContainsFunc(one.Left, func(l Left) bool {
					return l.Key == key && strings.Contains(l.Why, "refuses 500") && strings.Contains(l.Why, "at least 1000")
				})
				_, set := one.Set[key]
				if !left || set || (one.Stop != nil) != isNeeded {
					t.Errorf("plan: %+v, stop %v; want %s left out, and a stop only if it is needed", one, one.Stop, key)
				}
				m := w.refresh(ts, all)["a"]
				if (m.Stop != nil) != isNeeded || m.Stop != nil && (m.Stop.Kind != chunk.StopTopic ||
					!strings.Contains(m.Stop.Reason, key+"=500")) {
					t.Errorf("got %+v, stop %v; want a stop that names the setting only if it is needed", m, m.Stop)
				}
				got := explicit(w.target, "a")
				if there || !isNeeded {
					for _, want := range []string{"cleanup.policy=compact", "segment.ms=70000000"} {
						if !strings.Contains(got, want) {
							t.Errorf("the target topic has %s, want %s", got, want)
						}
					}
				}
				if strings.Contains(got, key) {
					t.Errorf("the target topic has %s, want it without %s", got, key)
				}
				if again := w.refresh(ts, all)["a"]; (again.Stop != nil) != isNeeded {
					t.Errorf("at the next refresh: %+v, stop %v", again, again.Stop)
				}
				if n := strings.Count(w.log.String(), "setting is left out"); isNeeded != (n == 0) || n > 1 {
					t.Errorf("it is logged %d times:\n%s", n, w.log.String())
				}
			})
		}
	}
}
