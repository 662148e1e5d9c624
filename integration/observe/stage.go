package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// options say what is shown.
type options struct {
	program    string // replicator's
	prometheus string // its program; "" for none
	dir        string // for what they write
	deploy     string // where alerts and rules lie
	scrape     time.Duration
}

// stage is all that runs.
type stage struct {
	old, new   *side
	config     string // of the daemons
	replicas   []*process
	prometheus *process // nil: none is installed
	end        context.CancelFunc
}

var (
	daemonServes     = regexp.MustCompile(`http=(127\.0\.0\.1:\d+)`)
	prometheusServes = regexp.MustCompile(`msg="Listening on".* address=(127\.0\.0\.1:\d+)`)
)

// set starts everything, and returns when all of it answers; nothing is left where it fails.
func set(ctx context.Context, o options) (_ *stage, err error) {
	ctx, end := context.WithCancel(ctx)
	s := &stage{end: end, config: filepath.Join(o.dir, "site.yaml")}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.old, err = newSide("old"); err != nil {
		return nil, err
	}
	if s.new, err = newSide("new"); err != nil {
		return nil, err
	}
	if err := s.old.prepare(ctx); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("clusters:\n  old: {bootstrap.servers: %q}\n  new: {bootstrap.servers: %q}\nflows:\n"+
		"  - {from: old, to: new, refresh_interval: 1s}\nhttp: {listen: \"127.0.0.1:0\"}\n", s.old.address, s.new.address)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	for i := range 2 {
		r, err := start(ctx, filepath.Join(o.dir, fmt.Sprintf("replica-%d.log", i+1)), daemonServes, o.program, "run", "-c",
			s.config)
		if err != nil {
			return nil, err
		}
		s.replicas = append(s.replicas, r)
	}
	if o.prometheus != "" {
		if s.prometheus, err = s.startPrometheus(ctx, o); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// startPrometheus starts one that scrapes both replicas, with the alerts and rules that are shipped.
func (s *stage) startPrometheus(ctx context.Context, o options) (*process, error) {
	var targets []string
	for _, r := range s.replicas {
		targets = append(targets, r.address)
	}
	deploy, err := filepath.Abs(o.deploy)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("global: {scrape_interval: %s, evaluation_interval: %s}\n"+
		"rule_files: [%q, %q]\nscrape_configs:\n  - {job_name: replicator, static_configs: [{targets: [%s]}]}\n",
		o.scrape, o.scrape, deploy+"/alerts.yaml", deploy+"/rules.yaml", strings.Join(targets, ", "))
	path := filepath.Join(o.dir, "prometheus.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, filepath.Join(o.dir, "prometheus.log"), prometheusServes, o.prometheus, "--config.file="+path,
		"--storage.tsdb.path="+filepath.Join(o.dir, "prometheus"), "--web.listen-address=127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx, "http://"+p.address+"/-/ready")
}

// play keeps the traffic going until ctx is done or something ends by itself; then all of it has ended.
func (s *stage) play(ctx context.Context) error {
	defer s.close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.old.traffic(ctx) })
	group.Go(func() error { return s.new.losesUnread(ctx) })
	for _, p := range append([]*process{s.prometheus}, s.replicas...) {
		if p != nil {
			group.Go(func() error { return p.lasts(ctx) })
		}
	}
	return group.Wait()
}

// close ends all that runs, and waits for it.
func (s *stage) close() {
	s.end()
	for _, p := range append([]*process{s.prometheus}, s.replicas...) {
		if p != nil {
			<-p.ended
		}
	}
	for _, c := range []*side{s.old, s.new} {
		if c != nil {
			c.close()
		}
	}
}
