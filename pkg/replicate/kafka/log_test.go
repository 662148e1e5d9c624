package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestLogOnceAMinute(t *testing.T) {
	var out logged
	l := out.logger()
	c := Config{Name: "old", Properties: with("sasl.password", "hunter2")}
	start := time.Unix(1000, 0)
	at := func(after time.Duration, level int, text string) {
		l.log(c, ck.LogEvent{Name: "replicator#producer-1", Tag: "FAIL", Message: text, Level: level,
			Timestamp: start.Add(after)})
	}
	at(0, 3, "a:1/1: Connect failed (after 1ms in state CONNECT)")
	at(time.Second, 3, "a:1/1: Connect failed (after 25ms in state CONNECT, 30 identical error(s) suppressed)")
	at(2*time.Second, 3, "b:1/2: Connect failed with hunter2 (after 1ms in state CONNECT)")
	at(3*time.Second, 6, "a:1/1: Disconnected while idle")
	at(61*time.Second, 3, "a:1/1: Connect failed (after 1ms in state CONNECT)")
	got := out.String()
	if n := strings.Count(got, "\n"); n != 3 || strings.Count(got, "a:1/1: Connect failed") != 2 {
		t.Errorf("got %d lines, want 3: a twice, b once\n%s", n, got)
	}
	if strings.Contains(got, "hunter2") || !strings.Contains(got, "cluster=old") || !strings.Contains(got, "level=WARN") {
		t.Errorf("want warnings that name the cluster and hide the password:\n%s", got)
	}
}

func TestLogForgetsOldLines(t *testing.T) {
	l := NewLogger(nil)
	for i := range 10 * mostLines {
		if l.repeated(fmt.Sprint(i), time.Unix(0, 0)) {
			t.Fatalf("line %d was never there", i)
		}
	}
	if len(l.seen) > mostLines {
		t.Errorf("%d lines are remembered, want at most %d", len(l.seen), mostLines)
	}
}

func TestFailureOfCredentialsOutlivesOthers(t *testing.T) {
	l, c, start := NewLogger(nil), Config{Name: "old"}, time.Unix(1000, 0)
	l.remember(c, "a:1: SASL authentication error: no (after 3ms in state AUTH_REQ)", start)
	l.remember(c, "a:1: Connect failed", start.Add(time.Second))
	l.remember(c, "1/1 brokers are down", start.Add(2*time.Second))
	if got, want := l.failure("old", start.Add(3*time.Second)), "a:1: SASL authentication error: no"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := l.failure("old", start.Add(time.Hour)); got != "" {
		t.Errorf("an hour later: got %q, want none", got)
	}
	l.remember(c, "a:1: Connect failed", start.Add(2*time.Minute))
	if got := l.failure("old", start.Add(2*time.Minute)); got != "a:1: Connect failed" {
		t.Errorf("a new failure after the old one has aged: got %q", got)
	}
	if got := l.failure("new", start); got != "" {
		t.Errorf("another cluster: got %q, want none", got)
	}
}

func TestExplain(t *testing.T) {
	librdkafka := func(code ck.ErrorCode, text string) error {
		return fmt.Errorf("list topics: %w", ck.NewError(code, text, false))
	}
	for _, c := range []struct {
		err       error
		what, fix string // parts; "" for both: no Problem
	}{
		{librdkafka(ck.ErrTimedOut, "Local: Timed out"), "cannot be reached", "advertised.listeners"},
		{librdkafka(ck.ErrTransport, "a:1: SSL handshake failed"), "over TLS", "ssl.ca.location"},
		{librdkafka(ck.ErrAllBrokersDown, "1/1 down"), "cannot be reached", "bootstrap.servers"},
		{librdkafka(ck.ErrResolve, "no host"), "cannot be reached", "bootstrap.servers"},
		{librdkafka(ck.ErrAuthentication, "SASL"), "refused the credentials", `user "mirror"`},
		{librdkafka(ck.ErrTopicAuthorizationFailed, "x"), "User:mirror do what it asked for on a topic", "ACL"},
		{librdkafka(ck.ErrGroupAuthorizationFailed, "x"), "on a group", "ACL"},
		{librdkafka(ck.ErrTransactionalIDAuthorizationFailed, "x"), "on a transactional id", "ACL"},
		{librdkafka(ck.ErrClusterAuthorizationFailed, "x"), "on the cluster", "ACL"},
		{kerr.SaslAuthenticationFailed, "refused the credentials", "sasl.mechanism (PLAIN)"},
		{kerr.TopicAuthorizationFailed, "on a topic", "ACL"},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, "cannot be reached", "bootstrap.servers"},
		{io.EOF, "cannot be reached", "security.protocol"},
		{context.DeadlineExceeded, "cannot be reached", "bootstrap.servers"},
		{librdkafka(ck.ErrMsgSizeTooLarge, "x"), "", ""},
		{kerr.UnknownTopicOrPartition, "", ""},
		{context.Canceled, "", ""},
	} {
		config := Config{Name: "old", Logger: NewLogger(nil), Properties: with("security.protocol", "SASL_PLAINTEXT",
			"sasl.mechanism", "PLAIN", "sasl.username", "mirror", "sasl.password", "hunter2")}
		got := config.Explain(c.err)
		if !errors.Is(got, c.err) {
			t.Errorf("%v: the cause is lost in %v", c.err, got)
		}
		var problem *Problem
		if is := errors.As(got, &problem); is != (c.what != "") {
			t.Errorf("%v: got %v, want a problem: %t", c.err, got, c.what != "")
			continue
		}
		if problem != nil && (!strings.Contains(problem.What, c.what) || !strings.Contains(problem.Remedy(), c.fix)) {
			t.Errorf("%v: got %q, remedy %q; want %q, %q", c.err, problem.What, problem.Remedy(), c.what, c.fix)
		}
		if again := config.Explain(got); problem != nil && again != got {
			t.Errorf("explained twice: got %v, want %v", again, got)
		}
		if !strings.Contains(got.Error(), "cluster old") {
			t.Errorf("%v: %q does not name the cluster", c.err, got)
		}
	}
	if got := (Config{Name: "old"}).Explain(nil); got != nil {
		t.Errorf("no error: got %v", got)
	}
}

func TestDenied(t *testing.T) {
	c := Config{Name: "new", Properties: with("sasl.username", "mirror")}
	got := c.Denied("Write", "topic orders", kerr.TopicAuthorizationFailed)
	if want := "cluster new does not let User:mirror do Write on topic orders"; got.What != want {
		t.Errorf("got %q, want %q", got.What, want)
	}
	if !strings.Contains(got.Remedy(), "grant User:mirror Write on topic orders of cluster new") {
		t.Errorf("remedy %q does not say what to grant", got.Remedy())
	}
}
