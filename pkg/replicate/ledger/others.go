package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

// Others finds the ledgers that stand on a cluster, whosever they are, and what each
// says of its flow. A ledger is known by what it holds: topics whose name is that of a
// ledger, and those that are compacted, are read from partition 0, and the first record
// tells. What was read once is not read again.
//
// Its methods may be called from any goroutine.
type Others struct {
	cluster kafka.Config
	client  *kgo.Client

	mu    sync.Mutex
	known map[string]*known // by topic
}

// Standing is what stands on a cluster.
type Standing struct {
	Cluster string   // its id
	Topics  []string // all that it shows, by name
	Ledgers []Other  // by topic
	Silent  error    // why some topic is not described, which may be a ledger; nil: all are
}

// Other is one ledger, as far as partition 0 tells.
type Other struct {
	Topic    string
	ID       chunk.TopicID
	Identity *Identity // nil: it does not name its flow
	Rules    *Rules    // nil: it does not tell what the flow chooses
	Notes    map[string][]byte
	Begun    bool  // the flow has taken up its partitions
	Err      error // why it cannot be read, with a remedy: then nothing else is known
}

// known is what was found out about a topic.
type known struct {
	id      chunk.TopicID
	leader  int32
	verdict verdict
	next    int64 // offset to read on from in partition 0
	notes   map[string][]byte
	begun   bool
	mayRead bool
	read    map[int32]int64          // offsets to read on from, of all partitions, for what follows
	fills   map[string]chunk.TopicID // by key of the state: the target topic that it is about
}

type verdict int

const (
	unseen    verdict = iota
	candidate         // it may be a ledger: its first record tells
	ledger            // it is one
	none              // it is none
)

// othersWait bounds one question to the cluster.
const othersWait = 15 * time.Second

// OpenOthers opens a look at a cluster; nothing is connected yet.
func OpenOthers(cluster kafka.Config) (*Others, error) {
	client, err := kafka.NewFranz(cluster)
	if err != nil {
		return nil, fmt.Errorf("open a look for ledgers: %w", err)
	}
	return &Others{cluster: cluster, client: client, known: map[string]*known{}}, nil
}

// Close ends the connections.
func (o *Others) Close() { o.client.Close() }

// Look finds all ledgers. An error means that the cluster could not be asked.
func (o *Others) Look(ctx context.Context) (*Standing, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*othersWait)
	defer cancel()
	standing, err := o.look(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for ledgers: %w", o.cluster.Explain(err))
	}
	return standing, nil
}

func (o *Others) look(ctx context.Context) (*Standing, error) {
	standing, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.choose(ctx); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(o.known)) {
		if k := o.known[name]; k.verdict == ledger || k.verdict == candidate {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return standing, nil
	}
	bounds, err := glance.BoundsOf(ctx, o.client, names)
	if err != nil {
		return nil, err
	}
	logs := map[string]*glance.Log{}
	for _, name := range names {
		logs[name] = o.unread(name, bounds)
	}
	glance.Read(ctx, o.client, slices.Collect(maps.Values(logs)))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if one, is := o.one(logs[name], begun(bounds, name)); is {
			standing.Ledgers = append(standing.Ledgers, one)
		}
	}
	return standing, nil
}

// begun says whether a ledger holds more than notes.
func begun(bounds *glance.Bounds, topic string) bool {
	for number, end := range bounds.Ends[topic] {
		if number != 0 && end.Err == nil && end.Offset > 0 {
			return true
		}
	}
	return false
}

// list takes over which topics there are.
func (o *Others) list(ctx context.Context) (*Standing, error) {
	request := kafka.MetadataRequest(nil)
	request.IncludeTopicAuthorizedOperations = true
	metadata, err := request.RequestWith(ctx, o.client)
	if err != nil {
		return nil, err
	}
	standing := &Standing{}
	if metadata.ClusterID != nil {
		standing.Cluster = *metadata.ClusterID
	}
	there := map[string]*known{}
	for i := range metadata.Topics {
		topic := &metadata.Topics[i]
		if topic.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			if kerr.IsRetriable(err) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
				standing.Silent = fmt.Errorf("topic %s: %w", *topic.Topic, err)
			}
			continue
		}
		name := *topic.Topic
		standing.Topics = append(standing.Topics, name)
		k := o.known[name]
		if k == nil || k.id != chunk.TopicID(topic.TopicID) {
			k = &known{id: chunk.TopicID(topic.TopicID), notes: map[string][]byte{}}
		}
		k.mayRead = topic.AuthorizedOperations == kafka.RightsUnknown ||
			topic.AuthorizedOperations&(1<<kmsg.ACLOperationRead) != 0
		k.leader = -1
		for _, p := range topic.Partitions {
			if p.Partition == 0 {
				k.leader = p.Leader
			}
		}
		there[name] = k
	}
	o.known = there
	slices.Sort(standing.Topics)
	return standing, nil
}

// choose decides which of the new topics may be ledgers.
func (o *Others) choose(ctx context.Context) error {
	var ask []string
	for name, k := range o.known {
		switch {
		case k.verdict != unseen:
		case strings.Contains(name, "__replicator."):
			k.verdict = candidate
		case !strings.HasPrefix(name, "__") && k.mayRead:
			ask = append(ask, name)
		}
	}
	cleanups, err := kafka.Cleanups(ctx, o.client, ask)
	if err != nil {
		return err
	}
	for name, cleanup := range cleanups {
		k := o.known[name]
		if k == nil {
			continue
		}
		k.verdict = none // or not to be known: then its name has to do
		if cleanup.Compacts && !cleanup.Deletes {
			k.verdict = candidate
		}
	}
	return nil
}

// unread is what is new in partition 0 of a topic that may be a ledger.
func (o *Others) unread(name string, bounds *glance.Bounds) *glance.Log {
	k := o.known[name]
	l := &glance.Log{Topic: name, ID: k.id, Leader: k.leader}
	if !k.mayRead {
		l.Err = kerr.TopicAuthorizationFailed
		return l
	}
	start, end, err := bounds.Of(name, 0)
	if err != nil {
		l.Err = fmt.Errorf("where its partition 0 ends: %w", err)
		return l
	}
	if end < k.next { // another topic, of a cluster without topic ids
		*k = known{id: k.id, leader: k.leader, verdict: candidate, notes: map[string][]byte{}, mayRead: true}
	}
	l.At, l.End, l.Take = max(k.next, start), end, k.take
	return l
}

// one is what a topic that was read turns out to be.
func (o *Others) one(l *glance.Log, begun bool) (Other, bool) {
	k := o.known[l.Topic]
	k.next = max(k.next, l.At)
	switch {
	case errors.Is(l.Err, kerr.TopicAuthorizationFailed):
		return Other{Topic: l.Topic, Err: o.cluster.Denied("Read", "topic "+l.Topic, kerr.TopicAuthorizationFailed)}, true
	case errors.Is(l.Err, errNoLedger):
		k.verdict = none
		return Other{}, false
	case l.Err != nil:
		return o.silent(l.Topic, fmt.Errorf("read ledger %s: %w", l.Topic, l.Err))
	case k.verdict != ledger:
		return Other{}, false // nothing stands in it yet
	}
	one := Other{Topic: l.Topic, ID: k.id, Notes: maps.Clone(k.notes), Begun: begun || k.begun}
	var err error
	if one.Identity, err = decodeIdentity(k.notes[IdentityName]); err == nil {
		one.Rules, err = decodeRules(k.notes[RulesName])
	}
	if err != nil {
		one.Err = fmt.Errorf("ledger topic %q on cluster %s: %w", l.Topic, o.cluster.Name, err)
	}
	return one, true
}

// silent is a ledger that does not answer now: the others are listed all the same. What has
// only the settings of one, and has never been read, is not taken for one.
func (o *Others) silent(name string, err error) (Other, bool) {
	is := o.known[name].verdict == ledger || strings.Contains(name, "__replicator.")
	return Other{Topic: name, Err: o.cluster.Explain(err)}, is
}

// errNoLedger: the first record is not a ledger's.
var errNoLedger = errors.New("it is no ledger")

// take adds one record.
func (k *known) take(r *kgo.Record) error {
	key, err := decodeKey(r.Key)
	var version *VersionError
	switch {
	case err != nil && k.verdict != ledger:
		return errNoLedger
	case errors.As(err, &version): // of a later release: what we know of it still holds
		return nil
	case err != nil:
		return err
	}
	k.verdict = ledger
	switch {
	case key.kind != kindNote:
		k.begun = true
	case strings.Contains(key.note, "/"): // a cutover's details
	case r.Value == nil:
		delete(k.notes, key.note)
	default:
		text, err := decodeNote(r.Value)
		if err != nil {
			return err
		}
		if key.note == IdentityName {
			text = later(k.notes[key.note], text)
		}
		k.notes[key.note] = text
	}
	return nil
}

// Writer tells by which producer id a record was written; -1: by nobody in particular. found is false where the
// record is gone.
func (o *Others) Writer(ctx context.Context, at chunk.Partition, offset int64) (producer int64, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, othersWait)
	defer cancel()
	records, err := glance.Records(ctx, o.client, map[chunk.Partition]glance.Place{at: {Offset: offset}})
	if r := records[at]; r != nil {
		return r.ProducerID, true, nil
	}
	return -1, false, err
}

// Fills lists, by ledger, the ids of target topics that ledgers which Look has found are
// about now. What is not committed yet counts.
func (o *Others) Fills(ctx context.Context, ledgers []string) (map[string]map[chunk.TopicID]bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ledgers = slices.DeleteFunc(slices.Clone(ledgers), func(topic string) bool { return o.known[topic] == nil })
	fills := map[string]map[chunk.TopicID]bool{}
	if len(ledgers) == 0 {
		return fills, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*othersWait)
	defer cancel()
	logs, err := glance.ReadAll(ctx, o.client, ledgers, func(l *glance.Log) {
		k := o.known[l.Topic]
		if k.fills == nil {
			k.read, k.fills = map[int32]int64{}, map[string]chunk.TopicID{}
		}
		l.At, l.Take = max(l.At, k.read[l.Number]), k.takeFill
	})
	if err != nil {
		return nil, fmt.Errorf("read ledgers: %w", err)
	}
	for _, l := range logs {
		o.known[l.Topic].read[l.Number] = l.At
	}
	for _, name := range ledgers {
		fills[name] = map[chunk.TopicID]bool{}
		for _, id := range o.known[name].fills {
			fills[name][id] = true
		}
	}
	return fills, nil
}

// takeFill notes which target topic a partition's state is about.
func (k *known) takeFill(r *kgo.Record) error {
	key, err := decodeKey(r.Key)
	if err != nil || key.kind != kindState {
		return nil // what is damaged is for those whose ledger it is
	}
	delete(k.fills, string(r.Key))
	if state, err := decodeState(r.Value); r.Value != nil && err == nil && state.TargetTopic != (chunk.TopicID{}) {
		k.fills[string(r.Key)] = state.TargetTopic
	}
	return nil
}
