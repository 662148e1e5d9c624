package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
)

// Claims tells which producer ids of a cluster belong to a flow that writes to
// it: what such an id has written was copied there, and must not be copied back. It
// reads that flow's ledger, and only when it is asked about an id that is new. A
// claim is committed before its id is used, so that an id which has no claim once
// its batch was seen will never have one.
//
// Its methods may be called from any goroutine.
type Claims struct {
	cluster kafka.Config
	topic   string

	client *kgo.Client
	close  func()
	turn   chan struct{}   // holds a token while somebody reads the ledger, with next
	next   map[int32]int64 // where reading goes on

	mu      sync.Mutex
	read    time.Time // everything committed before is known
	failed  time.Time // when reading failed last, with failure
	failure error
	claimed map[int64]bool
	others  map[int64]bool // ids of somebody else
}

const (
	// failureLasts is for how long a failure is the answer to others as well, who waited for their turn.
	failureLasts = time.Second
	// othersMost bounds the ids of others that are remembered; one that is forgotten costs a look.
	othersMost = 100_000
	// claimsWait bounds one look at the ledger.
	claimsWait = 30 * time.Second
)

// OpenClaims opens a look at the ledger topic of a flow that writes to the
// cluster. The topic need not be there: then nothing is claimed.
func OpenClaims(cluster kafka.Config, topic string) (*Claims, error) {
	client, err := kafka.NewFranz(cluster)
	if err != nil {
		return nil, fmt.Errorf("open a look at ledger %s: %w", topic, err)
	}
	c := NewClaims(client, cluster, topic)
	c.close = client.Close
	return c, nil
}

// NewClaims is OpenClaims over a client that stays the caller's.
func NewClaims(client *kgo.Client, cluster kafka.Config, topic string) *Claims {
	return &Claims{cluster: cluster, topic: topic, client: client, close: func() {}, turn: make(chan struct{}, 1),
		next: map[int32]int64{}, claimed: map[int64]bool{}, others: map[int64]bool{}}
}

// Close ends the connections that OpenClaims has made.
func (c *Claims) Close() { c.close() }

// Claimed says whether the producer id, which wrote a batch that was seen at that
// time, belongs to the flow.
func (c *Claims) Claimed(ctx context.Context, producer int64, seen time.Time) (bool, error) {
	if claimed, known, err := c.known(producer, seen); known || err != nil {
		return claimed, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if claimed, known, err := c.known(producer, seen); known || err != nil { // from who had the turn before
		return claimed, err
	}
	begun := time.Now()
	err := c.readOn(ctx)
	if err != nil {
		clear(c.next) // the next look begins anew: the topic may be another one by now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed, c.failure = time.Now(), &UnknownClaimsError{c.topic, c.cluster.Name,
			errors.Is(err, kerr.TopicAuthorizationFailed), readDenied(c.cluster, c.topic, err)}
		return false, c.failure
	}
	c.read = begun
	return c.decide(producer), nil
}

// known answers without reading, if that is possible.
func (c *Claims) known(producer int64, seen time.Time) (claimed, known bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case producer < 0 || c.others[producer]:
		return false, true, nil
	case c.claimed[producer]:
		return true, true, nil
	case c.read.After(seen):
		return c.decide(producer), true, nil
	case time.Since(c.failed) < failureLasts:
		return false, false, c.failure
	}
	return false, false, nil
}

// decide remembers whose an id is, all claims before its batch being known.
func (c *Claims) decide(producer int64) bool {
	if c.claimed[producer] {
		return true
	}
	if len(c.others) >= othersMost {
		clear(c.others)
	}
	c.others[producer] = true
	return false
}

// readOn reads what the ledger has that was not read yet. What is not committed counts too:
// an id is handed to one writer only.
func (c *Claims) readOn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, claimsWait)
	defer cancel()
	logs, err := glance.ReadAll(ctx, c.client, []string{c.topic}, func(l *glance.Log) {
		l.At, l.Take = max(l.At, c.next[l.Number]), c.take
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) && logs == nil {
		return nil
	} else if err != nil { // a topic that may not be seen is not one that is not there: what it claims is not known
		return err
	}
	for _, l := range logs {
		c.next[l.Number] = l.At
	}
	return nil
}

func (c *Claims) take(r *kgo.Record) error {
	k, err := decodeKey(r.Key)
	if err == nil && k.kind == kindClaim {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.claimed[k.number] = true
	}
	return err
}

// UnknownClaimsError reports that it is not known whose a batch is, since the ledger of the
// flow that may have written it cannot be read.
type UnknownClaimsError struct {
	Ledger, Cluster string
	Denied          bool // a right is missing, which no retry brings
	Err             error
}

func (e *UnknownClaimsError) Error() string {
	return fmt.Sprintf("which records came from the target is not known, since ledger %s on cluster %s cannot be read: %v",
		e.Ledger, e.Cluster, e.Err)
}

func (e *UnknownClaimsError) Unwrap() error { return e.Err }

// Remedy tells what to do.
func (e *UnknownClaimsError) Remedy() string {
	text := "it is tried again by itself; until then nothing is copied, since records could go in a circle"
	if fix := chunk.Remedy(e.Err); fix != "" {
		text = fix + "; " + text
	}
	return text
}
