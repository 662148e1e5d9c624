package arch

import (
	"fmt"
	"strings"
)

// floor is a height in the house; an arrow points to a lower one.
type floor int

const (
	pure        floor = iota // pkg/offsets, pkg/policy
	parcels                  // pkg/replicate/chunk, pkg/replicate/wire; pkg/versions, which applications import
	rules                    // pkg/replicate/partition: pure as well, over what parcels name
	clients                  // pkg/replicate/kafka
	rooms                    // pkg/replicate/<room>: allowed by being there
	engine                   // pkg/replicate
	inside                   // internal/<package>
	command                  // cmd/<program>
	integration              // integration/<package>, bench/<package>: outside, looking in; what only tests import
)

// place is where a package is: packages of one room, a room and what it keeps
// below it, may import each other.
type place struct {
	floor floor
	room  string
}

// placeOf gives a directory its place; false if it has none.
func placeOf(pkg string) (place, bool) {
	part := strings.Split(pkg, "/")
	upTo := func(n int) string { return strings.Join(part[:min(n, len(part))], "/") }
	switch {
	case upTo(2) == "pkg/offsets", upTo(2) == "pkg/policy":
		return place{pure, upTo(2)}, true
	case upTo(3) == "pkg/replicate/chunk", upTo(3) == "pkg/replicate/wire":
		return place{parcels, upTo(3)}, true
	case upTo(2) == "pkg/versions":
		return place{parcels, upTo(2)}, true
	case upTo(3) == "pkg/replicate/partition":
		return place{rules, upTo(3)}, true
	case upTo(3) == "pkg/replicate/kafka":
		return place{clients, upTo(3)}, true
	case pkg == "pkg/replicate":
		return place{engine, pkg}, true
	case upTo(2) == "pkg/replicate":
		return place{rooms, upTo(3)}, true
	case upTo(2) == "internal/kafkatest":
		return place{integration, upTo(2)}, true
	case part[0] == "internal" && len(part) > 1:
		return place{inside, upTo(2)}, true
	case part[0] == "cmd" && len(part) > 1:
		return place{command, upTo(2)}, true
	case part[0] == "integration", part[0] == "bench", part[0] == "configs", part[0] == "deploy", part[0] == "docs":
		return place{integration, part[0]}, true
	}
	return place{}, false
}

const judge = "integration/judge"

// within says whether pkg is dir or lies below it.
func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// arrow answers what is wrong with pkg importing other, both of the module, and
// what to do; "" if nothing is.
func arrow(pkg, other string, test bool) (what, do string) {
	if within(pkg, judge) && !within(other, judge) {
		return "the judge would share code with what it judges", "write again what it needs, in integration/judge"
	}
	from, _ := placeOf(pkg)
	to, known := placeOf(other)
	switch {
	case !known:
		return "that is no room of the house", "give its directory a floor in internal/arch/floors.go"
	case from.room == to.room:
		return "", ""
	case test && (to.floor == inside || to.floor == integration):
		return "", ""
	case to.floor == integration:
		return "what is tested would know its tests", "move what both need to a package below"
	case to.floor > from.floor:
		return "the arrow points up", fmt.Sprintf("declare an interface in %s and let the one above pass it in", pkg)
	case to.floor == from.floor:
		return "the arrow points sideways", "move what both need to a floor below, or let the one above join them"
	}
	return "", ""
}

// isPure: packages that hold no clock, goroutine, log, metric or context.
func isPure(pkg string) bool {
	p, known := placeOf(pkg)
	return known && (p.floor == pure || p.floor == rules)
}

// impure answers why a pure package may not import a package from elsewhere.
func impure(name string) (what, do string) {
	first, _, _ := strings.Cut(name, "/")
	if strings.Contains(first, ".") {
		return "pure packages know the standard library only", "do it with that, or in a room above"
	}
	for _, banned := range []string{
		"context", "time", "log", "net", "os", "sync", "runtime", "syscall", "io/ioutil", "math/rand", "crypto/rand",
		"expvar", "unsafe", "C",
	} {
		if within(name, banned) {
			return "pure packages hold no clock, goroutine, log, metric, context or chance",
				"let the caller do that and pass in the result"
		}
	}
	return "", ""
}
