package failover

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

// shardsAtOnce bounds the shards that are fenced at a time, each over a connection of its own.
const shardsAtOnce = 8

// shutter shuts out whoever works on a flow.
type shutter struct {
	flow   *settings.Config
	target kafka.Config
	client *kgo.Client // of the target
	done   bool        // every shard is closed, by this command
}

// all notes that a failover is under way, then shuts every shard. In this order, since whoever is shut out asks by
// the note how it stands. A shard that is closed already is closed again: it costs nothing, and the command need not
// know how far one before it came.
func (s *shutter) all(ctx context.Context, record handover.Failover) error {
	if err := s.note(ctx, ledger.NoteRecord(handover.FailoverName, handover.Encode(record))); err != nil {
		return err
	}
	note := ledger.NoteRecord(handover.DirectionName,
		handover.Encode(handover.Direction{Closed: true, Failover: record.ID}))
	g, fencing := errgroup.WithContext(ctx)
	g.SetLimit(shardsAtOnce)
	for number := range s.flow.Shards {
		g.Go(func() error { return s.one(fencing, int32(number), note) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.done = true
	return s.dismiss(ctx)
}

// one closes a shard.
func (s *shutter) one(ctx context.Context, shard int32, note ledger.Record) error {
	return wait.Until(ctx, checkEvery, func() (bool, error) {
		err := ledger.FenceAndWrite(ctx, s.target, s.flow.LedgerTopic(), s.flow.TransactionalID(shard), shard,
			[]ledger.Record{note})
		switch {
		case contested(err): // a replica that was shut out has begun its next session meanwhile
			return false, nil
		case err != nil:
			err = s.target.ExplainTransactions(s.flow.GroupID()+".", err)
		}
		return true, err
	})
}

// contested says whether somebody else has taken the transactional id meanwhile.
func contested(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) ||
		errors.Is(err, kerr.InvalidProducerIDMapping) || errors.Is(err, kerr.InvalidTxnState)
}

// dismiss takes the replicas out of the flow's group, so that those that live take their shards up again, which tells
// them that the flow is closed: one with nothing to write would not notice.
func (s *shutter) dismiss(ctx context.Context) error {
	id := s.flow.GroupID()
	members, err := groups.Members(ctx, s.client, s.target, id)
	if err != nil || len(members) == 0 { // nobody works on the flow
		return err
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = id
	for _, m := range members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID, one.Reason = m.MemberID, kmsg.StringPtr("the flow has failed over")
		leave.Members = append(leave.Members, one)
	}
	answer, err := leave.RequestWith(ctx, s.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil {
		return groups.WhyNone(s.target, id, err)
	}
	return nil
}

// note writes to the first partition of the ledger.
func (s *shutter) note(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, s.target, s.flow.LedgerTopic(), 0, notes)
}
