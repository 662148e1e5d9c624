package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"replicator/internal/config"
)

var man = flag.String("man", "", "the folder to keep the manual pages in, which packages are made from")

// Each verb has a manual page, and so has the configuration file. The generator is of use to tests alone: the program
// does not link it.
func TestManualPages(t *testing.T) {
	dir := *man
	if dir == "" {
		dir = t.TempDir()
	}
	root := newRoot(os.Stdout, os.Stderr)
	root.DisableAutoGenTag = true
	if err := doc.GenManTree(root, &doc.GenManHeader{Source: "replicator", Manual: "Replicator Manual"}, dir); err != nil {
		t.Fatal(err)
	}
	page := &cobra.Command{Use: "replicator-config",
		Short: "The configuration file: every key, its default and its meaning",
		// Indented, it is no text to be set but an example.
		Long: "    " + strings.ReplaceAll(config.Reference(), "\n", "\n    ")}
	page.DisableAutoGenTag = true
	var out bytes.Buffer
	header := doc.GenManHeader{Section: "5", Source: "replicator", Manual: "Replicator Manual"}
	if err := doc.GenMan(page, &header, &out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "replicator-config.5"), out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"replicator.1": "replicator", "replicator-run.1": "until-caught-up", "replicator-completion-bash.1": "bash",
		"replicator-config.5": "exclude_topics",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(strings.ReplaceAll(string(text), `\-`, "-"), want) {
			t.Errorf("%s does not tell of %q", name, want)
		}
	}
}
