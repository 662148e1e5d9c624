// Package groups makes consumer groups on the target read next what they would
// have read next on the source: it reads the positions that groups have committed
// on both sides, decides about each one, and commits on the target.
//
// The central type is [Groups]; the decision itself is [Decide], which is pure.
// It guarantees:
//
//  1. a position is written only where nothing is committed on the target, or where
//     what is committed there is, to the offset, what this flow wrote ([Mark]);
//  2. a group with active members on the target is left alone: the broker refuses;
//  3. what the target holds is read anew in every round, so that positions which
//     expired there are written again; nothing is remembered as done;
//  4. a position that cannot be translated yet is not guessed.
//
// It does not translate: a [Translator] does. Between look and write lie some
// milliseconds. A consumer that joins meanwhile is safe, as the broker refuses our
// write. One that commits without being a member (manual assignment) is not: its
// first commit could be overwritten if it falls into just that gap.
package groups

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// patience bounds how long one request is tried again, in all.
const patience = 10 * time.Second

// Config says which groups follow, and between which clusters.
type Config struct {
	Source, Target kafka.Config
	Policy         *policy.Policy
	Flow           string // as "old->new"; it goes into every commit
	Log            *slog.Logger
}

// Answer is what a translator knows about one position.
type Answer struct {
	// Target is the target offset, within the target's log. Where Foreign is set it
	// stands before the first record that someone else wrote.
	Target  offsets.Target
	Rule    offsets.Rule
	Ready   bool             // whether Target may be committed
	Why     string           // the reason if not Ready
	Fix     string           // what has to be done before there is an answer; "": it comes by itself
	Foreign *offsets.Stretch // what stopped the position short of its translation
	// Deleted counts the records between the position's translation and the beginning of the target's log, where Target
	// is: they were copied, and deleted on the target alone. DeletedOnBoth counts those that the source deleted as well.
	Deleted, DeletedOnBoth int64
	// Beyond: not Ready, as the position is behind the end of the source's log.
	Beyond bool
	// Passes counts the records between where the group stands and Target: it has read them on the source. Known only
	// where [Place.Read] was true.
	Passes int64
	// Reached: not Ready, as the position is ahead of what was copied; this is where a group stands that has read all
	// of that. Nil: not known.
	Reached *Reached
}

// Reached is the end of what was copied, on both sides.
type Reached struct {
	Source offsets.Source
	Target offsets.Target
	Passes int64 // as in Answer
}

// Place is where a group stands on the target.
type Place struct {
	At   *offsets.Target // what it has committed; nil: nothing
	Read bool            // it has read there all that stands before At
}

// Translator answers where on the target a group reads next that would read source
// offset s of p next. It is called from the goroutine of Sync, one call at a time.
type Translator func(p chunk.Partition, s offsets.Source, stands Place) Answer

// Groups reads and writes group positions. Sync belongs to one goroutine; Look may
// be called beside it.
type Groups struct {
	cfg      Config
	source   *kgo.Client
	target   *target
	reported reported
	opposite atomic.Pointer[[]string] // names of flows from the target to the source
}

// Open makes the clients; nothing is connected yet.
func Open(cfg Config) (*Groups, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	source, err := kafka.NewFranz(cfg.Source, kgo.RetryTimeout(patience))
	if err != nil {
		return nil, fmt.Errorf("read groups: %w", err)
	}
	client, err := kafka.NewFranz(cfg.Target, kgo.RetryTimeout(patience))
	if err != nil {
		source.Close()
		return nil, fmt.Errorf("read groups: %w", err)
	}
	return &Groups{cfg: cfg, source: source, target: &target{conf: cfg.Target, flow: cfg.Flow, client: client},
		reported: newReported(cfg)}, nil
}

// AlsoKnownAs gives names that the flow had before: what was committed under one of them
// is the flow's own. It is called before the first Sync.
func (g *Groups) AlsoKnownAs(flows []string) {
	g.target.former = map[string]bool{}
	for _, flow := range flows {
		g.target.former[shortFlow(flow)] = true
	}
}

// Opposed gives the names of the flows in the opposite direction.
func (g *Groups) Opposed(by []string) { g.opposite.Store(&by) }

// Own gives a position that was committed under a former name of the flow the present one.
func (g *Groups) Own(c Committed) Committed { return g.target.own(c) }

// Close ends all connections.
func (g *Groups) Close() {
	g.source.Close()
	g.target.close()
}

// followed lists the source's groups: how many there are of the kinds that commit
// offsets, and those that the policy selects, sorted by name.
func (g *Groups) followed(ctx context.Context) (list []Named, listed int, selected []group, err error) {
	if list, err = g.Names(ctx); err != nil {
		return nil, 0, nil, err
	}
	listed, selected = commits(list)
	for i := range selected {
		selected[i].rule = g.RuleOf(selected[i].name)
	}
	return list, listed, selected, nil
}
