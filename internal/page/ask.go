package page

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"replicator/internal/answers"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/settings"
)

// askRest is the least pause between two translations, whoever asks.
const askRest = 500 * time.Millisecond

// setup is what the page is about.
type setup struct {
	clusters map[string]kafka.Config
	flows    []settings.Config
}

// asks translates offsets, one after the other.
type asks struct {
	setup atomic.Pointer[setup]
	turn  chan struct{} // holds one: somebody's translation is under way, or was just now
}

// question is what is to be translated.
type question struct {
	setup   *setup
	flow    settings.Config
	at      chunk.Partition
	offset  int64
	inverse bool
}

// offsets answers as the verb of that name does.
func (a *asks) offsets(w http.ResponseWriter, r *http.Request) {
	q, err := a.question(r.URL.Query())
	if err != nil {
		refuse(w, r, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		refuse(w, r, http.StatusTooManyRequests, &kafka.Problem{What: "others are asking for translations",
			Fix: "ask again in a moment"})
		return
	}
	defer time.AfterFunc(askRest, func() { <-a.turn })
	t, err := a.translate(ctx, q)
	switch {
	case ctx.Err() != nil:
		refuse(w, r, http.StatusServiceUnavailable, errSlow)
	case err != nil:
		refuse(w, r, http.StatusUnprocessableEntity, err)
	default:
		answer(w, r, http.StatusOK, answers.TranslatedOf(t))
	}
}

func (a *asks) translate(ctx context.Context, q question) (*inspect.Translation, error) {
	view, err := snapshot.OpenTolerant(ctx, q.setup.clusters, q.flow, nil)
	if err != nil {
		return nil, err
	}
	defer view.Close()
	if q.inverse {
		return inspect.Invert(ctx, view, q.at, offsets.Target(q.offset))
	}
	return inspect.Translate(ctx, view, q.at, offsets.Source(q.offset))
}

// question reads flow, topic, partition, at and inverse.
func (a *asks) question(given url.Values) (q question, err error) {
	number := func(name string, bits int) int64 {
		n, failed := strconv.ParseInt(given.Get(name), 10, bits)
		if failed != nil || n < 0 {
			err = &kafka.Problem{What: name + " is not a number from 0 on", Fix: "give it as digits"}
		}
		return n
	}
	q.at = chunk.Partition{Topic: given.Get("topic"), Number: int32(number("partition", 32))}
	q.offset, q.inverse = number("at", 64), given.Get("inverse") == "true"
	if err == nil && q.at.Topic == "" {
		err = &kafka.Problem{What: "topic is missing", Fix: "name it as on the source"}
	}
	name := given.Get("flow")
	q.setup = a.setup.Load()
	for _, flow := range q.setup.flows {
		if flow.Name() == name || name == "" && len(q.setup.flows) == 1 {
			q.flow = flow
			return q, err
		}
	}
	return q, &kafka.Problem{What: "there is no flow of that name", Fix: "name one that /api/v1/status has, as old->new"}
}
