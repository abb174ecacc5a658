# The race detector needs a C compiler. Without one the tests run without it, except in CI, where that is an error.
CC_FOUND := $(shell command -v "$$(go env CC)")
RACE     := $(if $(CC_FOUND)$(CI),-race)
FUZZTIME ?= 1m
SOAKTIME ?= 1h
# What was built in one checkout serves all others on the machine: without their paths, the results in Go's cache are the same.
export GOFLAGS := $(shell go env GOFLAGS) -trimpath
TOOL     := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build test test-postgres race lint vulncheck clients house fuzz bench docs cover soak release run-postgres

help: ## Show these lines
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  %-14s %s\n' "$$target" "$$text"; done

build: ## Build ./tenet, one static binary
	CGO_ENABLED=0 go build -o tenet ./cmd/tenet

# The race detector watches everything but the translated C of SQLite, which shares no memory between goroutines and would make
# the tests of the engines ten times slower, and libraries that do nothing but reckon in memory of their caller: gzip and
# scrypt, which have no generic code either. The rest of SQLite's driver is watched: generic code that it has in common with ours must be.
UNWATCHED := -gcflags='modernc.org/sqlite/lib=-race=false -d=checkptr=0' $(foreach p,github.com/klauspost/compress/flate \
	golang.org/x/crypto/scrypt,-gcflags='$(p)=-race=false')

# The race detector watches the packages in which much runs at once, and of the next line's the tests that are about callers at
# once. All else runs without it, and so do the tests that wait for real faults or judge broken stores, and the laws.
WATCHED  := $(addprefix tenet/internal/,access client failover guidance labels live mcp upkeep)
CROWDED  := $(addprefix tenet/internal/,cache httpapi postgres server sqlite)
ATONCE   := ^TestStoreKeepsTheLaws$$/^(of_writers|the_same_batch|a_follower|batches_over|readers_of|a_cancelled|Wait|Close)|Crowd|ABody|AllBodies|Connections|Share|TooManyRequests|TwoDoors|NoRead|AskOnce|LoadsUnderWay|Group|UnderItsReaders|BesideItsOwner
SLOW     := ^Test(Faults(Of|By|Around)|LostPackets|FailoverOfPostgreSQL|AKillAtAnyStepLosesNothing|TheJudgeFindsSeededBugs|ALongJournalIs|AStartWithMuchWaiting|AnInstanceOlderThan)|Keeps?The(Laws|Contract)|^TestTheLawsHold

test: ## Run all tests, with the race detector where there is a C compiler; installs PostgreSQL and promtool on Debian when it may
	@scripts/install-postgres
	@scripts/install-promtool
ifeq ($(RACE),)
	@echo "No C compiler: the race detector is off."
	go test -timeout 30m ./...
else
	@# Some wait and some reckon: all run at once, with equal shares of the processor, since who waits for a deadline must not
	@# be kept from it. Whoever fails fails the target. Lint vets.
	@# What they have in common is built first, once.
	@go build ./... || exit 1; \
	( go test -vet=off -race -p 1 $(UNWATCHED) -timeout 30m -skip '$(SLOW)' $(WATCHED); all=$$?; \
		go test -vet=off -race -p 1 $(UNWATCHED) -timeout 30m -run '$(ATONCE)' $(CROWDED) && exit $$all ) & watched=$$!; \
	( go test -vet=off -p 1 -timeout 30m -run '$(SLOW)' $(WATCHED); all=$$?; \
		go test -vet=off -p 1 -parallel 3 -timeout 30m -skip '$(ATONCE)' $(CROWDED) && exit $$all ) & slow=$$!; \
	go test -vet=off -p 1 -parallel 3 -timeout 30m $(filter-out $(WATCHED) $(CROWDED),$(shell go list ./...)); calm=$$?; \
	wait $$slow || calm=1; wait $$watched || calm=1; exit $$calm
endif

test-postgres: ## Run the tests of PostgreSQL on another version of it: VERSION=14, 16, 17 or 18, fetched by npm
	bin=$$(scripts/fetch-postgres $(VERSION)) && TENET_TEST_PG_BIN=$$bin go test -count=1 -timeout 20m ./internal/postgres

race: ## Run all tests with the race detector on everything, freshly; slow
	@scripts/install-postgres
	@scripts/install-promtool
	go test -race -count=1 -timeout 60m ./...

lint: ## Check style, find mistakes, dead code, a wrong compose file, and changes that break clients of the API
	$(TOOL) golangci-lint run ./...
	go fix -diff ./...
	scripts/check-deadcode
	scripts/check-compose
	scripts/lint-openapi
	scripts/check-api
	@if command -v shellcheck >/dev/null; then shellcheck scripts/* .ci/run internal/pgtest/watchdog.sh; \
		else echo "Scripts not checked: there is no shellcheck here."; fi

vulncheck: ## Look for known vulnerabilities in the code that is called; says when their database can't be read
	scripts/check-vulnerabilities

clients: ## Make clients of the OpenAPI document with the usual generators, and let each ask a running tenet
	scripts/check-clients

house: ## Count what is too long: types by methods, files, functions, lines
	go test -count=1 -v -run '^TestTheHouseStaysInOrder$$' .

fuzz: ## Run every fuzz test for FUZZTIME (1m)
	FUZZTIME=$(FUZZTIME) scripts/fuzz

bench: ## Measure a whole tenet and write docs/benchmarks.md, then run the benchmarks of its parts; HUGE=1000000 adds a mirror of so many
	@scripts/install-postgres
	@scripts/install-wrk
	go test -tags bench -count=1 -timeout 0 -run '^TestReport$$' ./internal/bench -report "$(CURDIR)/docs/benchmarks.md" -huge $(or $(HUGE),0)
	packages=$$(scripts/packages-with '^func Benchmark') && go test -run='^$$' -bench=. -benchmem -timeout 0 $$packages

docs: ## Write the generated documents and golden files anew
	packages=$$(scripts/packages-with 'flag\.Bool(Var)?\(.*"update"') && go test $$packages -update

cover: ## Run all tests and show how much of each function they reach; coverage.html shows the lines
	@scripts/install-postgres
	go test -timeout 40m -coverpkg=./... -coverprofile=coverage.out ./...
	go tool cover -html=coverage.out -o coverage.html
	go tool cover -func=coverage.out | tail -n 1

# On other versions of PostgreSQL: the laws, the migrations, and a row of each class of fault.
OTHERS := 14 16 17 18

soak: ## Run the randomised outage tests for SOAKTIME (1h), a failing one prints its seed; then every row of the faults; then laws, migrations and faults on OTHERS
	@scripts/install-postgres
	@scripts/install-patroni
	packages=$$(scripts/packages-with '^func TestSoak') && TENET_SOAK=$(SOAKTIME) go test -run='^TestSoak' -v -count=1 -timeout 0 $$packages
	TENET_SOAK=$(SOAKTIME) go test -run='^Test(Faults|LostPackets|FailoverOf|RandomOutagesLose)' -count=1 -timeout 60m ./internal/failover
	TENET_SOAK=$(SOAKTIME) go test -run='^TestAKilledBackup' -count=1 -timeout 60m ./cmd/tenet
	TENET_SOAK=$(SOAKTIME) go test -run='^TestTheLawsHoldWithOne' -count=1 -timeout 60m ./internal/postgres
	for version in $(OTHERS); do \
		bin=$$(scripts/fetch-postgres $$version) && echo "On PostgreSQL $$version:" && TENET_TEST_PG_BIN=$$bin go test -count=1 -timeout 60m \
			-run '^Test(StoreKeepsTheLaws|Migrations|TheShapeIs|Faults)' ./internal/postgres ./internal/failover || exit 1; \
	done

release: ## Build dist/: archives for several platforms, Debian packages, SBOMs, checksums, from a tagged commit
	@scripts/release

run-postgres: ## Start a throw-away PostgreSQL and a tenet on it; Ctrl-C removes both
	@scripts/run-postgres
