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

var (
	pathOfOurs = regexp.MustCompile("`((?:pkg|cmd|internal|integration|deploy|configs|docs)/[^` ]*|[a-z][a-z0-9_]*\\.go)`")
	pageInCode = regexp.MustCompile(`//.*?\b(docs/[A-Za-z0-9_/-]+\.md)`)
	anyOf      = regexp.MustCompile(`^(.*)\{(.*)\}(.*)$`)
	inCapitals = regexp.MustCompile(`^[A-Z]+\.go$`) // VERB.go stands for each verb's
)

// Every path that a page names, and every page that a comment names, is there. A file's name alone is that of a file
// somewhere.
func TestPathsLeadSomewhere(t *testing.T) {
	files := map[string]bool{} // names of all Go files
	named := map[string][]string{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		files[filepath.Base(path)] = true
		text, err := os.ReadFile(path)
		for _, found := range pageInCode.FindAllSubmatch(text, -1) {
			named[path] = append(named[path], string(found[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range pages(t) {
		if filepath.Base(path) == "CHANGELOG.md" { // what was
			continue
		}
		for _, found := range pathOfOurs.FindAllStringSubmatch(text, -1) {
			named[path] = append(named[path], found[1])
		}
	}
	for by, names := range named {
		for _, name := range names {
			for _, path := range pathsOf(name) {
				found, err := filepath.Glob(filepath.Join("../..", path))
				if err != nil || len(found) == 0 && !files[path] && !inCapitals.MatchString(filepath.Base(path)) {
					t.Errorf("%s names %s, which is not there", by, path)
				}
			}
		}
	}
}

// nameOfOurs is `package.Name` or `Type.Method`; settings of Kafka, such as `retention.ms`, have no capitals.
var (
	nameOfOurs = regexp.MustCompile("`([A-Za-z]+)\\.([A-Za-z]+)`")
	declared   = regexp.MustCompile(`(?m)^(?:package|type|func|func \([^)]*\)|\t*) *([A-Za-z]\w*)\b`)
)

// Every name of the code that a page has in backticks is declared in the package, or beside the type, that it names.
func TestNamesOfTheCodeAreThere(t *testing.T) {
	in := map[string]map[string]bool{} // by package: what it declares; a package declares its own name
	err := filepath.WalkDir("../../pkg", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir := filepath.Dir(path)
		if in[dir] == nil {
			in[dir] = map[string]bool{}
		}
		for _, found := range declared.FindAllStringSubmatch(read(t, path), -1) {
			in[dir][found[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	there := func(of, name string) bool {
		for _, names := range in {
			if names[of] && names[name] {
				return true
			}
		}
		return false
	}
	count := 0
	for path, text := range pages(t) {
		for _, found := range nameOfOurs.FindAllStringSubmatch(text, -1) {
			if found[0] == strings.ToLower(found[0]) || filepath.Base(path) == "CHANGELOG.md" || found[2] == "md" {
				continue // it has no capital, or is what was, or a page
			}
			if count++; !there(found[1], found[2]) {
				t.Errorf("%s names %s, which the code has not", path, found[0])
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d names of the code were found", count)
	}
}

// The table of rooms names every one.
func TestRoomsAreInTheTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]bool{}
	for _, found := range pathOfOurs.FindAllStringSubmatch(string(text), -1) {
		for _, path := range pathsOf(found[1]) {
			table[path] = true
		}
	}
	for _, dir := range []string{"pkg", "pkg/operate", "pkg/replicate", "internal", "cmd"} {
		inside, err := os.ReadDir(filepath.Join("../..", dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range inside {
			path := dir + "/" + one.Name()
			if one.IsDir() && one.Name() != "testdata" && path != "pkg/operate" && !table[path] {
				t.Errorf("the table of rooms in docs/ARCHITECTURE.md lacks %s", path)
			}
		}
	}
}

// pathsOf are the paths that a page names in one, as pkg/{offsets,policy}.
func pathsOf(name string) []string {
	parts := anyOf.FindStringSubmatch(name)
	if parts == nil {
		return []string{name}
	}
	var paths []string
	for one := range strings.SplitSeq(parts[2], ",") {
		paths = append(paths, parts[1]+one+parts[3])
	}
	return paths
}
