package arch

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// Limits of what one can keep in mind.
const (
	maxPackage = 3000 // lines of product code in one package
	maxMethods = 20   // of one type
)

// sizes adds up what the files of a package hold.
type sizes struct {
	lines   map[string]int            // by package
	methods map[string]map[string]int // by package and type
}

func newSizes() *sizes {
	return &sizes{lines: map[string]int{}, methods: map[string]map[string]int{}}
}

// add counts a file of product code; tests and what stands beside the house are left out.
func (s *sizes) add(f *file) {
	p, known := placeOf(f.pkg)
	if f.test || !known || p.floor == integration || ast.IsGenerated(f.tree) {
		return
	}
	s.lines[f.pkg] += strings.Count(string(f.text), "\n")
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv == nil {
			continue
		}
		if s.methods[f.pkg] == nil {
			s.methods[f.pkg] = map[string]int{}
		}
		s.methods[f.pkg][receiver(fn)]++
	}
}

// receiver is the name of the type that a method belongs to.
func receiver(fn *ast.FuncDecl) string {
	of := fn.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	switch generic := of.(type) {
	case *ast.IndexExpr:
		of = generic.X
	case *ast.IndexListExpr:
		of = generic.X
	}
	return of.(*ast.Ident).Name
}

// check answers the packages and types that have grown too large.
func (s *sizes) check() (found []Finding) {
	for pkg, lines := range s.lines {
		if lines > maxPackage {
			found = append(found, Finding{path.Clean(pkg), 1, fmt.Sprintf("a package of %d lines", lines),
				fmt.Sprintf("split it by subject; %d is the end", maxPackage)})
		}
		for name, n := range s.methods[pkg] {
			if n > maxMethods {
				found = append(found, Finding{path.Clean(pkg), 1, fmt.Sprintf("type %s has %d methods", name, n),
					fmt.Sprintf("give a part of what it knows to a type of its own; %d is the end", maxMethods)})
			}
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return found
}
