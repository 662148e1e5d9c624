package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Stream is a topic that is written to while it is copied: what counts is how
// long a record takes, and what it costs to keep up.
type Stream struct {
	Name       string // short, without dots
	Partitions int
	Rate       int // records a second, in turn to each partition
	Size       int // bytes of a value
	Span       time.Duration
	Settle     time.Duration // before the span, once every partition's records come through
	By         []string      // names of contestants
}

// Streams are all that are compared.
func Streams() []Stream {
	by := slices.Clone(common)
	return []Stream{
		{Name: "f", Partitions: 1000, Rate: 1000, Size: 100, Span: 30 * time.Second, Settle: 5 * time.Second, By: by},
		{Name: "g", Partitions: 8, Rate: 1000, Size: 100, Span: 30 * time.Second, Settle: 5 * time.Second,
			By: append(by, fastCommits)},
	}
}

// QuickStreams are short, and the first has fewer partitions.
func QuickStreams() []Stream {
	streams := Streams()
	for i := range streams {
		streams[i].Partitions = min(100, streams[i].Partitions)
		streams[i].Span, streams[i].Settle = 5*time.Second, time.Second
	}
	return streams
}

func (s Stream) String() string {
	return fmt.Sprintf("%s partitions, %s records of %d bytes a second in all, for %s",
		thousands(int64(s.Partitions)), thousands(int64(s.Rate)), s.Size, s.Span)
}

// StreamRun is what one contestant did with a stream.
type StreamRun struct {
	Contestant      string
	CPU             time.Duration // user and system, within the span
	Peak            int64         // resident memory, bytes
	Records         int           // of the span
	P50, P99, Worst time.Duration // until visible to a read_committed consumer, the records of the span
	Failed          string        // why the figures do not count
}

func (r StreamRun) String() string {
	if r.Failed != "" {
		return "FAILED: " + r.Failed
	}
	return fmt.Sprintf("%d records, p50 %s, p99 %s, worst %s; %.2f CPU s; %d MB", r.Records,
		r.P50.Round(time.Millisecond/10), r.P99.Round(time.Millisecond/10), r.Worst.Round(time.Millisecond/10),
		r.CPU.Seconds(), r.Peak>>20)
}

// StreamResult is all that was done with one stream.
type StreamResult struct {
	Stream Stream
	Runs   []StreamRun
}

// of gives the run of one contestant, if it counts.
func (r StreamResult) of(name string) (StreamRun, bool) {
	i := slices.IndexFunc(r.Runs, func(run StreamRun) bool { return run.Contestant == name && run.Failed == "" })
	if i < 0 {
		return StreamRun{}, false
	}
	return r.Runs[i], true
}

// each gives a figure of one contestant; none if it has not run.
func (r StreamResult) each(name string, f func(StreamRun) float64) figures {
	if run, ok := r.of(name); ok {
		return figures{f(run)}
	}
	return nil
}

const writeEvery = 5 * time.Millisecond

// write writes to a topic at the stream's rate until end is closed. It answers how
// many records there are.
func (s Stream) write(ctx context.Context, bootstrap, topic string, end <-chan struct{}) (int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ClientID("bench"), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	first := kgo.AbortingFirstErrPromise(client)
	n, begun := 0, time.Now()
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-end:
			ended = true
			continue
		case <-ticker.C:
		}
		for due := int(time.Since(begun).Seconds() * float64(s.Rate)); n < due; n++ {
			client.Produce(ctx, &kgo.Record{Partition: int32(n % s.Partitions), Value: dated(time.Now(), s.Size)},
				first.Promise())
		}
	}
	if err := client.Flush(ctx); err != nil {
		return n, err
	}
	return n, first.Err()
}

const stampDigits = 20

// dated is a value that tells when it was written, to the nanosecond, and is then
// filled up with what does not repeat.
func dated(at time.Time, size int) []byte {
	value := fmt.Appendf(make([]byte, 0, size+16), `{"at":%0*d,"text":"`, stampDigits, at.UnixNano())
	for word := uint64(at.UnixNano()); len(value) < size-2; word = word*6364136223846793005 + 1442695040888963407 {
		value = strconv.AppendUint(value, word, 36)
	}
	return append(value[:max(size-2, len(`{"at":,"text":"`)+stampDigits)], `"}`...)
}

// dateOf reads when a value was written.
func dateOf(value []byte) (time.Time, error) {
	const before = len(`{"at":`)
	if len(value) < before+stampDigits {
		return time.Time{}, fmt.Errorf("value %q tells no time", value)
	}
	ns, err := strconv.ParseInt(string(value[before:before+stampDigits]), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("value %q: %w", value, err)
	}
	return time.Unix(0, ns), nil
}

// ruler measures a stream at its target. It belongs to one goroutine.
type ruler struct {
	stream    Stream
	seen      map[int32]bool // partitions
	records   int            // all that have come
	from, to  time.Time      // the span; zero until every partition has been seen
	latencies []time.Duration
}

var errEarly = errors.New("the stream ended before the span did")

// take notes a record that has become visible now.
func (r *ruler) take(record *kgo.Record, now time.Time) error {
	at, err := dateOf(record.Value)
	if err != nil {
		return err
	}
	r.records++
	if r.from.IsZero() {
		if r.seen[record.Partition] = true; len(r.seen) == r.stream.Partitions {
			r.from = now.Add(r.stream.Settle)
			r.to = r.from.Add(r.stream.Span)
		}
		return nil
	}
	if !at.Before(r.from) && at.Before(r.to) {
		r.latencies = append(r.latencies, now.Sub(at))
	}
	return nil
}

// figures puts the latencies into a run.
func (r *ruler) figures(run *StreamRun) error {
	if len(r.latencies) == 0 {
		return errEarly
	}
	slices.Sort(r.latencies)
	run.Records = len(r.latencies)
	run.P50, run.P99 = quantile(r.latencies, 50), quantile(r.latencies, 99)
	run.Worst = r.latencies[len(r.latencies)-1]
	return nil
}

// quantile is the smallest value that at least so many percent do not exceed.
func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}
