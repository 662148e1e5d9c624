package kafka

import (
	"context"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
)

// tokenLogin is the login of a franz-go client by token.
type tokenLogin struct {
	oauthbearer

	mu    sync.Mutex
	shown map[string]string // by broker: the token that it was shown, until it said yes
}

// Name is the mechanism's, also for MSK, which takes such tokens by it.
func (l *tokenLogin) Name() string { return "OAUTHBEARER" }

// Authenticate shows the token of the moment. One that this broker has not said yes to is
// doubted: it may have been revoked.
func (l *tokenLogin) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	l.mu.Lock()
	before := l.shown[host]
	l.mu.Unlock()
	if before != "" {
		l.Tokens.Doubt(before)
	}
	t, err := l.token(ctx)
	if err != nil {
		return nil, nil, err
	}
	l.note(host, t.Value)
	session, first, err := oauth.Auth{Token: t.Value, Extensions: t.Extensions}.AsMechanism().Authenticate(ctx, host)
	return &tokenSession{session, func() { l.note(host, "") }}, first, err
}

func (l *tokenLogin) note(host, token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown == nil {
		l.shown = map[string]string{}
	}
	l.shown[host] = token
}

// tokenSession is a login under way.
type tokenSession struct {
	sasl.Session
	accepted func()
}

// Challenge is called with a broker's answer, unless that is no.
func (s *tokenSession) Challenge(answer []byte) (done bool, next []byte, err error) {
	done, next, err = s.Session.Challenge(answer)
	if done && err == nil {
		s.accepted()
	}
	return done, next, err
}

// tokenHolder is a handle of librdkafka.
type tokenHolder interface {
	SetOAuthBearerToken(ck.OAuthBearerToken) error
	SetOAuthBearerTokenFailure(string) error
}

// keeper gives a handle of librdkafka the token of the moment, until it ends. Nil keeps nothing.
type keeper struct {
	end     context.CancelFunc
	ended   chan struct{}
	refused chan struct{} // a login was: room for one word
}

// keep starts with a handle that is just opened, where logins are by token.
func keep(c Config, handle tokenHolder) *keeper {
	if !c.security().byToken() {
		return nil
	}
	ctx, end := context.WithCancel(context.Background())
	k := &keeper{end: end, ended: make(chan struct{}), refused: make(chan struct{}, 1)}
	go func() {
		defer close(k.ended)
		k.run(ctx, oauthbearer{c}, handle)
	}()
	return k
}

// close is called before the handle is closed: librdkafka must not be told anything afterwards.
func (k *keeper) close() {
	if k != nil {
		k.end()
		<-k.ended
	}
}

// doubt says that a login was refused.
func (k *keeper) doubt() {
	if k == nil {
		return
	}
	select {
	case k.refused <- struct{}{}:
	default:
	}
}

const (
	firstTry = 500 * time.Millisecond // between two tries to get a token: soon, since all waits for it
	lastTry  = 10 * time.Second
)

func (k *keeper) run(ctx context.Context, c oauthbearer, handle tokenHolder) {
	shown, pause := "", firstTry
	for ctx.Err() == nil {
		t, err := c.token(ctx)
		if err == nil && t.Value != shown {
			err = handle.SetOAuthBearerToken(ck.OAuthBearerToken{TokenValue: t.Value, Expiration: t.Expires,
				Principal: t.Principal, Extensions: t.Extensions})
			shown = t.Value
		}
		wait := max(time.Until(t.Refresh), firstTry)
		if err != nil && ctx.Err() == nil {
			_ = handle.SetOAuthBearerTokenFailure(c.redact(err.Error())) // refused only where logins are by other ways
			shown, wait, pause = "", pause, min(2*pause, lastTry)
		} else {
			pause = firstTry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-k.refused:
			c.Tokens.Doubt(shown)
		}
		timer.Stop()
	}
}

// Consumer is a handle of librdkafka that reads.
type Consumer struct {
	*ck.Consumer
	keeper *keeper
}

// Close ends the handle, and its log.
func (c *Consumer) Close() error {
	c.keeper.close()
	return c.Consumer.Close()
}

// Producer is a handle of librdkafka that writes.
type Producer struct {
	*ck.Producer
	keeper *keeper
}

// Close ends the handle, and its log.
func (p *Producer) Close() {
	p.keeper.close()
	p.Producer.Close()
}
