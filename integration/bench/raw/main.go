// Command raw copies one topic as whole batches and without transactions: no
// progress that is kept, no map, no groups, no second try. It is the limit that the
// benchmark holds the batch lane against: what two brokers and one client can do
// when nothing has to be promised.
//
// For each broker that leads source partitions it keeps one fetch under way, which
// names all of them, while the answer before is being written. A produce request
// holds one batch of every partition there is one of; requests are sent one after
// another without waiting for answers, within a window in bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

func main() {
	var t task
	flag.StringVar(&t.source, "source", "", "bootstrap servers to read from")
	flag.StringVar(&t.target, "target", "", "bootstrap servers to write to")
	flag.StringVar(&t.from, "from", "", "source topic, to which nobody writes in transactions")
	flag.StringVar(&t.to, "to", "", "target topic, which exists and has the same partitions")
	flag.BoolVar(&t.follow, "follow", false, "go on at the end, until killed")
	flag.Parse()
	if err := t.run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

// task is one topic to copy.
type task struct {
	source, target string // bootstrap servers
	from, to       string // topics
	follow         bool
}

func (t *task) run(ctx context.Context) error {
	source, err := open(t.source)
	if err != nil {
		return err
	}
	defer source.Close()
	from, err := look(ctx, source, t.from)
	if err != nil {
		return err
	}
	starts, err := kadm.NewClient(source).ListStartOffsets(ctx, t.from)
	if err != nil {
		return err
	}
	ends, err := kadm.NewClient(source).ListEndOffsets(ctx, t.from)
	if err != nil {
		return err
	}
	byLeader := map[int32]*reader{}
	for number, leader := range from.leaders {
		start, _ := starts.Lookup(t.from, number)
		end, ok := ends.Lookup(t.from, number)
		if !ok || start.Err != nil || end.Err != nil {
			return fmt.Errorf("%s/%d: where does it begin and end? %v, %v", t.from, number, start.Err, end.Err)
		}
		if start.Offset == end.Offset && !t.follow {
			continue
		}
		r := byLeader[leader]
		if r == nil {
			r = &reader{client: source, leader: leader, topic: from, follow: t.follow}
			byLeader[leader] = r
		}
		r.open = append(r.open, &tail{number: number, next: start.Offset, end: end.Offset})
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, r := range byLeader {
		all.Go(func() error { return t.copy(ctx, r) })
	}
	return all.Wait()
}

// copy copies what one broker of the source leads.
func (t *task) copy(ctx context.Context, r *reader) error {
	w := &writer{}
	var err error
	if w.client, err = open(t.target, kgo.WithHooks(w)); err != nil {
		return err
	}
	defer w.client.Close()
	if w.topic, err = look(ctx, w.client, t.to); err != nil {
		return err
	}
	answers := make(chan []part)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return r.run(ctx, answers) })
	both.Go(func() error { return w.run(ctx, answers) })
	return both.Wait()
}

func open(bootstrap string, more ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append(more, kgo.SeedBrokers(bootstrap), kgo.ClientID("raw"))...)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", bootstrap, err)
	}
	return client, nil
}

// topic is where the partitions of one are led.
type topic struct {
	name    string
	id      [16]byte // instead of the name, in newer requests (KIP-516)
	leaders map[int32]int32
}

func look(ctx context.Context, client *kgo.Client, name string) (*topic, error) {
	request := kmsg.NewPtrMetadataRequest()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = kmsg.StringPtr(name)
	request.Topics = append(request.Topics, wanted)
	answer, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("find the leaders of %s: %w", name, err)
	}
	t := &topic{name: name, leaders: map[int32]int32{}}
	for _, found := range answer.Topics {
		if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
			return nil, fmt.Errorf("find the leaders of %s: %w", name, err)
		}
		t.id = found.TopicID
		for _, p := range found.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("find the leader of %s/%d: %w", name, p.Partition, err)
			}
			t.leaders[p.Partition] = p.Leader
		}
	}
	return t, nil
}
