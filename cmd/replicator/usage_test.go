package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"replicator/cmd/replicator/line"
	"replicator/internal/config"
	"replicator/internal/httpserver"
	"replicator/internal/page"
)

func TestBadUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	text := "clusters:\n  old: {bootstrap.servers: \"a:1\"}\nflows:\n  - from: old\n    to: nowhere\n    shrads: 3\n"
	if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want string // in the errors
	}{
		{"fly", `error: unknown command "fly" for "replicator"`},
		{"run", `error: required flag(s) "config" not set`},
		{"run -c " + w.config + " --nonsense", "error: unknown flag: --nonsense"},
		{"run -c " + w.config + " more", `error: unknown command "more" for "replicator run"`},
		{"run -c /nowhere.yaml", "error: /nowhere.yaml: 1 problem\n  cannot be read"},
		{"run -c " + bad, "line 6  flows[0].shrads: is not a key; did you mean shards?"},
		{"check -c " + bad, `flows[0].to: "nowhere" is not among the clusters: old`},
		{"status -c " + bad, "2 problems"},
		{"status -c " + w.config + " --flow new->old", `error: the configuration has no flow "new->old"`},
		{"offsets -c " + w.config, `error: required flag(s) "at", "partition", "topic" not set`},
		{"offsets -c " + w.config + " --topic t --partition 0 --at -1", "error: --partition and --at count from 0"},
		{"offsets -c " + w.config + " --topic t --partition x --at 1", `invalid argument "x"`},
	} {
		got := command(w.ctx, strings.Fields(c.args)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, c.want) || !strings.Contains(got.stderr, "\nremedy: ") {
			t.Errorf("%s: exit %d, want %d with %q and a remedy\n%s", c.args, got.code, exitUsage, c.want, got.stderr)
		}
		if got.stdout != "" {
			t.Errorf("%s prints %q", c.args, got.stdout)
		}
	}
}

func TestUnreachableCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, nowhere := w.target.Address(), "127.0.0.1:1"
	for _, c := range []struct{ cluster, config string }{
		{"old", w.write(nowhere, good)}, {"new", w.write(good, nowhere)},
	} {
		for _, args := range []string{
			"check --connect", "status", "status --json", "offsets --topic t --partition 0 --at 1",
		} {
			w.config = c.config
			got := w.run(strings.Fields(args)...)
			want := "error: flow old->new: cluster " + c.cluster + " (127.0.0.1:1) cannot be reached"
			if got.code != exitFailed || !strings.Contains(got.stderr, want) ||
				!strings.Contains(got.stderr, "\nremedy: check that the brokers in clusters."+c.cluster) {
				t.Errorf("%s without %s: exit %d, want %d with %q and a remedy\n%s", args, c.cluster, got.code, exitFailed,
					want, got.stderr)
			}
		}
	}
}

func TestCheckOffline(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"minimal", "migration", "disaster-recovery"} {
		got := command(t.Context(), "check", "-c", filepath.Join("..", "..", "configs", name+".yaml"))
		if got.code != exitDone || !strings.Contains(got.stdout, " is valid: ") ||
			!strings.Contains(got.stdout, "  ledger    ") || strings.Contains(got.stdout, "note: ") {
			t.Errorf("check of %s: exit %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
	}
}

// Properties without effect in the lane that is used are named, and accepted.
func TestCheckNamesWhatHasNoEffect(t *testing.T) {
	t.Parallel()
	text := `clusters:
  old: {bootstrap.servers: "a:1", fetch.min.bytes: 9, client.id: me}
  new: {bootstrap.servers: "b:1", linger.ms: 20, batch.size: 9000, socket.timeout.ms: 5000}
flows:
  - {from: old, to: new%s}
`
	noEffect := "; without effect in the batch lane, on old->new"
	for flow, want := range map[string][]string{
		"": {
			"note: cluster new: only the record lane copies by batch.size, linger.ms" + noEffect,
			"note: cluster old: only the record lane copies by fetch.min.bytes" + noEffect,
		},
		", lane: record":            nil,
		", delivery: at_least_once": nil,
	} {
		path := filepath.Join(t.TempDir(), "replicator.yaml")
		if err := os.WriteFile(path, fmt.Appendf(nil, text, flow), 0o600); err != nil {
			t.Fatal(err)
		}
		got := command(t.Context(), "check", "-c", path)
		said := strings.Join(strings.Fields(got.stdout), " ")
		for _, note := range want {
			if !strings.Contains(said, note) {
				t.Errorf("flow%s: check does not say %q:\n%s", flow, note, got.stdout)
			}
		}
		if n := strings.Count(got.stdout, "note: "); got.code != exitDone || n != len(want) {
			t.Errorf("flow%s: exit %d with %d notes, want %d\n%s%s", flow, got.code, n, len(want), got.stdout, got.stderr)
		}
	}
}

// words splits a command line as a shell would, as far as the examples go.
func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		list = append(list, strings.Fields(part)...)
	}
	return list
}

// Every verb shows how it is used, and what it shows can be typed.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, cmd := range all(newRoot(io.Discard, io.Discard)) {
		if !cmd.Runnable() {
			continue // a page of help, or a verb that only holds others
		}
		help := command(t.Context(), append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if help.code != exitDone || !strings.Contains(help.stdout, "Examples:\n  replicator ") {
			t.Errorf("%s --help: exit %d, without an example:\n%s%s", cmd.CommandPath(), help.code, help.stdout, help.stderr)
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			line, _, _ = strings.Cut(line, " > ")
			if why := parses(words(line)); why != nil {
				t.Errorf("the example %q of %s: %v", line, cmd.CommandPath(), why)
			}
		}
	}
}

// parses carries a command line out up to the point where it would begin.
func parses(args []string) error {
	root := newRoot(io.Discard, io.Discard)
	var found *cobra.Command
	for _, cmd := range all(root) {
		if cmd.RunE != nil || cmd.Run != nil {
			cmd.Run, cmd.RunE = nil, func(cmd *cobra.Command, _ []string) error { found = cmd; return nil }
		}
	}
	root.SetArgs(args[1:])
	if err := root.Execute(); err != nil {
		return err
	}
	if want := "replicator " + args[1]; found == nil || !strings.HasPrefix(found.CommandPath(), want) {
		return errNotCarriedOut
	}
	return nil
}

var errNotCarriedOut = errors.New("another verb would be carried out, or none")

func TestExamplesAreCheckedIndeed(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"replicator run", "replicator status -c f --jsom", "replicator fly", "replicator version -c f",
	} {
		if parses(words(line)) == nil {
			t.Errorf("%q parses", line)
		}
	}
}

func TestHelpTellsTheConfiguration(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"help", "config"}, {"check", "--help"}} {
		got := command(t.Context(), args...)
		for _, line := range strings.Split(strings.TrimSpace(config.Reference()), "\n") {
			if !strings.Contains(got.stdout, line) {
				t.Errorf("%v does not hold %q", args, line)
			}
		}
	}
	for _, verb := range []string{"", "run", "check", "status", "offsets"} {
		got := command(t.Context(), append(strings.Fields(verb), "--help")...)
		if !strings.Contains(got.stdout, line.ExitCodes) {
			t.Errorf("%s --help does not tell the exit codes", verb)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := command(t.Context(), "version")
	for _, want := range []string{"replicator ", "commit ", "go         go1.", "librdkafka 2.11.1"} {
		if got.code != exitDone || !strings.Contains(got.stdout, want) {
			t.Errorf("version: exit %d, %q has no %q", got.code, got.stdout, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := command(t.Context(), "completion", shell)
		if got.code != exitDone || !strings.Contains(got.stdout, "replicator") {
			t.Errorf("completion %s: exit %d\n%s", shell, got.code, got.stderr)
		}
	}
}

// What check announces is served.
func TestCheckAnnouncesPagesThatAreServed(t *testing.T) {
	t.Parallel()
	got := command(t.Context(), "check", "-c", filepath.Join("..", "..", "configs", "minimal.yaml"))
	_, line, found := strings.Cut(got.stdout, "a page at http://")
	if got.code != exitDone || !found {
		t.Fatalf("exit %d, nothing is announced\n%s%s", got.code, got.stdout, got.stderr)
	}
	served, err := httpserver.Serve(httpserver.Options{Listen: "127.0.0.1:0", Metrics: newRegistry(),
		Ready: func() error { return nil }, Page: page.New(page.Options{}).Handler(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	announced := regexp.MustCompile(`/[a-z]*`).FindAllString(line, -1)
	if len(announced) != 4 {
		t.Errorf("announced: %v in %q", announced, line)
	}
	for _, path := range announced {
		answer, err := http.Get("http://" + served.Addr.String() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("%s is announced, and answers %s", path, answer.Status)
		}
	}
}

// Who would answer other machines, whoever asks, is warned; one who says who may ask is not.
func TestCheckWarnsOfAnOpenPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "minimal.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	logins := filepath.Join(dir, "web.yaml")
	for name, text := range map[string]string{
		"web.yaml":     "basic_auth_users: {reader: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi}\n",
		"open.yaml":    string(text) + "\nhttp: {listen: \":9642\"}\n",
		"guarded.yaml": string(text) + "\nhttp: {listen: \":9642\", web_config: \"" + logins + "\"}\n",
		"here.yaml":    string(text),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"open.yaml": true, "guarded.yaml": false, "here.yaml": false} {
		got := command(t.Context(), "check", "-c", filepath.Join(dir, name))
		if got.code != exitDone || strings.Contains(got.stdout, "warning: whoever reaches :9642") != want {
			t.Errorf("%s: exit %d\n%s%s", name, got.code, got.stdout, got.stderr)
		}
		got = command(t.Context(), "check", "--json", "-c", filepath.Join(dir, name))
		if strings.Contains(got.stdout, `"http_open": true`) != want {
			t.Errorf("%s: %s", name, got.stdout)
		}
	}
}
