package repartition

import (
	"context"
	"fmt"
	"slices"

	"replicator/pkg/replicate/kafka"
	announce "replicator/pkg/versions"
)

// versions are the two versions of a topic that a command is about: as they are announced, and as they are there.
type versions struct {
	Options
	from, to *side
	view     announce.View
	source   topic            // the old version
	target   topic            // the new one
	next     announce.Version // as it was announced last; zero: never
}

// openVersions reads what is announced and what exists.
func openVersions(ctx context.Context, o Options) (*versions, error) {
	vs := &versions{Options: o}
	if vs.Say == nil {
		vs.Say = func(string, ...any) {}
	}
	if vs.reached == nil {
		vs.reached = func(string) error { return nil }
	}
	var err error
	if vs.from, err = openSide(ctx, o.From); err != nil {
		return nil, err
	}
	vs.to = vs.from
	if o.To.Name != o.From.Name {
		if vs.to, err = openSide(ctx, o.To); err != nil {
			vs.close()
			return nil, err
		}
	}
	if err := vs.read(ctx); err != nil {
		vs.close()
		return nil, err
	}
	return vs, nil
}

func (vs *versions) close() {
	vs.from.client.Close()
	if vs.to != nil && vs.to != vs.from {
		vs.to.client.Close()
	}
}

// sides are the clusters, each once.
func (vs *versions) sides() []*side {
	if vs.to == vs.from {
		return []*side{vs.from}
	}
	return []*side{vs.from, vs.to}
}

// read finds what is announced and what exists.
func (vs *versions) read(ctx context.Context) error {
	if err := vs.names(); err != nil {
		return err
	}
	for i, s := range vs.sides() {
		view, err := announce.Load(ctx, s.client, vs.Topic)
		if err != nil {
			return s.cfg.Explain(err)
		}
		if i == 0 {
			vs.view = view
			continue
		}
		for _, v := range view.Versions { // a run may have ended between the two clusters
			if known, ok := vs.view.Get(v.Version); !ok || further(v.State) > further(known.State) {
				vs.view = vs.view.With(v)
			}
		}
	}
	vs.next, _ = vs.view.Get(vs.ToVersion)
	var err error
	if vs.source, err = vs.physical(ctx); err != nil {
		return err
	}
	vs.target, err = vs.to.describe(ctx, vs.Topic+"."+vs.ToVersion)
	return err
}

func further(s announce.State) int {
	return slices.Index([]announce.State{announce.Preparing, announce.Switching, announce.Current, announce.Retired}, s)
}

func (vs *versions) names() error {
	from, to := announce.Number(vs.FromVersion), announce.Number(vs.ToVersion)
	wrong := ""
	switch {
	case from < 0 || to < 0:
		wrong = fmt.Sprintf("%q and %q: a version is v and a number", vs.FromVersion, vs.ToVersion)
	case from == to:
		wrong = fmt.Sprintf("%s and %s are the same version", vs.FromVersion, vs.ToVersion)
	case to < from:
		wrong = fmt.Sprintf("%s goes back from %s: readers take the highest version for the newest",
			vs.ToVersion, vs.FromVersion)
	}
	if wrong == "" {
		return nil
	}
	return &kafka.Problem{What: wrong, Fix: "name the version that is used as --from and a higher one as --to"}
}

// physical is the topic of the old version: as announced, else with the version in
// its name, else, for v0, plain.
func (vs *versions) physical(ctx context.Context) (topic, error) {
	if v, known := vs.view.Get(vs.FromVersion); known {
		return vs.from.describe(ctx, v.Physical)
	}
	versioned, err := vs.from.describe(ctx, vs.Topic+"."+vs.FromVersion)
	if err != nil || vs.FromVersion != "v0" {
		return versioned, err
	}
	plain, err := vs.from.describe(ctx, vs.Topic)
	if err != nil || !versioned.exists {
		return plain, err
	}
	if plain.exists {
		return topic{}, &kafka.Problem{
			What: fmt.Sprintf("both %s and %s exist, and nothing says which is v0", plain.name, versioned.name),
			Fix:  "see which of them applications use; name a version that is announced, or see that the other one is gone",
		}
	}
	return versioned, nil
}

// follows refuses another old version than the one whose ends are announced.
func (vs *versions) follows() error {
	if vs.next.From == vs.FromVersion {
		return nil
	}
	return &kafka.Problem{What: fmt.Sprintf("%s is current, and follows %s, not %s", vs.next.Key(), vs.next.From,
		vs.FromVersion), Fix: "name the version that it follows as --from"}
}

func (vs *versions) announce(ctx context.Context, v announce.Version) error {
	for _, s := range vs.sides() {
		if err := s.announce(ctx, v); err != nil {
			return err
		}
	}
	vs.Say("announced: %s is %s", v.Key(), v.State)
	return nil
}

// transactions is the id of the copier's transactions and the name of its group.
func (vs *versions) transactions() string { return progressPrefix + vs.Topic + "." + vs.ToVersion }

// oldEnd is where the old version ended, as announced.
func (vs *versions) oldEnd() announce.Offsets { return vs.next.Offsets[vs.from.id] }

// newBegin is where the new version begins, as announced.
func (vs *versions) newBegin() []int64 { return vs.next.Offsets[vs.to.id].Begins }
