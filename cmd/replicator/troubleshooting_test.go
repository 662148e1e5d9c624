package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// said is how docs/troubleshooting.md names each error that has a remedy; errors whose
// message stands in another one's, and those of the demo, are noted as such.
var said = map[string]string{
	"belowError":    "a record was written at offset",
	"SettingsError": "would set the settings of topics", "LostLedgerError": "is gone, or another one by now",
	"CircleError": "records would go in a circle", "ClosedError": "is closed: a rollback is under way",
	"Damage": "does not fit together", "DamagedError": "of the offset map", "SegmentError": "of the offset map",
	"StretchError": "of the offset map", "RunError": "of the offset map", "VersionError": "format version",
	"IdentityError": "belongs to another flow", "InternalTopicError": "cannot be made or written to",
	"Match": "matches no topic of", "EmptyPatternError": "matches no topic of",
	"MissingError":    "has no committed record at",
	"NoTopicIDsError": "gives its topics no ids",
	"NotLedgerError":  "a record that is none of a ledger",
	"NamesInUseError": "is still run as", "NotCarriedError": "cannot be carried over to both client libraries",
	"Outlived": "was too slow for a transaction, which was not done", "RefusedError": "it would be refused: step",
	"RenamedError": "holds the same copy", "RenewedError": "certificates or passwords were renewed",
	"SameClusterError": "source and target are the same cluster", "ShardsError": "the configuration asks for",
	"TooShortError": "needs transactions of", "UnfinishedError": "everything else was copied, but",
	"UnknownClaimsError": "which records came from the target is not known",
	"UnknownFlowError":   "the configuration has no flow",
	"Unreadable":         "a source position cannot be read", "WaitingError": "is not done:",
	"differentError": "incomplete", "existsError": "exists, and no file is overwritten",
	"notReadyError": "is not ready for a failover",
	"keyError":      "holds no key in PEM", "signatureError": "is not what was signed",
	"keptError": "is kept:", "placeError": "is kept:", "notPutBack": "what was there before keeps less",
	"OneWayError": "shared groups in a one-way flow", "SharedOtherwiseError": "names other shared groups",
	"targetAway":  "it is the target, and keeps the ledger",
	"NeverError":  "it does not come by waiting:",
	"NotYetError": "not in time:", "InterruptedError": "interrupted", "UsageError": "exit code 2",
	"Problems": "problems", "ForeignMembersError": "is that of another flow now", "EmptyFlowError": "selects no topic of",
	"Alike":   "",                                           // as the Stops are that it puts together
	"Problem": "", "Stop": "", "Error": "", "TopicStop": "", // their text is told by the rows of what makes them
	"DifferenceError": "", "LateError": "", // of the demo
}

// The page has a row for each state, each reason of a stopped partition, each alert, and
// each error that has a remedy.
func TestTroubleshootingIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	has := func(what, word string) {
		t.Helper()
		if !strings.Contains(page, word) {
			t.Errorf("docs/troubleshooting.md lacks %q (%s)", word, what)
		}
	}
	rows := regexp.MustCompile(`(?m)^\|.*$`).FindAllString(page, -1)
	for _, row := range rows {
		if cells := strings.Count(strings.ReplaceAll(row, `\|`, ""), "|"); cells != 4 {
			t.Errorf("a row has %d columns, want 3: %s", cells-1, row)
		}
	}
	states := slices.Concat(constants(t, "../../pkg/replicate/chunk", "Stop"),
		typed(t, "../../pkg/replicate/groups", "Kind"),
		typed(t, "../../pkg/replicate/partition", "Phase"), typed(t, "../../pkg/operate/verify", "Verdict"))
	for _, state := range states {
		has("a state", "`"+state+"`")
	}
	if len(states) < 25 {
		t.Errorf("only %d states were found: %v", len(states), states)
	}
	alerts, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(alerts), -1) {
		has("an alert", "`"+name[1]+"`")
	}
	for _, name := range withRemedy(t) {
		phrase, known := said[name]
		if !known {
			t.Errorf("%s has a remedy: give it a row in docs/troubleshooting.md, and say here which", name)
		}
		has(name, phrase)
	}
}

// source parses the files of a folder that are no tests.
func source(t *testing.T, dir string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// each calls back with every constant of a folder that is a text: its name, its type as
// written or "", and its value.
func each(t *testing.T, dir string, call func(name, kind, value string)) {
	t.Helper()
	for _, file := range source(t, dir) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			kind, _ := spec.Type.(*ast.Ident)
			for i, value := range spec.Values {
				literal, ok := value.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING || i >= len(spec.Names) {
					continue
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				name := ""
				if kind != nil {
					name = kind.Name
				}
				call(spec.Names[i].Name, name, text)
			}
			return true
		})
	}
}

var stateWord = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// constants are the values of a folder's exported constants whose names begin so, those
// that are words.
func constants(t *testing.T, dir, prefix string) []string {
	var values []string
	each(t, dir, func(name, kind, value string) {
		if kind == "" && strings.HasPrefix(name, prefix) && ast.IsExported(name) && stateWord.MatchString(value) {
			values = append(values, value)
		}
	})
	return values
}

// typed are the values of a folder's constants of one type.
func typed(t *testing.T, dir, kind string) []string {
	var values []string
	each(t, dir, func(_, of, value string) {
		if of == kind {
			values = append(values, value)
		}
	})
	return values
}

// withRemedy lists the types of the program that have a method Remedy.
func withRemedy(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, root := range []string{"..", "../../pkg", "../../internal"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() || entry.Name() == "testdata" {
				return err
			}
			for _, file := range source(t, path) {
				for _, d := range file.Decls {
					f, ok := d.(*ast.FuncDecl)
					if !ok || f.Name.Name != "Remedy" || f.Recv == nil || len(f.Type.Params.List) > 0 {
						continue
					}
					of := f.Recv.List[0].Type
					if pointer, ok := of.(*ast.StarExpr); ok {
						of = pointer.X
					}
					names[of.(*ast.Ident).Name] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
