package replicate_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
)

// scenarioCommand is one thing that a story can say. SIDE is source or target, PARTITION as orders/0.
type scenarioCommand struct {
	takes string
	least int // arguments
	do    func(s *scenario, args []string)
}

var scenarioCommands map[string]scenarioCommand

func init() { // its commands know the table
	scenarioCommands = map[string]scenarioCommand{
		// The clusters, and those who use them.
		"topic":         {"SIDE TOPIC PARTITIONS [KEY=VALUE]...", 3, (*scenario).topic},
		"delete topic":  {"SIDE TOPIC", 2, (*scenario).deleteTopic},
		"set":           {"SIDE TOPIC KEY=VALUE", 3, (*scenario).set},
		"produce":       {"SIDE PARTITION VALUE... (VALUE: KEY=VALUE, VALUE*BYTES)", 3, (*scenario).produce},
		"transaction":   {"SIDE PARTITION VALUE...", 3, (*scenario).transaction},
		"abort":         {"SIDE PARTITION VALUE...", 3, (*scenario).abort},
		"commit":        {"SIDE GROUP PARTITION OFFSET", 4, (*scenario).commit},
		"compact":       {"SIDE", 1, (*scenario).compact},
		"delete below":  {"SIDE PARTITION OFFSET", 3, (*scenario).deleteBelow},
		"save source":   {"", 0, func(s *scenario, _ []string) { s.saved["source"] = s.Source.Save() }},
		"restore":       {"SIDE", 1, (*scenario).restore},
		"save target":   {"PARTITION", 1, (*scenario).saveTarget},
		"read":          {"SIDE PARTITION", 2, (*scenario).read},
		"consume":       {"SIDE PARTITION", 2, (*scenario).consume},
		"lose answer":   {"SIDE REQUEST", 2, (*scenario).loseAnswer},
		"await group":   {"GROUP PARTITION OFFSET", 3, (*scenario).awaitGroup},
		"await copied":  {"[PARTITION]...", 0, (*scenario).awaitCopied},
		"await stopped": {"PARTITION", 1, (*scenario).awaitStopped},
		"await owned":   {"SHARDS", 1, (*scenario).awaitOwned},
		// The daemon. The first replica's name is one.
		"flow":          {"OPTION VALUE", 2, (*scenario).flow},
		"start":         {"[NAME]", 0, func(s *scenario, args []string) { s.start(append(args, "one")[0]) }},
		"stop":          {"[NAME]", 0, (*scenario).stop},
		"kill":          {"[NAME]", 0, func(s *scenario, args []string) { s.kill(s.running(args)) }},
		"freeze at end": {"PRODUCE... (the replica that copies it)", 1, (*scenario).freezeAtEnd},
		"kill late":     {"[NAME] (frozen at the end of a transaction, which takes effect)", 0, (*scenario).killLate},
		"wake":          {"", 0, (*scenario).wake},
		"log":           {"TEXT", 1, func(s *scenario, args []string) { s.logged(strings.Join(args, " ")) }},
		// The verbs.
		"status":          {"", 0, (*scenario).status},
		"groups":          {"", 0, (*scenario).groups},
		"offsets":         {"PARTITION OFFSET...", 2, (*scenario).offsets},
		"verify":          {"", 0, (*scenario).verify},
		"resume from cut": {"", 0, (*scenario).resume},
		"cutover":         {"[until STEP]", 0, (*scenario).cutover},
		"rollback":        {"", 0, (*scenario).rollback},
	}
}

// on is one of both clusters.
func (s *scenario) on(side string) (*kafkatest.Cluster, *kadm.Client) {
	s.T.Helper()
	switch side {
	case "source":
		return s.Source, s.From
	case "target":
		return s.Target, s.To
	}
	s.T.Fatalf("%q is no side: source, target", side)
	return nil, nil
}

// number reads a number.
func (s *scenario) number(text string) int64 {
	s.T.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	s.Must("read a number", err)
	return n
}

// partition reads a partition.
func (s *scenario) partition(text string) (topic string, number int32) {
	s.T.Helper()
	topic, n, _ := strings.Cut(text, "/")
	return topic, int32(s.number(n))
}

func (s *scenario) topic(args []string) {
	cluster, _ := s.on(args[0])
	configs := workload.KeepConfigs()
	for _, setting := range args[3:] {
		key, value, _ := strings.Cut(setting, "=")
		configs[key] = value
	}
	s.Must("create topic", workload.Topics(s.Ctx, cluster.Address(), int32(s.number(args[2])), configs, args[1]))
}

func (s *scenario) deleteTopic(args []string) {
	_, admin := s.on(args[0])
	s.Delete(admin, args[1])
}

func (s *scenario) set(args []string) {
	_, admin := s.on(args[0])
	key, value, _ := strings.Cut(args[2], "=")
	s.Setting(admin, args[1], key, value)
}

// records reads records of a partition from their values.
func (s *scenario) records(at string, values []string) []*kgo.Record {
	topic, number := s.partition(at)
	var records []*kgo.Record
	for _, text := range values {
		r := &kgo.Record{Topic: topic, Partition: number, Value: []byte(text)}
		if key, value, keyed := strings.Cut(text, "="); keyed {
			r.Key, r.Value = []byte(key), []byte(value)
		} else if value, size, long := strings.Cut(text, "*"); long {
			noise := make([]byte, s.number(size)) // it does not compress
			_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
			r.Value = append([]byte(value), noise...)[:len(noise)]
		}
		records = append(records, r)
	}
	return records
}

// produce writes one batch.
func (s *scenario) produce(args []string) {
	cluster, _ := s.on(args[0])
	topic, _ := s.partition(args[1])
	s.Must("write", workload.Produce(s.Ctx, cluster.Address(), topic, s.records(args[1], args[2:])...))
}

func (s *scenario) transaction(args []string) {
	cluster, _ := s.on(args[0])
	cluster.Transaction(kgo.TryCommit, s.records(args[1], args[2:])...)
}

func (s *scenario) abort(args []string) {
	cluster, _ := s.on(args[0])
	cluster.Transaction(kgo.TryAbort, s.records(args[1], args[2:])...)
}

func (s *scenario) commit(args []string) {
	cluster, _ := s.on(args[0])
	topic, number := s.partition(args[2])
	s.Must("commit", workload.Commit(s.Ctx, cluster.Address(), []workload.Position{
		{Group: args[1], Topic: topic, Partition: number, At: s.number(args[3])}}))
}

func (s *scenario) compact(args []string) {
	cluster, _ := s.on(args[0])
	cluster.Compact()
}

func (s *scenario) deleteBelow(args []string) {
	_, admin := s.on(args[0])
	topic, number := s.partition(args[1])
	s.DeleteBelow(admin, topic, number, s.number(args[2]))
}

// saveTarget keeps one partition's log: it can be put back while the ledger stays.
func (s *scenario) saveTarget(args []string) {
	topic, number := s.partition(args[0])
	s.saved["target"] = s.Target.SaveLog(topic, number)
}

func (s *scenario) restore(args []string) {
	cluster, _ := s.on(args[0])
	cluster.Restore(s.saved[args[0]])
}

// read prints what stands in a log, the markers of transactions too, and what became of each transaction.
func (s *scenario) read(args []string) {
	cluster, _ := s.on(args[0])
	topic, number := s.partition(args[1])
	log := s.wholeLog(cluster, topic, number)
	for i, r := range log {
		if r.Attrs.IsControl() {
			s.print("%d %s marker", r.Offset, markerOf(r))
			continue
		}
		text := valueOf(r)
		if r.Attrs.IsTransactional() {
			end := "open"
			for _, m := range log[i:] {
				if m.Attrs.IsControl() && m.ProducerID == r.ProducerID {
					end = markerOf(m)
					break
				}
			}
			if end != "commit" {
				text += ", " + map[string]string{"abort": "aborted", "open": "in an open transaction"}[end]
			}
		}
		s.print("%d %s", r.Offset, text)
	}
}

// consume prints what a reader sees that is shown no aborted records.
func (s *scenario) consume(args []string) {
	cluster, _ := s.on(args[0])
	topic, number := s.partition(args[1])
	var values []string
	for _, r := range cluster.Read(topic, number, 0) {
		values = append(values, valueOf(r))
	}
	s.print("%s", strings.Join(values, ", "))
}

// valueOf is a record's value, with its key if it has one.
func valueOf(r *kgo.Record) string {
	text := string(r.Value)
	if len(text) > 30 {
		text = fmt.Sprintf("a record of %d bytes", len(text))
	}
	if r.Key != nil {
		text = string(r.Key) + "=" + text
	}
	return text
}

// markerOf says how a transaction has ended.
func markerOf(r *kgo.Record) string {
	if len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == 1 {
		return "commit"
	}
	return "abort"
}

// wholeLog reads all that a partition holds.
func (s *scenario) wholeLog(cluster *kafkatest.Cluster, topic string, number int32) []*kgo.Record {
	s.T.Helper()
	info := cluster.PartitionInfo(topic, number)
	at := info.LogStartOffset
	client := cluster.Client(kgo.KeepControlRecords(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		topic: {number: kgo.NewOffset().At(at)}}))
	defer client.Close()
	var all []*kgo.Record
	for at < info.HighWatermark {
		fetched := client.PollFetches(s.Ctx)
		s.Must("read", fetched.Err())
		for _, r := range fetched.Records() {
			at = r.Offset + 1
			all = append(all, r)
		}
	}
	return all
}

// loseAnswer lets the next request of a kind take effect, and cuts the connection before it is answered.
func (s *scenario) loseAnswer(args []string) {
	net := map[string]*simNet{"source": s.onSource, "target": s.onTarget}[args[0]]
	key, known := map[string]kmsg.Key{"EndTxn": kmsg.EndTxn, "Produce": kmsg.Produce, "Fetch": kmsg.Fetch}[args[1]]
	if net == nil || !known {
		s.T.Fatalf("lose answer: %q", args)
	}
	net.cut(key, true, 1)
}

// awaitGroup waits until a group stands there on the target.
func (s *scenario) awaitGroup(args []string) {
	topic, number := s.partition(args[1])
	s.Stands(args[0], topic, number, offsets.Target(s.number(args[2])))
}

// awaitCopied waits until status says that all records which a reader sees on the source, or those of some partitions,
// are copied.
func (s *scenario) awaitCopied(args []string) {
	if len(args) == 0 {
		all, err := s.From.ListTopics(s.Ctx)
		s.Must("list topics", err)
		all.EachPartition(func(p kadm.PartitionDetail) {
			if !strings.HasPrefix(p.Topic, "__") { // a ledger
				args = append(args, fmt.Sprintf("%s/%d", p.Topic, p.Partition))
			}
		})
	}
	view := s.Look()
	for _, p := range args {
		topic, number := s.partition(p)
		want := offsets.Source(0)
		for _, r := range s.Source.Read(topic, number, 0) {
			want = offsets.Source(r.Offset) + 1
		}
		s.Await(p+" is copied", func() bool {
			status, err := inspect.Status(s.Ctx, view)
			return err == nil && slices.ContainsFunc(status.Partitions, func(p inspect.PartitionStatus) bool {
				return p.Topic == topic && p.Partition == number && p.Phase == partition.PhaseCopying && *p.Progress >= want
			})
		})
	}
}

func (s *scenario) awaitStopped(args []string) {
	topic, number := s.partition(args[0])
	s.Await(args[0]+" is stopped", func() bool {
		for _, r := range s.replicas {
			if p, _ := r.Shown(topic, number); p.Stop != nil {
				return true
			}
		}
		return false
	})
}

// awaitOwned waits until each replica works on so many shards.
func (s *scenario) awaitOwned(args []string) {
	want := int(s.number(args[0]))
	s.Await("each replica has its shards", func() bool {
		for _, r := range s.replicas {
			if r.Owned() != want {
				return false
			}
		}
		return true
	})
}

// flow sets an option of the flow, which the next replica has.
func (s *scenario) flow(args []string) {
	switch key, value := args[0], args[1]; key {
	case "start":
		s.Cfg.Start = settings.Start(value)
	case "shards":
		s.Cfg.Shards = int(s.number(value))
	case "sync_topic_configs":
		s.Cfg.SyncTopicConfigs = value == "true"
	default:
		s.T.Fatalf("flow: %q", args)
	}
}

func (s *scenario) stop(args []string) {
	name, r := s.running(args)
	delete(s.replicas, name)
	r.Stop()
}

// freezeAtEnd writes records, and freezes the replica that copies them when it ends the transaction; the group forgets
// it, as after its session's timeout.
func (s *scenario) freezeAtEnd(args []string) {
	asleep := s.onTarget.freezeAtEnd()
	s.obey(strings.Join(args, " "))
	select {
	case client := <-asleep:
		s.onSource.freeze(client)
		forgetMember(s.World, s.Target.Client(), client)
	case <-s.Ctx.Done():
		s.T.Fatal("no replica ends a transaction")
	}
}

// killLate lets a frozen replica's transaction end, and kills it before it hears of that.
func (s *scenario) killLate(args []string) {
	name, r := s.running(args)
	s.onTarget.deafen(simClient + name)
	s.wake(nil)
	s.kill(name, r)
}

// wake lets what a frozen replica has sent arrive, and waits until the target has the end of its transaction.
func (s *scenario) wake([]string) {
	arrived := s.Target.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Observe: true})
	defer arrived.Remove()
	s.onSource.heal()
	s.onTarget.heal()
	s.Must("wait for the late commit", arrived.Wait(s.Ctx, 1))
}
