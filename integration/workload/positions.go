package workload

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"
)

// Kind says what lies at a committed position.
type Kind string

const (
	AtStart   Kind = "log start"
	AtEnd     Kind = "last stable offset"
	AfterLast Kind = "after the last visible record" // in front of trailing markers and aborted records
	OnVisible Kind = "visible record"
	OnMarker  Kind = "marker"
	OnAborted Kind = "aborted record"
	InHole    Kind = "compaction hole"
)

// Kinds lists all of them.
var Kinds = []Kind{AtStart, AtEnd, AfterLast, OnVisible, OnMarker, OnAborted, InHole}

// Position is one committed offset.
type Position struct {
	Group, Topic string
	Partition    int32
	At           int64
	Kind         Kind
}

// GroupSpec says which groups [CommitRandom] makes.
type GroupSpec struct {
	Seed   uint64
	Prefix string // groups are called <prefix>-0000 and so on
	Groups int
	Topics []string
}

// CommitRandom commits, for every group and partition, a random position of a
// random kind among those that the partition has. It returns them by group,
// topic and partition. A second call with another seed resets the same groups.
func CommitRandom(ctx context.Context, bootstrap string, spec GroupSpec) ([]Position, error) {
	var places []place
	for _, topic := range spec.Topics {
		layouts, err := ReadLayout(ctx, bootstrap, topic)
		if err != nil {
			return nil, err
		}
		for number, l := range layouts {
			places = append(places, place{topic, number, choices(l)})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.number, b.number))
	})
	random := newRand(spec.Seed)
	var all []Position
	for i := range spec.Groups {
		group := fmt.Sprintf("%s-%04d", spec.Prefix, i)
		for _, p := range places {
			all = append(all, p.choose(random, group))
		}
	}
	return all, Commit(ctx, bootstrap, all)
}

// place is one partition with what can be chosen there: Kinds in their order, and
// the offsets of each.
type place struct {
	topic   string
	number  int32
	choices map[Kind][]int64
}

func choices(l *Layout) map[Kind][]int64 {
	after := l.Start
	if n := len(l.Visible); n > 0 {
		after = l.Visible[n-1] + 1
	}
	return map[Kind][]int64{
		AtStart: {l.Start}, AtEnd: {l.Stable}, AfterLast: {after},
		OnVisible: l.Visible, OnMarker: l.Markers, OnAborted: l.Aborted, InHole: l.Holes,
	}
}

func (p place) choose(random *rand.Rand, group string) Position {
	var there []Kind
	for _, k := range Kinds {
		if len(p.choices[k]) > 0 {
			there = append(there, k)
		}
	}
	k := there[random.IntN(len(there))]
	offsets := p.choices[k]
	return Position{group, p.topic, p.number, offsets[random.IntN(len(offsets))], k}
}

// Commit writes positions as the groups' committed offsets, from outside the
// groups, which must have no members.
func Commit(ctx context.Context, bootstrap string, positions []Position) error {
	client, err := newClient(bootstrap)
	if err != nil {
		return err
	}
	defer client.Close()
	byGroup := map[string]kadm.Offsets{}
	for _, p := range positions {
		offsets := byGroup[p.Group]
		offsets.AddOffset(p.Topic, p.Partition, p.At, -1)
		byGroup[p.Group] = offsets
	}
	admin := kadm.NewClient(client)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for name, offsets := range byGroup {
		group.Go(func() error {
			if err := admin.CommitAllOffsets(ctx, name, offsets); err != nil {
				return fmt.Errorf("commit offsets of group %s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// Groups lists the names in positions, each once.
func Groups(positions []Position) []string {
	var names []string
	for _, p := range positions {
		names = append(names, p.Group)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
