package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// commented is the Go code of one directory, tests among it.
type commented struct {
	files    map[string]*ast.File
	declares map[string]bool // Name, and Type.Name for methods and fields
}

// packages are those that a comment may name, by the last part of their paths.
type packages struct {
	ours     map[string][]*commented // of the module; several may have one name
	imported map[string]bool         // by any of its files
}

// TestCommentsNameWhatIsThere: after a rename a comment may go on naming what is gone, and who reads looks for it in
// vain.
func TestCommentsNameWhatIsThere(t *testing.T) {
	found, err := misnamed(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

func TestMisnamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"// Copy copies.\nfunc Copy() {}", ""},
		{"// A Copy is one.\ntype Copy int", ""},
		{"// The Copy's use.\ntype Copy int", ""},
		{"// Move copies.\nfunc Copy() {}", "x.go:3: the comment of Copy begins with Move"},
		{"func Copy() {}", "x.go:3: Copy has no comment"},
		{"// copy copies.\nfunc (c one) Copy() {}", "x.go:3: the comment of Copy begins with copy"},
		{"func (c one) String() string { return \"\" }", ""},
		{"func copied() {}", ""},
		{"// move copies.\nfunc copied() {}", "the comment of copied begins with move"},
		{"// Many are all.\nconst (\n\tOne = 1\n\tTwo = 2\n)", ""},
		{"// One is the first.\nconst One = 1", ""},
		{"// One is the first.\nconst First = 1", "the comment of First begins with One"},
		{"// Copy, see [Gone], copies.\nfunc Copy() {}", "x.go:3: there is no [Gone]"},
		{"// Copy is like [Copy.Done] and [Copy.At].\ntype Copy struct{ At int }", "no [Copy.Done]"},
		{"// see [other.Thing] and [other.Gone]", "no [other.Gone]"},
		{"// see [fmt.Println] and a[N], [Partition], [1, 2], [n]", "no [Partition]"},
		{"// see [nowhere.Thing]", "no [nowhere.Thing]"},
	} {
		found, err := misnamed(fstest.MapFS{
			"pkg/x/x.go":         {Data: []byte("package x\n\n" + c.text + "\n\nvar _ = fmt.Sprint\n")},
			"pkg/x/y.go":         {Data: []byte("package x\n\nimport \"fmt\"\n\nvar N = 1\n")},
			"pkg/other/other.go": {Data: []byte("package other\n\n// Thing is one.\ntype Thing int\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(f Finding) bool { return f.File == "pkg/x/y.go" })
		expect(t, c.text, found, c.want)
	}
}

// misnamed finds comments below pkg, cmd and internal that name what is not there.
func misnamed(root fs.FS) ([]Finding, error) {
	set, dirs, names := token.NewFileSet(), map[string]*commented{}, packages{map[string][]*commented{}, map[string]bool{}}
	for _, top := range []string{"pkg", "cmd", "internal"} {
		err := fs.WalkDir(root, top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || path.Ext(name) != ".go" {
				if os.IsNotExist(err) {
					return nil
				}
				return err
			}
			text, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir := path.Dir(name)
			if dirs[dir] == nil {
				dirs[dir] = &commented{map[string]*ast.File{}, map[string]bool{}}
				names.ours[path.Base(dir)] = append(names.ours[path.Base(dir)], dirs[dir])
			}
			dirs[dir].add(name, tree)
			for _, spec := range tree.Imports {
				names.imported[path.Base(strings.Trim(spec.Path.Value, `"`))] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var found []Finding
	for _, dir := range dirs {
		for name, tree := range dir.files {
			add := func(at token.Pos, what, do string) {
				found = append(found, Finding{name, set.Position(at).Line, what, do})
			}
			if !strings.HasSuffix(name, "_test.go") {
				beginnings(tree, add)
			}
			dir.links(tree, names, add)
		}
	}
	return found, nil
}

// add notes what a file declares.
func (c *commented) add(name string, tree *ast.File) {
	c.files[name] = tree
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d) + "." + name
			}
			c.declares[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						c.declares[n.Name] = true
					}
				case *ast.TypeSpec:
					c.declares[s.Name.Name] = true
					c.members(s)
				}
			}
		}
	}
}

// members notes the fields of a struct and the methods of an interface.
func (c *commented) members(s *ast.TypeSpec) {
	var list *ast.FieldList
	switch t := s.Type.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			c.declares[s.Name.Name+"."+n.Name] = true
		}
	}
}

// beginnings holds what is exported to have a comment, and each comment to begin with the name of what it is about;
// groups of constants and variables have one for all, and methods whose name says all need none.
func beginnings(tree *ast.File, add func(at token.Pos, what, do string)) {
	check := func(name string, at token.Pos, doc *ast.CommentGroup) {
		words := strings.Fields(doc.Text())
		if len(words) == 0 {
			if ast.IsExported(name) {
				add(at, name+" has no comment", "say what it is for, and begin with its name")
			}
			return
		}
		if len(words) > 1 && slices.Contains([]string{"A", "An", "The"}, words[0]) {
			words = words[1:]
		}
		if strings.TrimSuffix(strings.Trim(words[0], ",.:;"), "'s") != name {
			add(doc.Pos(), fmt.Sprintf("the comment of %s begins with %s", name, words[0]), "begin it with the name")
		}
	}
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			plain := d.Recv != nil && slices.Contains([]string{"String", "Error", "Unwrap"}, d.Name.Name)
			if d.Doc != nil || !plain {
				check(d.Name.Name, d.Pos(), d.Doc)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					doc := s.Doc
					if doc == nil {
						doc = d.Doc
					}
					check(s.Name.Name, s.Pos(), doc)
				case *ast.ValueSpec:
					if !d.Lparen.IsValid() {
						check(s.Names[0].Name, s.Pos(), d.Doc)
					}
				}
			}
		}
	}
}

// link is a reference to a name, to one of a type, or to one of a package, in brackets; no index, and no list.
var link = regexp.MustCompile(`(?:^|[\s(])\[\*?((?:[a-z]\w*\.)?[A-Z]\w*(?:\.[A-Z]\w*)?)\]`)

// links holds a comment to refer to what is declared: in its directory, or in the package of the module that it names;
// of other packages it is enough that the module imports them.
func (c *commented) links(tree *ast.File, names packages, add func(at token.Pos, what, do string)) {
	for _, group := range tree.Comments {
		for _, comment := range group.List {
			for _, m := range link.FindAllStringSubmatch(comment.Text, -1) {
				there := c.declares[m[1]]
				if pkg, name, qualified := strings.Cut(m[1], "."); qualified && !ast.IsExported(pkg) {
					ours := names.ours[pkg]
					there = len(ours) == 0 && names.imported[pkg] ||
						slices.ContainsFunc(ours, func(o *commented) bool { return o.declares[name] })
				}
				if !there {
					add(comment.Pos(), "there is no ["+m[1]+"]", "name what took its place")
				}
			}
		}
	}
}
