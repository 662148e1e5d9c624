package tokens

import (
	"context"
	"sync"
	"time"
)

// again is how long a token is shown before a refused login has another one fetched, and
// how long a service that did not give one is left alone while the former token holds.
const again = 10 * time.Second

// Cache keeps one token for all clients of a cluster. It is safe for concurrent use.
type Cache struct {
	turn chan struct{} // one asks, the others wait for what comes

	mu      sync.Mutex
	key     string
	token   Token
	fetched time.Time
	failed  error
}

// NewCache is an empty one.
func NewCache() *Cache { return &Cache{turn: make(chan struct{}, 1)} }

// Get is the token that is kept, or another one from the source where its time has come
// or what it was fetched with, which key stands for, is other now. Where the source fails
// and the former token holds, that one is given, and trouble is told why.
func (c *Cache) Get(ctx context.Context, key string, from Source, trouble func(error)) (Token, error) {
	if t, ok := c.kept(key, time.Now()); ok {
		return t, nil
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Token{}, ctx.Err()
	}
	now := time.Now()
	if t, ok := c.kept(key, now); ok { // another client has fetched it
		return t, nil
	}
	t, err := from.Token(ctx, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.key, c.token, c.fetched, c.failed = key, t, now, nil
		return t, nil
	}
	if c.key == key && c.token.Expires.After(time.Now()) {
		c.token.Refresh = time.Now().Add(again)
		trouble(err)
		return c.token, nil
	}
	if ctx.Err() == nil { // else it was our own haste
		c.failed = err
	}
	return Token{}, err
}

func (c *Cache) kept(key string, now time.Time) (Token, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, c.key == key && now.Before(c.token.Refresh) && now.Before(c.token.Expires)
}

// Doubt has another token fetched, since a broker has refused this one: it may have been
// revoked. A token that was just fetched would only come again.
func (c *Cache) Doubt(value string) (renew bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.token.Value != value || now.Sub(c.fetched) < again {
		return false
	}
	c.token.Refresh = now
	return true
}

// Failed is why there is no token, nil while there is one or nobody has asked.
func (c *Cache) Failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}
