package kafka

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// repeatAfter is how long the same line of the same cluster stays silent.
const repeatAfter = time.Minute

// failureFresh is how long a connection's failure explains a call that timed out.
const failureFresh = time.Minute

// mostLines bounds what is remembered about repeated lines.
const mostLines = 256

// Logger carries librdkafka's log to slog. A dozen handles tell of one dead
// broker again and again: the same line of a cluster is logged once a minute.
// One Logger serves any number of clusters; it is safe for concurrent use.
type Logger struct {
	out *slog.Logger

	mu       sync.Mutex
	seen     map[string]time.Time // by cluster, tag and text
	failures map[string]failure   // by cluster: the newest reason why a connection failed
}

type failure struct {
	text string
	at   time.Time
}

var defaultLogger = &Logger{}

// NewLogger makes a Logger that writes to out.
func NewLogger(out *slog.Logger) *Logger { return &Logger{out: out} }

// drain logs until the handle is closed, which closes events. It tells of refused logins.
func (l *Logger) drain(c Config, events <-chan ck.LogEvent, refused func()) {
	for event := range events {
		l.log(c, event)
		if aboutCredentials(event.Message) {
			refused()
		}
	}
}

func (l *Logger) log(c Config, event ck.LogEvent) {
	text := c.redact(event.Message)
	if event.Tag == "FAIL" || event.Tag == "ERROR" {
		l.remember(c, text, event.Timestamp)
	}
	level := slogLevel(event.Level)
	if level > slog.LevelDebug && l.repeated(c.Name+" "+event.Tag+" "+same(text), event.Timestamp) {
		return
	}
	out := l.out
	if out == nil {
		out = slog.Default()
	}
	out.LogAttrs(context.Background(), level, "kafka client",
		slog.String("cluster", c.Name), slog.String("client", event.Name),
		slog.String("facility", event.Tag), slog.String("text", text))
}

// warn logs what an operator should look at.
func (l *Logger) warn(text string, args ...any) {
	out := l.out
	if out == nil {
		out = slog.Default()
	}
	out.Warn(text, args...)
}

// warnOnce is warn of an error, once a minute.
func (l *Logger) warnOnce(c Config, text, err, remedy string) {
	if !l.repeated(c.Name+" "+text+" "+err, time.Now()) {
		l.warn(text, "cluster", c.Name, "error", err, "remedy", remedy)
	}
}

// same is what two lines about one thing share: how long a connection lived
// and how many lines were held back differ each time.
func same(text string) string {
	text, _, _ = strings.Cut(text, " (after ")
	return text
}

func (l *Logger) repeated(line string, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.seen[line]; ok && at.Sub(last) < repeatAfter {
		return true
	}
	if l.seen == nil || len(l.seen) >= mostLines {
		l.seen = map[string]time.Time{}
	}
	l.seen[line] = at
	return false
}

// remember keeps why a connection failed: the call that waited for it only
// says that it timed out. A refused password outlives the vaguer failures that
// follow it.
func (l *Logger) remember(c Config, text string, at time.Time) {
	if strings.Contains(text, "brokers are down") {
		return // it says what and not why
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures == nil {
		l.failures = map[string]failure{}
	}
	last := l.failures[c.Name]
	if aboutCredentials(last.text) && !aboutCredentials(text) && at.Sub(last.at) < failureFresh {
		return
	}
	l.failures[c.Name] = failure{text: same(c.redact(text)), at: at}
}

// failure is why a connection to the cluster failed lately, or "".
func (l *Logger) failure(cluster string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f, ok := l.failures[cluster]; ok && now.Sub(f.at) < failureFresh {
		return f.text
	}
	return ""
}

// slogLevel maps syslog's levels. librdkafka's notices and infos come and go
// without need to act, so that they are for debugging only.
func slogLevel(syslog int) slog.Level {
	switch {
	case syslog <= 2:
		return slog.LevelError
	case syslog <= 4:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
