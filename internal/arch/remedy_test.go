package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// advice is an instruction to destroy something of Kafka's.
var advice = regexp.MustCompile(`(?i)(^|[;:,.(] ?|\b(or|then|and) )(delete|remove|drop|truncate|purge) ` +
	`(the |its |that |this |them\b|it\b|topic|group|record|partition)`)

// allowed are those that destroy what is replicator's own, and say what it is.
var allowed = []string{
	"then delete its ledger topic",           // of a flow that has ended, named
	"delete the old version, after the move", // what a flag does
	"delete the oldest records: %w",          // what the demonstration does
}

// No remedy tells an operator to delete what may be somebody's. What a command deletes
// itself, because it was asked to, is no remedy.
func TestRemediesDestroyNothing(t *testing.T) {
	root, looked := os.DirFS("../.."), 0
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		product := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path,
			"internal/flowtest/") &&
			(strings.HasPrefix(path, "pkg/") || strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "internal/"))
		if err != nil || entry.IsDir() || !product {
			return err
		}
		looked++
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, source, 0)
		if err != nil {
			return err
		}
		for _, text := range texts(file) {
			if found := advice.FindString(text.value); found != "" && !isAllowed(text.value) {
				t.Errorf("%s: %q tells to destroy: ask whose it is first, and offer another way", set.Position(text.at),
					text.value)
			}
		}
		return nil
	})
	if err != nil || looked < 100 {
		t.Fatalf("%d files were looked at: %v", looked, err)
	}
}

func isAllowed(text string) bool {
	for _, known := range allowed {
		if strings.Contains(text, known) {
			return true
		}
	}
	return false
}

type text struct {
	value string
	at    token.Pos
}

// texts are the strings of a file, those that are put together from pieces as one.
func texts(file *ast.File) (all []text) {
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		value, is := joined(e)
		if is {
			all = append(all, text{value, e.Pos()})
		}
		return !is
	})
	return all
}

func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		return value, e.Kind == token.STRING && err == nil
	case *ast.BinaryExpr:
		left, okLeft := joined(e.X)
		right, okRight := joined(e.Y)
		return left + right, e.Op == token.ADD && (okLeft || okRight)
	}
	return "", false
}
