// Package arch checks how the module is built: that imports point one way, that
// pure packages stay pure, and that functions, files and lines stay short.
//
// The central function is [Check]. It reads source text only, so it needs neither
// a build nor the module's dependencies. Its findings name file and line, and what
// to do. What it guarantees when it finds nothing:
//
//  1. a package imports only floors below its own, which floors.go lists: cmd, internal, pkg/operate/cutover,
//     pkg/replicate, the other verbs of pkg/operate, the rooms of pkg/replicate on several floors, pkg/offsets and
//     pkg/policy, from top to bottom;
//  2. packages of one floor never import each other, be they rooms, verbs or packages of internal/;
//  3. pkg/offsets, pkg/policy and pkg/replicate/partition hold no clock, goroutine, log, metric or context;
//  4. integration/judge shares nothing with what it judges;
//  5. nothing waits by sleeping;
//  6. no package has more than 3,000 lines, no type more than 20 methods.
//
// Tests are held to less: they may use helpers of internal/ and integration/, and
// be as long as their story is.
package arch

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits, in lines and characters.
const (
	maxFunction = 70  // lines, from func to the closing brace; not in tests
	maxFile     = 500 // lines; the aim is 300
	maxLine     = 120 // characters; a tab is one
)

// Finding is one thing to change.
type Finding struct {
	File string // slash-separated, from the module's root
	Line int    // 1 first
	What string // what is wrong
	Do   string // what to do
}

func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s; %s", f.File, f.Line, f.What, f.Do) }

// Check reads every Go file of the module below root and returns all findings.
// The error is one of reading or parsing.
func Check(root fs.FS, module string) ([]Finding, error) {
	var found []Finding
	total := newSizes()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if skipped(root, name) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parse(name, text, module)
		if err != nil {
			return err
		}
		found = append(found, f.check()...)
		total.add(f)
		return nil
	})
	return append(found, total.check()...), err
}

// skipped: directories that the go tool does not build, and modules of their own.
func skipped(root fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(root, dir+"/go.mod")
	return err == nil
}

// file is one source file, parsed.
type file struct {
	name   string
	pkg    string // directory, from the module's root
	module string
	test   bool
	text   []byte
	set    *token.FileSet
	tree   *ast.File
	found  []Finding
}

func parse(name string, text []byte, module string) (*file, error) {
	f := &file{name: name, pkg: path.Dir(name), module: module, test: strings.HasSuffix(name, "_test.go"), text: text,
		set: token.NewFileSet()}
	var err error
	f.tree, err = parser.ParseFile(f.set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	return f, err
}

func (f *file) check() []Finding {
	f.imports()
	f.sleeps()
	f.goroutines()
	if !ast.IsGenerated(f.tree) {
		f.lengths()
	}
	return f.found
}

func (f *file) add(line int, what, do string) {
	f.found = append(f.found, Finding{f.name, line, what, do})
}

func (f *file) line(at token.Pos) int { return f.set.Position(at).Line }

// imports checks each import by the floors and, in pure packages, by the list of
// what they may not know.
func (f *file) imports() {
	if _, known := placeOf(f.pkg); !known {
		f.add(f.line(f.tree.Package), f.pkg+" is no room of the house",
			"put the package where the others of its kind are, or give its directory a floor in internal/arch/floors.go")
		return
	}
	for _, spec := range f.tree.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has accepted it: cannot happen
		}
		what, do := "", ""
		if inside, ok := strings.CutPrefix(name, f.module+"/"); ok {
			what, do = arrow(f.pkg, inside, f.test, f.test && strings.HasSuffix(f.tree.Name.Name, "_test"))
		} else if isPure(f.pkg) && !f.test {
			what, do = impure(name)
		}
		if what != "" {
			f.add(f.line(spec.Pos()), f.pkg+" imports "+name+": "+what, do)
		}
	}
}

// sleeps finds time.Sleep, under whatever name time is imported.
func (f *file) sleeps() {
	local := ""
	for _, spec := range f.tree.Imports {
		if spec.Path.Value == `"time"` {
			local = "time"
			if spec.Name != nil {
				local = spec.Name.Name
			}
		}
	}
	if local == "." {
		f.add(f.line(f.tree.Package), "time is imported as dot", "import it by its name, so that a sleep can be seen")
	}
	if local == "" {
		return
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				f.add(f.line(s.Pos()), "time.Sleep",
					"wait for the thing itself: a channel, or a ticker with a deadline that looks for it")
			}
		}
		return true
	})
}

// goroutines finds go statements in pure packages.
func (f *file) goroutines() {
	if !isPure(f.pkg) || f.test {
		return
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			f.add(f.line(g.Pos()), f.pkg+" starts a goroutine", "let the caller do so: this package is pure")
		}
		return true
	})
}

// lengths checks lines, the file, and its functions.
func (f *file) lengths() {
	n := 0
	scan := bufio.NewScanner(bytes.NewReader(f.text))
	scan.Buffer(nil, len(f.text)+1)
	for scan.Scan() {
		n++
		if got := utf8.RuneCount(scan.Bytes()); got > maxLine {
			f.add(n, fmt.Sprintf("a line of %d characters", got), fmt.Sprintf("break it at %d", maxLine))
		}
	}
	if n > maxFile {
		f.add(n, fmt.Sprintf("a file of %d lines", n), fmt.Sprintf("split it by subject; %d is the end", maxFile))
	}
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || f.test {
			continue
		}
		if got := f.line(fn.End()) - f.line(fn.Pos()) + 1; got > maxFunction {
			f.add(f.line(fn.Pos()), fmt.Sprintf("function %s has %d lines", fn.Name.Name, got),
				fmt.Sprintf("give its steps names of their own; %d is the end", maxFunction))
		}
	}
}
