package orphans

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/operate/replay"
	"replicator/pkg/replicate/wire"
)

// Where says where orphans are put; neither: nowhere, they are counted.
type Where struct {
	File   string // a new file
	Topics string // topics of the target that are made for them, whose names begin so
}

// Kept is what was found, and where it was put.
type Kept struct {
	*Report
	File    string          `json:"file,omitempty"`
	SHA256  string          `json:"sha256,omitempty"`
	Written *replay.Written `json:"to_topics,omitempty"` // of their own
}

// Keep puts all orphans where they are wanted. Where a partition cannot be read nothing is put anywhere, and the report
// comes with the error.
func (f *Found) Keep(ctx context.Context, w Where) (kept Kept, err error) {
	switch {
	case w.File != "":
		if kept.Report, kept.SHA256, err = f.Export(ctx, w.File); err == nil {
			kept.File = w.File
		}
	case w.Topics != "":
		var written replay.Written
		kept.Report, written, err = f.ToTopics(ctx, w.Topics)
		kept.Written = &written
	default:
		if kept.Report, err = f.Count(ctx); err == nil {
			err = kept.Unread()
		}
	}
	return kept, err
}

// Count reads all orphans and keeps nothing of them.
func (f *Found) Count(ctx context.Context) (*Report, error) {
	return f.Read(ctx, func(*kgo.Record, wire.Times) error { return nil })
}

// Export writes all orphans to a new file, whole or not at all, and answers its SHA-256. Where a partition cannot be
// read there is no file.
func (f *Found) Export(ctx context.Context, path string) (*Report, string, error) {
	file, err := replay.Create(path)
	if err != nil {
		return nil, "", err
	}
	defer file.Drop()
	report, err := f.Read(ctx, file.Write)
	if err == nil {
		err = report.Unread()
	}
	if err != nil {
		return report, "", err
	}
	digest, err := file.Keep()
	return report, digest, err
}

// ToTopics writes all orphans into topics of the target that are made for them: those of orders go to the topic that is
// called prefix and orders, each to its own partition. One that is there already holds nothing, or what a former run of
// the same wrote: it may be given again.
func (f *Found) ToTopics(ctx context.Context, prefix string) (*Report, replay.Written, error) {
	var all replay.Written
	report, err := f.Count(ctx)
	if err == nil {
		err = report.Unread()
	}
	if err != nil {
		return report, all, err
	}
	has := map[string]bool{}
	for _, p := range report.Partitions {
		has[p.Topic] = has[p.Topic] || p.Records > 0
	}
	byTopic := map[string][]part{}
	for _, p := range f.parts {
		if has[p.seen.Topic] {
			byTopic[p.seen.Topic] = append(byTopic[p.seen.Topic], p)
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		written, err := f.toTopic(ctx, prefix, byTopic[topic])
		all.Records, all.Before = all.Records+written.Records, all.Before+written.Before
		if err != nil {
			return report, all, err
		}
	}
	return report, all, nil
}

// toTopic writes the orphans of one topic.
func (f *Found) toTopic(ctx context.Context, prefix string, parts []part) (replay.Written, error) {
	flow, from := &f.view.Flow, parts[0].log
	name := flow.TargetPrefix + prefix + strings.TrimPrefix(from.Topic, flow.SourcePrefix)
	if err := f.make(ctx, name, parts[0].of); err != nil {
		return replay.Written{}, err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{flow.Name(), f.view.SourceID, from.ID.String()}, "\x00")))
	job := &replay.Job{
		Cluster: f.view.TargetCluster, Prefix: flow.TargetPrefix, Topics: map[string]int{name: parts[0].of},
		Name: hex.EncodeToString(sum[:]), Own: true,
		Place: func(position int64) string { return fmt.Sprintf("source offset %d", position) },
		Records: func(ctx context.Context, give func(int64, *kgo.Record) error) error {
			_, err := f.read(ctx, parts, func(r *kgo.Record, _ wire.Times) error {
				r.Topic = name
				return give(r.Offset, r)
			})
			return err
		},
	}
	return job.Run(ctx)
}

// make creates a topic that keeps everything, unless it is there.
func (f *Found) make(ctx context.Context, name string, partitions int) error {
	settings := map[string]*string{}
	for key, value := range map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "message.timestamp.type": "CreateTime",
	} {
		settings[key] = &value
	}
	made, err := kadm.NewClient(f.view.TargetClient).CreateTopic(ctx, int32(partitions), -1, settings, name)
	if err == nil {
		err = made.Err
	}
	switch {
	case err == nil, errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return f.view.TargetCluster.Denied("Create", "topic "+name, err)
	}
	return f.view.TargetCluster.Explain(fmt.Errorf("create topic %s: %w", name, err))
}
