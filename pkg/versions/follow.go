package versions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/versions/tail"
)

// Lease is for how long a publisher goes on without hearing from the cluster
// whether something was announced. The command waits for silence longer than that.
const Lease = 2 * time.Second

const (
	waitFor   = 500 * time.Millisecond // for an announcement, in one request
	lookEvery = 200 * time.Millisecond // at what groups have committed
)

// Follower follows the versions of one topic. Its methods are safe for concurrent use.
type Follower struct {
	client  *kgo.Client
	topic   string
	cluster func(name string) *kgo.Client

	mu      sync.Mutex
	view    View
	whole   bool          // the announcements were read to their end once
	heard   time.Time     // when the cluster last answered that there was nothing more
	changed chan struct{} // closed, and made anew, when any of these changes
}

// Option is for [NewFollower].
type Option func(*Follower)

// Clusters gives the client of a cluster by its announced name, where a topic moves
// to another one; without it every version is looked for where the announcements are.
func Clusters(client func(name string) *kgo.Client) Option {
	return func(f *Follower) { f.cluster = client }
}

// NewFollower makes a follower of a topic, by the name without a version. Nothing
// is asked before [Follower.Run].
func NewFollower(client *kgo.Client, topic string, opts ...Option) *Follower {
	f := &Follower{client: client, topic: topic, view: View{Topic: topic}, changed: make(chan struct{})}
	f.cluster = func(string) *kgo.Client { return client }
	for _, opt := range opts {
		opt(f)
	}
	return f
}

// Run reads the announcements until ctx ends, which is no error. The other methods
// wait while it does not run, or the cluster cannot be reached.
func (f *Follower) Run(ctx context.Context) error {
	reader := tail.New(f.client, Meta, 0)
	at := int64(0)
	for ctx.Err() == nil {
		asked := time.Now()
		answer, err := reader.Fetch(ctx, at, waitFor)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, kerr.OffsetOutOfRange):
			at, err = firstOffset(ctx, f.client)
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			// Nothing was ever announced on this cluster; the topic may come.
			at = 0
			f.take(nil, true, asked)
			err = pause(ctx, waitFor)
		case err == nil:
			at = answer.Next
			err = f.read(answer, asked)
		default:
			err = pause(ctx, waitFor) // writes stop by the lease meanwhile
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (f *Follower) read(answer tail.Answer, asked time.Time) error {
	var news []Version
	for _, r := range answer.Records {
		v, mine, err := announced(r, f.topic)
		if err != nil {
			return err
		}
		if mine {
			news = append(news, v)
		}
	}
	f.take(news, answer.Next >= answer.Stable, asked)
	return nil
}

// announced reads a record of the topic; tombstones and those of other topics are not mine.
func announced(r *kgo.Record, topic string) (v Version, mine bool, err error) {
	if len(r.Value) == 0 || len(r.Key) <= len(topic) || string(r.Key[:len(topic)+1]) != topic+"/" {
		return v, false, nil
	}
	v, err = Decode(r.Key, r.Value)
	return v, err == nil, err
}

func (f *Follower) take(news []Version, whole bool, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stale := !f.fresh(time.Now()) // by the clock that those who wait looked at
	for _, v := range news {
		f.view = f.view.With(v)
	}
	if whole {
		f.heard = asked // what was announced later may not be in the answer
	}
	if len(news) > 0 || whole && !f.whole || stale {
		close(f.changed)
		f.changed = make(chan struct{})
	}
	f.whole = f.whole || whole
}

func (f *Follower) fresh(now time.Time) bool { return f.whole && now.Sub(f.heard) < Lease }

// now is the view and what is closed when it changes; known is false as long as
// the announcements were not read to their end, or not lately.
func (f *Follower) now() (view View, known bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.view, f.fresh(time.Now()), f.changed
}

// Watch calls back with what is announced, at once and after each change, until ctx
// ends or the callback fails. View.Writable turning false is "stop writing", true is
// "go on with View.Current".
func (f *Follower) Watch(ctx context.Context, call func(View) error) error {
	for {
		view, known, changed := f.now()
		if known {
			if err := call(view); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Write waits until publishers may write, and calls write with the version to write
// to. It should return when its records are acknowledged: the command holds the
// topic for silent when nothing arrived for as long as --silent-for, so that a write
// may take no longer than that less [Lease].
func (f *Follower) Write(ctx context.Context, write func(ctx context.Context, to Version) error) error {
	for {
		view, known, changed := f.now()
		if known && view.Writable() {
			return write(ctx, view.Current())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Load reads all announcements of a topic from a cluster.
func Load(ctx context.Context, client *kgo.Client, topic string) (View, error) {
	view := View{Topic: topic}
	err := load(ctx, client, func(r *kgo.Record) error {
		v, mine, err := announced(r, topic)
		if mine {
			view = view.With(v)
		}
		return err
	})
	return view, err
}

// LoadAll reads the announcements of all topics from a cluster, by the topics' names.
func LoadAll(ctx context.Context, client *kgo.Client) ([]View, error) {
	views := map[string]View{}
	err := load(ctx, client, func(r *kgo.Record) error {
		if len(r.Value) == 0 {
			return nil
		}
		v, err := Decode(r.Key, r.Value)
		if err == nil {
			view := views[v.Topic]
			view.Topic = v.Topic
			views[v.Topic] = view.With(v)
		}
		return err
	})
	var all []View
	for _, topic := range slices.Sorted(maps.Keys(views)) {
		all = append(all, views[topic])
	}
	return all, err
}

// load hands over all that is announced on a cluster; nothing where nothing ever was.
func load(ctx context.Context, client *kgo.Client, take func(*kgo.Record) error) error {
	at, err := firstOffset(ctx, client)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	if err != nil {
		return err
	}
	reader := tail.New(client, Meta, 0)
	for {
		answer, err := reader.Fetch(ctx, at, 0)
		if err != nil {
			return err
		}
		for _, r := range answer.Records {
			if err := take(r); err != nil {
				return err
			}
		}
		if at = answer.Next; at >= answer.Stable {
			return nil
		}
	}
}

func firstOffset(ctx context.Context, client *kgo.Client) (int64, error) {
	starts, err := starts(ctx, client, Meta)
	if err != nil {
		return 0, err
	}
	if len(starts) != 1 {
		return 0, fmt.Errorf("%s has %d partitions; it has one, or its records have no order", Meta, len(starts))
	}
	return starts[0], nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
