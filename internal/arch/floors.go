package arch

import (
	"fmt"
	"strings"
)

// floor is a height in the house; an arrow points to a lower one.
type floor int

const (
	pure        floor = iota // pkg/offsets, pkg/policy
	parcels                  // what travels, and how a flow is set up; pkg/versions, which applications import
	rules                    // pkg/replicate/partition: pure as well, over what parcels name
	clients                  // pkg/replicate/kafka
	questions                // what only asks a cluster, or waits for it
	rooms                    // pkg/replicate/<room>: allowed by being there
	joints                   // what stands on several rooms
	origins                  // who wrote this, and whose is it
	workers                  // pkg/replicate/shard
	views                    // pkg/operate/snapshot, and the frames of procedures
	reports                  // pkg/operate/inspect
	verbs                    // pkg/operate/<verb>: allowed by being there
	engine                   // pkg/replicate
	movers                   // what stands on other verbs: pkg/operate/cutover, which starts an engine, drill, failback
	printing                 // what writes answers for people and programs, and decides nothing
	inside                   // internal/<package>
	command                  // cmd/<program>
	integration              // integration/<package>, bench/<package>: outside, looking in; what only tests import
)

// floorOf lists the packages that do not stand where their neighbours do.
var floorOf = map[string]floor{
	"pkg/offsets": pure, "pkg/policy": pure,
	"pkg/replicate/chunk": parcels, "pkg/replicate/wire": parcels, "pkg/replicate/settings": parcels,
	"pkg/versions":            parcels,
	"pkg/replicate/partition": rules,
	"pkg/replicate/kafka":     clients,
	"pkg/replicate/wait":      questions, "pkg/replicate/listoffsets": questions,
	"pkg/replicate/seen":     joints,
	"pkg/replicate/handover": joints, "pkg/replicate/retention": joints, "pkg/replicate/translate": joints,
	"pkg/replicate/lastcopied": joints, "pkg/replicate/peers": joints, "pkg/replicate/txlimit": joints,
	"pkg/replicate/factsof": joints, "pkg/replicate/metrics": joints,
	"pkg/replicate/topology": joints, "pkg/replicate/published": joints, "pkg/replicate/clients": joints,
	"pkg/replicate/provenance": origins, "pkg/replicate/identity": origins,
	"pkg/replicate/shard":  workers,
	"pkg/operate/snapshot": views, "pkg/operate/stepwise": views, "pkg/operate/compare": views,
	"pkg/operate/replay":  views,
	"pkg/operate/inspect": reports,
	"pkg/operate/cutover": movers, "pkg/operate/drill": movers, "pkg/operate/failback": movers,
	"internal/terminal": printing, "internal/answers": printing,
	"internal/kafkatest": integration,
	"internal/flowtest":  integration,
}

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
	for n := 2; n <= len(part); n++ {
		if height, listed := floorOf[upTo(n)]; listed {
			return place{height, upTo(n)}, true
		}
	}
	switch {
	case pkg == "pkg/replicate":
		return place{engine, pkg}, true
	case upTo(2) == "pkg/replicate":
		return place{rooms, upTo(3)}, true
	case upTo(2) == "pkg/operate" && len(part) > 2:
		return place{verbs, upTo(3)}, true
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
// what to do; "" if nothing is. A test of a package of its own (outside) stands above the house.
func arrow(pkg, other string, test, outside bool) (what, do string) {
	if within(pkg, judge) && !within(other, judge) {
		return "the judge would share code with what it judges", "write again what it needs, in integration/judge"
	}
	from, _ := placeOf(pkg)
	to, known := placeOf(other)
	switch {
	case !known:
		return "that is no room of the house", "give its directory a floor in internal/arch/floors.go"
	case from.room == to.room, outside:
		return "", ""
	case within(pkg, "pkg/replicate") && within(other, "pkg/operate") && !test:
		return "the engine would call a verb", "let who starts the engine pass it in"
	case from.floor == integration && to.floor == integration:
		return "", "" // tests help each other
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
