package ledger

import (
	"strings"
	"testing"
	"time"

	"replicator/pkg/replicate/kafka"
)

// TestProducerIsClaimedFromItsClaimOn: an id is known from its claim on, and one that is nobody's costs no
// second look.
func TestProducerIsClaimedFromItsClaimOn(t *testing.T) {
	ctx, fake, _ := topicOf(t)
	cluster := kafka.Config{Name: "new", Properties: fake.Properties()}
	open := func(topic string) *Claims {
		c, err := OpenClaims(cluster, topic)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	claims := open("ledger")
	asks := func(c *Claims, id int64, seen time.Time, want bool) {
		t.Helper()
		if got, err := c.Claimed(ctx, id, seen); err != nil || got != want {
			t.Errorf("producer %d is claimed: %v, %v, want %v", id, got, err, want)
		}
	}
	shard := NewShard()
	write(fake, shard.PrepareClaim(5, time.Now()), true)
	asks(claims, 5, time.Now(), true)
	asks(claims, -1, time.Now(), false)
	asks(claims, 6, time.Now(), false)

	// Another one is claimed later: what was read before does not hold for a batch seen after it.
	p := shard.PrepareClaim(7, time.Now())
	if shard.Claims(7) {
		t.Error("a claim holds before it is committed")
	}
	p.Apply(write(fake, p, true))
	if !shard.Claims(7) {
		t.Error("a committed claim does not hold")
	}
	asks(claims, 7, time.Now(), true)
	asks(claims, 8, claims.read.Add(-time.Second), false) // seen before the last look: that look tells

	read := open("ledger")
	asks(read, 5, time.Now(), true)
	asks(read, 7, time.Now(), true)
	asks(open("nothing"), 5, time.Now(), false)
}

// TestUnreadableLedgerIsNoAnswerOnClaims: a ledger that cannot be read is no licence to copy back.
func TestUnreadableLedgerIsNoAnswerOnClaims(t *testing.T) {
	ctx, fake, _ := topicOf(t)
	claims, err := OpenClaims(kafka.Config{Name: "new", Properties: fake.Properties()}, "ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer claims.Close()
	write(fake, &Prepared{Records: []Record{{Key: []byte{9, 9}, Value: nil}}}, true)
	if claimed, err := claims.Claimed(ctx, 5, time.Now()); err == nil || !strings.Contains(err.Error(), "ledger") {
		t.Errorf("a ledger of a later release says that 5 is claimed: %v, %v", claimed, err)
	}
}
