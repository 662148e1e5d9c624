package owner

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/wait"
)

// noteMark stands in a member's metadata between what the balancer wrote and the note; its
// digit is the version.
var noteMark = []byte("\x00replicator1\x00")

// noting is the balancer that lets each member tell the others something. Other readers of
// its metadata stop before it.
type noting struct {
	kgo.GroupBalancer
	note func() []byte
}

// JoinGroupMetadata implements kgo.GroupBalancer.
func (n noting) JoinGroupMetadata(topics []string, held map[string][]int32, generation int32) []byte {
	written := n.GroupBalancer.JoinGroupMetadata(topics, held, generation)
	var m kmsg.ConsumerMemberMetadata
	if err := m.ReadFrom(written); err != nil {
		return written
	}
	m.UserData = slices.Concat(m.UserData, noteMark, n.note())
	return m.AppendTo(nil)
}

// Member is one process of the group, as its coordinator describes it.
type Member struct {
	ID, Host string
	// Known: the coordinator says what follows. It does not while shards are shared out.
	Known  bool
	Topics []string // that it is subscribed to: the ledger
	Note   []byte   // what it let the others know, see Config.Note; nil: nothing
}

// MemberOf takes a description apart.
func MemberOf(m *kadm.DescribedGroupMember) Member {
	one := Member{ID: m.MemberID, Host: strings.TrimPrefix(m.ClientHost, "/")}
	joined, ok := m.Join.AsConsumer()
	if !ok || len(joined.Topics) == 0 {
		return one
	}
	one.Known, one.Topics = true, joined.Topics
	if _, note, found := bytes.Cut(joined.UserData, noteMark); found {
		one.Note = note
	}
	return one
}

// Members lists the processes of the group, this one among them once it has joined. It
// waits for a coordinator, as a new cluster has to make its offsets topic first.
func (g *Group) Members(ctx context.Context) ([]Member, error) {
	asking, cancel := context.WithTimeoutCause(ctx, confirmLimit, errNoAnswer)
	defer cancel()
	var list []Member
	err := wait.Until(asking, heartbeat/4, func() (bool, error) {
		described, err := kadm.NewClient(g.client).DescribeGroups(asking, g.cfg.Group)
		group := described[g.cfg.Group]
		if err == nil {
			err = group.Err
		}
		switch {
		case err == nil:
			list = make([]Member, len(group.Members))
			for i := range group.Members {
				list[i] = MemberOf(&group.Members[i])
			}
			return true, nil
		case errors.Is(err, kerr.GroupIDNotFound):
			return true, nil
		case errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress),
			errors.Is(err, kerr.NotCoordinator):
			return false, nil
		}
		return false, err
	})
	switch {
	case err == nil:
		return list, nil
	case asking.Err() != nil:
		err = context.Cause(asking)
	}
	return nil, g.explain(err)
}

// Session is how long the group counts a process as a member that it does not hear any more.
func (g *Group) Session() time.Duration {
	return g.cfg.Target.Duration("session.timeout.ms", session)
}
