package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the documents for people: those at the root and all below docs, with their text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../*.md")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}

var (
	linkTo    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	inNoLabel = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// hasHeading says whether a page has the heading that a link's #label names.
func hasHeading(text, label string) bool {
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(inNoLabel.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-") == label {
			return true
		}
	}
	return false
}

// Every link from a page to a file of ours, and to a heading in it, leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	texts, links := pages(t), 0
	for path, text := range texts {
		for _, found := range linkTo.FindAllStringSubmatch(text, -1) {
			name, label, labelled := strings.Cut(found[1], "#")
			if strings.Contains(name, "://") {
				continue
			}
			links++
			to := path
			if name != "" {
				to = filepath.Join(filepath.Dir(path), name)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which is not there", path, found[1])
			} else if labelled && !hasHeading(texts[to], label) {
				t.Errorf("%s links to %s, and %s has no such heading", path, found[1], to)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

// A decision is short, has its three parts, and a line in the index.
func TestDecisionsAreOnePageEach(t *testing.T) {
	texts := pages(t)
	index, number := texts["../../docs/decisions/README.md"], map[string]string{}
	for path, text := range texts {
		name := filepath.Base(path)
		if filepath.Base(filepath.Dir(path)) != "decisions" || name == "README.md" {
			continue
		}
		if other := number[name[:3]]; other != "" {
			t.Errorf("%s and %s have one number", name, other)
		}
		number[name[:3]] = name
		if !strings.HasPrefix(text, "# "+name[:3]+": ") {
			t.Errorf("%s does not begin with its number, as # %s: and a title", name, name[:3])
		}
		if words := len(strings.Fields(strings.ReplaceAll(text, "|", " "))); words > 400 {
			t.Errorf("%s has %d words; a decision is at most 400 long", name, words)
		}
		for _, part := range []string{"\n## Context\n", "\n## Decision\n", "\n## Consequences\n"} {
			if strings.Count(text, part) != 1 {
				t.Errorf("%s has no part %q of its own", name, strings.TrimSpace(part))
			}
		}
		if strings.Count(index, "("+name+")") != 1 {
			t.Errorf("docs/decisions/README.md does not name %s once", name)
		}
	}
	if len(number) < 30 {
		t.Errorf("only %d decisions were found", len(number))
	}
}
