package integration

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// An upgraded cluster stays with the older generation of the transaction protocol
// until somebody raises transaction.version. A flow goes on over that, and back.
func TestTransactionVersionChanges(t *testing.T) {
	source := newer(t, "source")
	target := cluster.Start(t, cluster.Named("upgraded"))
	ctx := deadline(t, 3*time.Minute)
	topic := unique(t)
	must(t, workload.Topics(ctx, source.Bootstrap(), 2, workload.KeepConfigs(), topic))
	s := newSite(t, source, target, patterns(t, []string{topic}, "lane: batch", "commit_interval: 20ms")...)
	k := newTalker(ctx, t, target.Bootstrap())
	d := s.run()
	producer, err := workload.StartProducer(ctx, source.Bootstrap(), topic, workload.ProducerSpec{Seed: 31, Rate: 500})
	must(t, err)
	arrive := func(when string) {
		t.Helper()
		before := copied(ctx, t, s.sides(), topic)
		eventually(t, time.Minute, "records arrive, "+when, func() bool {
			return copied(ctx, t, s.sides(), topic) > before+500
		})
	}
	arrive("in the second generation")
	k.setLevel(1)
	arrive("while the level falls")
	d.stop() // a new session looks at the level again
	d = s.run()
	arrive("in the first generation")
	k.setLevel(2)
	arrive("while the level rises")
	d.stop()
	d = s.run()
	arrive("in the second generation again")
	_, err = producer.Stop()
	must(t, err)
	judged(ctx, t, s.sides(), []string{topic}, nil)
	d.stop()
}

// setLevel finalises a transaction.version.
func (k *talker) setLevel(level int16) {
	k.t.Helper()
	request := kmsg.NewPtrUpdateFeaturesRequest()
	update := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	update.Feature, update.MaxVersionLevel, update.UpgradeType = "transaction.version", level, 1
	if level < k.level() {
		update.UpgradeType = 2 // a safe downgrade
	}
	request.FeatureUpdates = append(request.FeatureUpdates, update)
	answer, err := request.RequestWith(k.ctx, k.client)
	must(k.t, err)
	must(k.t, kerr.ErrorForCode(answer.ErrorCode))
	eventually(k.t, time.Minute, "the broker knows the level", func() bool { return k.level() == level })
}

func (k *talker) level() int16 {
	k.t.Helper()
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(k.ctx, k.client)
	must(k.t, err)
	must(k.t, kerr.ErrorForCode(answer.ErrorCode))
	for _, f := range answer.FinalizedFeatures {
		if f.Name == "transaction.version" {
			return f.MaxVersionLevel
		}
	}
	return 0
}
