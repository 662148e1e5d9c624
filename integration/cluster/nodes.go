package cluster

import (
	"errors"
	"strings"
	"sync"
)

// nodes are the brokers of one cluster.
type nodes struct {
	spec     *spec
	provider string
	brokers  []*broker
}

// open starts a cluster on fresh ports. Somebody else may take a port between
// our look and a broker's; then it is tried on others.
func open(p provider, s *spec) (*nodes, error) {
	if s.through != "" && s.brokers > 1 {
		return nil, errors.New("several brokers cannot be reached through one proxy")
	}
	if err := p.check(s.version); err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		n, err := openOnce(p, s)
		if err == nil {
			return n, nil
		}
		if attempt == 3 || !strings.Contains(err.Error(), "Address already in use") {
			return nil, err
		}
	}
}

func openOnce(p provider, s *spec) (_ *nodes, err error) {
	n := &nodes{spec: s, provider: p.name()}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	var held []*ports
	for range s.brokers {
		four, err := reserve(4)
		if err != nil {
			return nil, err
		}
		held = append(held, four)
		n.brokers = append(n.brokers, &broker{ports: four})
	}
	specs := s.forEach(held)
	var homes []*home
	for i, b := range n.brokers {
		b.spec = specs[i]
		if b.home, err = newHome(s); err != nil {
			return nil, err
		}
		homes = append(homes, b.home)
	}
	made, err := p.create(specs, homes)
	for i, one := range made {
		n.brokers[i].node = one
	}
	if err != nil {
		return nil, err
	}
	return n, n.start()
}

// start starts all brokers, in one turn: none of several answers before there is a
// majority of them.
func (n *nodes) start() error {
	turn, err := waitTurn()
	if err != nil {
		return err
	}
	defer turn.Close()
	errs := make([]error, len(n.brokers))
	var wg sync.WaitGroup
	for i, b := range n.brokers {
		wg.Go(func() { errs[i] = b.start() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// each does something to one broker after the other, to all of them whatever fails.
func (n *nodes) each(do func(*broker) error) error {
	var errs []error
	for _, b := range n.brokers {
		errs = append(errs, do(b))
	}
	return errors.Join(errs...)
}

func (n *nodes) close() error { return n.each((*broker).close) }

func (n *nodes) addresses(of func(*spec) string) string {
	var all []string
	for _, b := range n.brokers {
		all = append(all, of(b.spec))
	}
	return strings.Join(all, ",")
}

func (n *nodes) logs() string {
	var all strings.Builder
	for _, b := range n.brokers {
		all.WriteString(b.node.logs())
	}
	return all.String()
}
