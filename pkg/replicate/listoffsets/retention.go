package listoffsets

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/kafka"
)

// Kept is how long a cluster keeps what is in a topic, by the settings in effect.
type Kept struct {
	For   time.Duration // by the records' timestamps; negative: for ever
	Bytes int64         // of each partition; negative: without a limit
	Err   error         // the cluster does not tell
}

// Shorter says whether records may be deleted here that are kept there.
func (k Kept) Shorter(there Kept) bool {
	return k.For >= 0 && (there.For < 0 || k.For < there.For) || k.Bytes >= 0 && (there.Bytes < 0 || k.Bytes < there.Bytes)
}

// String is for people, as "168h0m0s and 1000000 bytes of each partition".
func (k Kept) String() string {
	var limits []string
	if k.For >= 0 {
		limits = append(limits, k.For.String())
	}
	if k.Bytes >= 0 {
		limits = append(limits, fmt.Sprintf("%d bytes of each partition", k.Bytes))
	}
	if len(limits) == 0 {
		return "for ever"
	}
	return strings.Join(limits, " and ")
}

// longest is more milliseconds than any log lasts, and few enough for a time.Duration.
const longest = 1 << 42

// Kept asks how long the topics' records are kept. Topics that are not there are left out.
func (w *Client) Kept(ctx context.Context, topics []string) (map[string]Kept, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	kept := make(map[string]Kept, len(topics))
	keys := []string{"cleanup.policy", "retention.ms", "retention.bytes"}
	err := kafka.TopicConfigs(ctx, w.client, topics, keys, func(r *kmsg.DescribeConfigsResponseResource) {
		switch err := kerr.ErrorForCode(r.ErrorCode); err {
		case nil:
			kept[r.ResourceName] = keptBy(r.Configs)
		case kerr.UnknownTopicOrPartition:
		case kerr.TopicAuthorizationFailed:
			kept[r.ResourceName] = Kept{Err: w.cluster.Denied("DescribeConfigs", "topic "+r.ResourceName, err)}
		default:
			kept[r.ResourceName] = Kept{Err: w.cluster.Explain(err)}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("ask how long topics are kept: %w", w.cluster.Explain(err))
	}
	return kept, nil
}

// keptBy reads settings. A topic that is only compacted keeps the last record of each key for ever.
func keptBy(configs []kmsg.DescribeConfigsResponseResourceConfig) Kept {
	k, deletes := Kept{For: -1, Bytes: -1}, false
	for i := range configs {
		if configs[i].Value == nil {
			continue
		}
		value := *configs[i].Value
		number, err := strconv.ParseInt(value, 10, 64)
		switch name := configs[i].Name; {
		case name == "cleanup.policy":
			deletes = slices.ContainsFunc(strings.Split(value, ","), func(word string) bool {
				return strings.TrimSpace(word) == "delete"
			})
		case err != nil || number < 0:
		case name == "retention.ms":
			k.For = time.Duration(min(number, longest)) * time.Millisecond
		case name == "retention.bytes":
			k.Bytes = number
		}
	}
	if !deletes {
		return Kept{For: -1, Bytes: -1}
	}
	return k
}
