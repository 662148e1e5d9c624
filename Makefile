# Everything is called through here; .ci/run calls nothing else.
SHELL       := /bin/bash
GO          ?= go
STATICCHECK ?= $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
# For how long one fuzz target runs (fuzz), and the soak test (soak).
FUZZTIME    ?= 20s
SOAK        ?= 1h
# How many random seeds the simulation runs (sim).
SIM         ?= 100
# How much the benchmark copies: full, or quick for a twentieth.
BENCH       ?= full
# What the program is compiled with, wherever: what one target has compiled, another need not.
BUILD       := -trimpath
IMAGE       ?= replicator:dev

.DEFAULT_GOAL := help
.PHONY: help build dynamic demo observe check test integration bench soak fuzz sim brokers profile vuln image chart boards release release-test

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/replicator
	$(GO) build $(BUILD) -o bin/replicator ./cmd/replicator

dynamic: ## bin/replicator-dynamic, against the system's OpenSSL, curl and zstd, and its tests; see docs/building.md
	deploy/dynamic.sh

demo: ## mirror between two embedded clusters and compare; needs nothing but Go and a C compiler
	$(GO) run $(BUILD) ./cmd/replicator demo

observe: build ## two embedded clusters with traffic, two replicas and their page, and Prometheus if it is installed, until Ctrl-C
	$(GO) build $(BUILD) -o bin/observe ./integration/observe
	bin/observe bin/replicator

check: ## format, vet, staticcheck, import directions, tests without a broker
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
		if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet -tags integration ./...
	$(STATICCHECK) ./...
	$(GO) test -short -p 3 $$($(GO) list ./... | grep -v '/integration') # they mostly wait
	cd deploy/packaging && $(GO) vet ./... && $(STATICCHECK) ./... && $(GO) test ./...

test: ## all tests, on real brokers where a Docker engine or Java and Maven are found
	$(GO) test -tags integration -timeout 75m ./...

integration: ## the tests on real brokers alone, which fail where none can be had
	REPLICATOR_REQUIRE_KAFKA=1 $(GO) test -count=1 -timeout 60m -tags integration ./integration/... \
		./pkg/replicate/groups ./pkg/replicate/scan ./pkg/replicate/ledger

bench: ## compare with a plain loop, a raw copy and MirrorMaker 2 on real brokers, into docs/benchmarks.md; BENCH=quick tries it out
	REPLICATOR_REQUIRE_KAFKA=1 REPLICATOR_BENCH=$(BENCH) $(GO) test -count=1 -run '^TestBench$$' -timeout 4h -v ./integration/bench

soak: ## mirror under faults for SOAK (default 1h)
	@grep -rq --include='*_test.go' '^func TestSoak' integration || { echo "there is no TestSoak in integration/"; exit 1; }
	REPLICATOR_REQUIRE_KAFKA=1 REPLICATOR_SOAK=$(SOAK) $(GO) test -count=1 -run Soak -timeout 0 -v ./integration/...

# Nothing is made smaller: what runs beside a target (librdkafka's threads) makes its coverage differ from run to run, and
# Go would spend a minute on each input that looks new. FuzzParse made 17 tries in 25 s, and 147,000 without that.
fuzz: ## each fuzz target for FUZZTIME (default 20s)
	@grep -rEo --include='*_test.go' '^func Fuzz\w+' . | sed 's|/[^/]*:func | |' | sort -u | while read -r package target; do \
		echo "$$package $$target"; \
		$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$package" || exit 1; done

sim: ## SIM (default 100) random stories between two fake clusters: one way in both lanes, and both ways
	REPLICATOR_SIM=$(SIM) $(GO) test -count=1 -timeout 0 -run '^Test(Pair)?Simulation$$' ./pkg/replicate

.PHONY: stories
STORIES ?= 5000
FIRST   ?= 1
stories: ## STORIES (default 5000) short stories of two sites, from seed FIRST (1) on; make check tells the first 200
	$(GO) test -count=1 -timeout 0 -short -run '^TestPairStories$$' ./pkg/replicate -stories $(STORIES) -first $(FIRST)

brokers: ## leaders move, stop and are killed, and the nearest replica is read: three brokers on each side
	REPLICATOR_REQUIRE_KAFKA=1 REPLICATOR_SEVERAL=1 $(GO) test -tags integration -count=1 -run '^TestSeveralBrokers$$' \
		-timeout 1h -v ./integration

profile: ## CPU and heap profiles of one copy on real brokers, in dist/
	REPLICATOR_REQUIRE_KAFKA=1 REPLICATOR_BENCH=profile $(GO) test -count=1 -run '^TestProfile$$' -timeout 1h -v ./integration/bench
	$(GO) tool pprof -top -nodecount 40 dist/cpu.prof

vuln: ## known vulnerabilities of what is linked in, by Go's database: vuln.go.dev has to be reachable
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

image: ## the product's container image, IMAGE (default replicator:dev), of VERSION if it is one
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t $(IMAGE) .

chart: ## deploy/kubernetes.yaml, from the Helm chart
	$(GO) -C deploy/packaging run ./chart

boards: ## deploy/grafana/*.json, the boards for Grafana; see docs/monitoring.md
	$(GO) -C deploy/packaging run ./boards

release: ## binaries, deb and rpm for linux on amd64 and arm64 in dist/release, of VERSION; see docs/building.md
	deploy/release.sh $(VERSION)

release-test: ## install the packages of dist/release in a Debian that systemd boots; needs root, debootstrap and systemd-nspawn
	REPLICATOR_RELEASE=$(CURDIR)/dist/release $(GO) -C deploy/packaging test -count=1 -v -run '^TestPackageUnderSystemd$$' ./release
