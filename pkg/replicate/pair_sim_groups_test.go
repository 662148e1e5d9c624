package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// simApp is an application, whose group has one consumer at most. A shared one runs on either side, now here, now
// there; one that is not keeps to its home.
type simApp struct {
	group string
	home  *simSite // nil: it is shared
	at    *simSite // where it runs; nil: nowhere
	// read is what it has read, on either side; true as long as positions tell of it. Those of a lost topic tell nothing.
	read   map[simPartition]map[string]bool
	client *kgo.Client
}

// simShared is what the names of shared groups match.
const simShared = "shared-.*"

// newApps makes two that are shared, and one that is not.
func (s *pairSim) newApps() {
	for i := range 2 {
		s.apps = append(s.apps, &simApp{group: fmt.Sprintf("shared-%d", i)})
	}
	s.apps = append(s.apps, &simApp{group: "plain", home: s.site()})
	for _, a := range s.apps {
		a.read = map[simPartition]map[string]bool{}
		s.T.Cleanup(func() { s.ends(a) })
	}
}

// uses has applications start, read and stop.
func (s *pairSim) uses() {
	for range 1 + s.rand.IntN(3) {
		a, site, records, stops := s.apps[s.rand.IntN(len(s.apps))], s.site(), 1+s.rand.IntN(25), s.rand.IntN(2) == 0
		if a.at == nil {
			if a.home != nil {
				site = a.home
			}
			s.begins(a, site)
		}
		s.reads(a, records)
		if stops {
			s.ends(a)
		}
	}
}

func (s *pairSim) begins(a *simApp, site *simSite) {
	s.say("%s starts on %s", a.group, site.name)
	client, err := kgo.NewClient(kgo.SeedBrokers(site.cluster.ListenAddrs()...), kgo.ConsumerGroup(a.group),
		kgo.ConsumeTopics(s.names...), kgo.DisableAutoCommit(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(20*time.Millisecond),
		kgo.FetchMaxWait(50*time.Millisecond))
	s.Must("open", err)
	a.at, a.client = site, client
}

// ends has it leave its group.
func (s *pairSim) ends(a *simApp) {
	if a.at == nil {
		return
	}
	s.say("%s stops on %s", a.group, a.at.name)
	a.client.Close()
	a.at, a.client = nil, nil
}

// reads has it read about so many records, at least one that began on its side if there is any, and commit.
func (s *pairSim) reads(a *simApp, records int) {
	patience := 50 * time.Millisecond
	if s.unread(a) {
		patience = simPatience
	}
	ctx, cancel := context.WithTimeout(s.Ctx, patience)
	defer cancel()
	read := 0
	for read < records && ctx.Err() == nil {
		fetched := a.client.PollRecords(ctx, records-read).Records()
		if len(fetched) == 0 {
			continue
		}
		s.Await(a.group+" commits", func() bool { return a.client.CommitRecords(s.Ctx, fetched...) == nil })
		for _, r := range fetched {
			p := simPartition{r.Topic, r.Partition}
			if a.read[p] == nil {
				a.read[p] = map[string]bool{}
			}
			a.read[p][simText(r)] = true
		}
		read += len(fetched)
		if !s.unread(a) {
			break
		}
	}
	s.say("%s reads %d records", a.group, read)
}

// unread says that the side on which it runs has records of its own that it has not read: they will come.
func (s *pairSim) unread(a *simApp) bool {
	for p, written := range a.at.written {
		for _, text := range written {
			if _, read := a.read[p][text]; !read {
				return true
			}
		}
	}
	return false
}

// stand says whether groups stand right: none behind a record that it has not read, and the idle ones at the first of
// those that they have not read.
func (s *pairSim) stand(logs map[*simSite]map[simPartition][]simRecord) error {
	for _, a := range s.apps {
		for _, site := range s.sites {
			at, err := s.positions(a, site)
			if err != nil {
				return err
			}
			for p, log := range logs[site] {
				if err := a.stands(p, log, at[p], site); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// positions are what it has committed on a side.
func (s *pairSim) positions(a *simApp, site *simSite) (map[simPartition]int64, error) {
	ctx, cancel := context.WithTimeout(s.Ctx, simPatience/9)
	defer cancel()
	committed, err := site.admin.FetchOffsets(ctx, a.group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("positions of %s on %s: %w", a.group, site.name, err)
	}
	at := map[simPartition]int64{}
	for topic, partitions := range committed {
		for number, o := range partitions {
			if o.Err != nil {
				return nil, fmt.Errorf("positions of %s on %s: %w", a.group, site.name, o.Err)
			}
			at[simPartition{topic, number}] = o.At
		}
	}
	return at, nil
}

// stands holds one of its positions against what it has read.
func (a *simApp) stands(p simPartition, log []simRecord, at int64, site *simSite) error {
	told := true // of all before this one
	for _, r := range log {
		tells, read := a.read[p][r.text]
		if r.offset < at && !read {
			return fmt.Errorf("%w: %s stands at %d in %s on %s, and has not read %s at %d", errSimWrong, a.group, at, p,
				site.name, r.text, r.offset)
		}
		told = told && tells
		if r.offset >= at && told && a.at != site {
			return fmt.Errorf("%s stands at %d in %s on %s, and would read %s at %d again", a.group, at, p, site.name,
				r.text, r.offset)
		}
	}
	return nil
}

// forgets: what stood before a position that is lost with its topic is told by the position on the other side alone.
func (s *pairSim) forgets(topics []string, other *simSite) {
	for _, a := range s.apps {
		at, err := s.positions(a, other)
		s.Must("fetch positions", err)
		for _, topic := range topics {
			for number := range s.partitions[topic] {
				p := simPartition{topic, int32(number)}
				log, _, err := simRead(s.Ctx, other.bootstrap, p, 0)
				s.Must("read", err)
				for _, r := range log {
					if tells := a.read[p][r.text]; tells && r.offset >= at[p] {
						a.read[p][r.text] = false
					}
				}
			}
		}
	}
}
