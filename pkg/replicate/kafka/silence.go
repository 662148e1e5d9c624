package kafka

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Silence remembers which brokers of a cluster did not answer, for all franz-go clients whose [Config] has it: who
// asks next is told at once, and does not wait for them as well. A look at a cluster of which a broker is silent lasts
// as long as one question that way, and not as long as all of them.
type Silence struct {
	noted *silent
	notes bool // its clients note who does not answer them
}

// silent are brokers by address, with why they did not answer.
type silent struct {
	mu      sync.Mutex
	brokers map[string]error
}

// NewSilence makes one that knows of nobody.
func NewSilence() *Silence { return &Silence{&silent{brokers: map[string]error{}}, true} }

// Heeded is the same for clients with longer patience: they ask nobody who is silent, and note nobody.
func (s *Silence) Heeded() *Silence { return &Silence{s.noted, false} }

// Forget has all brokers asked again.
func (s *Silence) Forget() {
	s.noted.mu.Lock()
	defer s.noted.mu.Unlock()
	clear(s.noted.brokers)
}

func (s *Silence) note(address string, err error) {
	s.noted.mu.Lock()
	defer s.noted.mu.Unlock()
	if _, noted := s.noted.brokers[address]; s.notes && !noted {
		s.noted.brokers[address] = err
	}
}

// of is why a broker counts as silent; nil: it does not.
func (s *Silence) of(address string) error {
	s.noted.mu.Lock()
	defer s.noted.mu.Unlock()
	if why := s.noted.brokers[address]; why != nil {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: broker(address), Err: wasSilent{why}}
	}
	return nil
}

// dialing notes who cannot be reached, and does not try again then.
func (s *Silence) dialing(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if err := s.of(address); err != nil {
			return nil, err
		}
		conn, err := dial(ctx, network, address)
		var operation *net.OpError
		if errors.As(err, &operation) && ctx.Err() == nil {
			s.note(address, operation.Err)
		}
		return conn, err
	}
}

// OnBrokerRead is called by franz-go after each read.
func (s *Silence) OnBrokerRead(broker kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errNoAnswer) {
		s.note(net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port))), errNoAnswer)
	}
}

// broker is the address of one.
type broker string

// Network implements net.Addr.
func (broker) Network() string { return "tcp" }

// String implements net.Addr.
func (b broker) String() string { return string(b) }

// wasSilent is what a broker that is not asked again has answered before.
type wasSilent struct{ error }

// Is has franz-go take it for an error that no other try mends: any other broker is asked then, where any will do, and
// where this one is needed nobody waits for it.
func (w wasSilent) Is(target error) bool { return target == error(syscall.EACCES) }
