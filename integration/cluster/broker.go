package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	readyWithin = 3 * time.Minute  // of a start, on a machine busy with other tests
	goneWithin  = 60 * time.Second // after SIGTERM
	silentAfter = time.Second      // an answer that takes longer is none
)

// provider makes nodes. Its check is the only place that decides whether tests
// skip, so that a broken broker fails them.
type provider interface {
	name() string
	// check says why no node can be made, or nil. It may download what is needed.
	check(version string) error
	// create prepares the nodes of one cluster in their homes without starting them.
	// With an error come those that it made before.
	create(specs []*spec, homes []*home) ([]node, error)
}

// node is one broker under a provider. It is used by one goroutine at a time.
type node interface {
	// start starts the broker on its data; exited is closed when it has ended.
	start() (exited <-chan struct{}, err error)
	// signal sends one signal to a running broker.
	signal(sig signal) error
	// logs is what the broker has printed over all its starts.
	logs() string
	// remove ends the broker at once and removes what the provider made outside its home.
	remove() error
}

type signal string

const (
	sigTerm signal = "TERM"
	sigKill signal = "KILL"
	sigStop signal = "STOP"
	sigCont signal = "CONT"
)

// broker is a node with its life: what may be done in which state.
type broker struct {
	spec  *spec
	home  *home
	ports *ports
	node  node

	mu     sync.Mutex
	exited <-chan struct{} // nil: not started
	paused bool
	closed bool
}

func (b *broker) running() bool {
	if b.exited == nil {
		return false
	}
	select {
	case <-b.exited:
		return false
	default:
		return true
	}
}

func (b *broker) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.running() {
		return errors.New("it is running already, or has ended for good")
	}
	exited, err := b.node.start()
	if err != nil {
		return err
	}
	b.exited, b.paused = exited, false
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if err := ready(ctx, b.spec, exited); err != nil {
		return fmt.Errorf("%s: %w; the end of its log:\n%s", b.spec.address(), err, tail(b.node.logs(), 40))
	}
	return nil
}

func (b *broker) stop() error { return b.end(sigTerm) }
func (b *broker) kill() error { return b.end(sigKill) }

// end sends a deadly signal and waits until the broker is gone.
func (b *broker) end(sig signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running() {
		return errors.New("it is not running")
	}
	if b.paused && sig == sigTerm { // a frozen process cannot act on SIGTERM
		if err := b.node.signal(sigCont); err != nil {
			return err
		}
	}
	if err := b.node.signal(sig); err != nil {
		return err
	}
	b.paused = false
	late := time.NewTimer(goneWithin)
	defer late.Stop()
	select {
	case <-b.exited:
		return nil
	case <-late.C:
		return fmt.Errorf("still there %v after SIG%s; the end of its log:\n%s", goneWithin, sig, tail(b.node.logs(), 40))
	}
}

func (b *broker) pause() error  { return b.freeze(sigStop, true) }
func (b *broker) resume() error { return b.freeze(sigCont, false) }

func (b *broker) freeze(sig signal, paused bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.running() {
		return errors.New("it is not running")
	}
	if b.paused == paused {
		return nil
	}
	if err := b.node.signal(sig); err != nil {
		return err
	}
	b.paused = paused
	if !paused {
		return nil
	}
	return silent(b.spec.address())
}

// silent waits until the broker answers nothing any more: a process that is told to
// stop does so when the system gets to each of its threads.
func silent(address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestRetries(0), kgo.DialTimeout(silentAfter),
		kgo.RequestTimeoutOverhead(silentAfter))
	if err != nil {
		return err
	}
	defer client.Close()
	for giveUp := time.Now().Add(goneWithin); time.Now().Before(giveUp); {
		ctx, cancel := context.WithTimeout(context.Background(), silentAfter)
		err := client.Ping(ctx)
		cancel()
		if err != nil {
			return nil
		}
	}
	return fmt.Errorf("it still answers %v after SIGSTOP", goneWithin)
}

// close ends the broker at once, whatever its state, and gives all back.
func (b *broker) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	if b.node != nil {
		errs = append(errs, b.node.remove())
	}
	if b.home != nil {
		errs = append(errs, b.home.remove(b.spec.keep))
	}
	if b.ports != nil {
		b.ports.release()
	}
	return errors.Join(errs...)
}

// ready waits until the broker answers Metadata with itself in it, which a
// KRaft broker does once its controller has let it in.
func ready(ctx context.Context, s *spec, exited <-chan struct{}) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.address()), kgo.RequestRetries(0), kgo.DialTimeout(2*time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("never asked")
	for {
		select {
		case <-exited:
			return errors.New("the broker ended while it started")
		case <-ctx.Done():
			return fmt.Errorf("no answer in time: %w", last)
		case <-tick.C:
		}
		if last = answers(ctx, client, s.id); last == nil {
			return nil
		}
	}
}

func answers(ctx context.Context, client *kgo.Client, id int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	got, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return err
	}
	for _, b := range got.(*kmsg.MetadataResponse).Brokers {
		if b.NodeID == int32(id) {
			return nil
		}
	}
	return errors.New("it answers, but is no member yet")
}
