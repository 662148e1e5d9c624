package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Problem is an error that an operator meets: what happened, and what to do.
type Problem struct {
	What string // a fact: which cluster, which operation
	Fix  string // an instruction
	Err  error  // the library's error, nil if there is none
}

func (p *Problem) Error() string {
	if p.Err == nil {
		return p.What
	}
	return p.What + ": " + p.Err.Error()
}

// Unwrap gives the library's error.
func (p *Problem) Unwrap() error { return p.Err }

// Remedy tells the operator what to do.
func (p *Problem) Remedy() string { return p.Fix }

// Code is the Kafka error code that an error of either library carries:
// librdkafka's own are negative, the broker's positive. ok is false without one.
func Code(err error) (code int, ok bool) {
	var fromLibrdkafka ck.Error
	if errors.As(err, &fromLibrdkafka) {
		return int(fromLibrdkafka.Code()), true
	}
	var fromFranz *kerr.Error
	if errors.As(err, &fromFranz) {
		return int(fromFranz.Code), true
	}
	return 0, false
}

// fault is the sort of trouble that an operator can do something about.
type fault int

const (
	other fault = iota
	unreachable
	credentials
	encryption
	denied
	garbled
)

func classify(err error) fault {
	if code, ok := Code(err); ok {
		return classifyCode(code, err.Error())
	}
	var unknownCA x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var invalid x509.CertificateInvalidError
	var notTLS tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unknownCA), errors.As(err, &wrongHost), errors.As(err, &invalid),
		errors.As(err, &notTLS), errors.As(err, &verification),
		strings.Contains(err.Error(), "remote error: tls:"): // the broker's alert
		return encryption
	}
	var operation *net.OpError
	var lookup *net.DNSError
	var firstRead *kgo.ErrFirstReadEOF
	switch {
	case errors.As(err, &operation), errors.As(err, &lookup), errors.As(err, &firstRead),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return unreachable
	case strings.Contains(err.Error(), "tls alert record"): // spoken to in plain text; the library has no type for it
		return encryption
	case noKafka.MatchString(err.Error()): // nor for these
		return garbled
	}
	return other
}

// noKafka is what franz-go says of answers that are none of Kafka's.
var noKafka = regexp.MustCompile("response size|did not contain enough data|correlation ID mismatch|short response|" +
	"invalidly contained no ApiKeys")

func classifyCode(code int, text string) fault {
	switch ck.ErrorCode(code) {
	case ck.ErrAuthentication, ck.ErrSaslAuthenticationFailed, ck.ErrUnsupportedSaslMechanism, ck.ErrIllegalSaslState:
		return credentials
	case ck.ErrSsl:
		return encryption
	case ck.ErrTopicAuthorizationFailed, ck.ErrGroupAuthorizationFailed, ck.ErrClusterAuthorizationFailed,
		ck.ErrTransactionalIDAuthorizationFailed:
		return denied
	case ck.ErrBadMsg, ck.ErrUnderflow:
		return garbled
	case ck.ErrTimedOut, ck.ErrTransport, ck.ErrAllBrokersDown, ck.ErrResolve, ck.ErrMsgTimedOut,
		ck.ErrTimedOutQueue, ck.ErrBrokerNotAvailable:
		return fromText(text, unreachable)
	}
	return other
}

// fromText sharpens a vague fault by what librdkafka wrote about the connection.
func fromText(text string, vague fault) fault {
	switch {
	case aboutCredentials(text):
		return credentials
	case strings.Contains(text, "SSL handshake") || strings.Contains(text, "SSL routines") ||
		strings.Contains(text, "certificate"):
		return encryption
	}
	return vague
}

func aboutCredentials(text string) bool {
	lower := strings.ToLower(text)
	return strings.Contains(lower, "authentication fail") || strings.Contains(lower, "sasl authentication error") ||
		strings.Contains(lower, "authentication error") || strings.Contains(lower, "unsupported sasl mechanism")
}

// Explain turns an error of either library into a [Problem] where the operator
// can do something about it: a cluster that cannot be reached, refused
// credentials, TLS that does not fit, a missing right. It knows the brokers, the user, and
// why connections failed lately, which a call that only timed out does not know. Other errors
// get the cluster's name before them; nil stays nil, a Problem stays itself.
func (c Config) Explain(err error) error {
	var already *Problem
	if err == nil || errors.As(err, &already) {
		return err
	}
	err = c.Conceal(err)
	var text string
	sort := classify(err)
	if sort == unreachable {
		if text = c.logger().failure(c.Name, time.Now()); text != "" {
			sort = fromText(text, unreachable)
		}
	}
	if c.Tokens != nil && (sort == unreachable || sort == credentials) {
		if why := c.Tokens.Failed(); why != nil {
			return (oauthbearer{c}).failed(why)
		}
	}
	r := c.remedies()
	switch sort {
	case unreachable:
		return &Problem{What: r.what("cannot be reached", text), Fix: r.fixConnection(), Err: err}
	case credentials:
		return &Problem{What: r.what("refused the credentials", text), Fix: r.fixCredentials(), Err: err}
	case encryption:
		fix := r.fixEncryption()
		if r.encrypted() && !r.certificate && wantsCertificate(err.Error()+text) {
			fix = r.fixCertificate()
		}
		return &Problem{What: r.what("cannot be spoken to over TLS", text), Fix: fix, Err: err}
	case denied:
		return c.Denied("", "", err)
	case garbled:
		return &Problem{What: r.what("answers with what cannot be read", text), Fix: r.fixGarbled(), Err: err}
	}
	return fmt.Errorf("cluster %s: %w", c.Name, err)
}

// ExplainTransactions is Explain for the first request of a transactional writer
// whose id begins with prefix. A cluster that answers everything else and leaves it
// without an answer cannot make or load its transaction log.
func (c Config) ExplainTransactions(prefix string, err error) error {
	code, ok := Code(err)
	if ok && ck.ErrorCode(code) == ck.ErrTransactionalIDAuthorizationFailed {
		return c.Denied("Write", "transactional id "+prefix+" (prefixed)", err)
	}
	err = c.Conceal(err)
	silent := ok && (classifyCode(code, err.Error()) == unreachable ||
		ck.ErrorCode(code) == ck.ErrCoordinatorNotAvailable)
	if !silent || c.logger().failure(c.Name, time.Now()) != "" {
		return c.Explain(err)
	}
	return &Problem{
		What: fmt.Sprintf("cluster %s does not begin a transaction", c.Name),
		Fix: fmt.Sprintf("check on cluster %s that topic __transaction_state can be made and has enough replicas in sync: "+
			"transaction.state.log.replication.factor must not be above the number of brokers, "+
			"transaction.state.log.min.isr not above the number of those that run", c.Name),
		Err: err,
	}
}

// Denied is the error for a right that is missing: operation as in kafka-acls
// ("Write"), resource as "topic orders"; both may be empty if they are not known.
func (c Config) Denied(operation, resource string, err error) *Problem {
	who := "the program's user"
	if user := c.Properties["sasl.username"]; user != "" {
		who = "User:" + user
	}
	right := operation
	if operation == "" {
		operation, right = "what it asked for", "the right that it lacks"
	}
	if resource == "" {
		resource = resourceOf(err)
	}
	return &Problem{
		What: fmt.Sprintf("cluster %s does not let %s do %s on %s", c.Name, who, operation, resource),
		Fix: fmt.Sprintf("grant %s %s on %s of cluster %s with an ACL (kafka-acls.sh --add --allow-principal ...); "+
			"'replicator check --connect' lists what is missing", who, right, resource, c.Name),
		Err: c.Conceal(err),
	}
}

func resourceOf(err error) string {
	code, _ := Code(err)
	switch ck.ErrorCode(code) {
	case ck.ErrTopicAuthorizationFailed:
		return "a topic"
	case ck.ErrGroupAuthorizationFailed:
		return "a group"
	case ck.ErrTransactionalIDAuthorizationFailed:
		return "a transactional id"
	}
	return "the cluster"
}
