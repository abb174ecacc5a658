# The race detector needs a C compiler. Without one the tests run without it, except in CI, where that is an error.
CC_FOUND := $(shell command -v "$$(go env CC)")
RACE     := $(if $(CC_FOUND)$(CI),-race)
FUZZTIME ?= 1m
SOAKTIME ?= 1h
TOOL     := go tool -modfile=tools/go.mod

.DEFAULT_GOAL := help
.PHONY: help build test race lint fuzz bench docs cover soak release run-postgres

help: ## Show these lines
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  %-14s %s\n' "$$target" "$$text"; done

build: ## Build ./tenet, one static binary
	CGO_ENABLED=0 go build -trimpath -o tenet ./cmd/tenet

# The race detector watches everything but the translated C of SQLite, which shares no memory between goroutines and would make
# the tests of the engines ten times slower. The rest of its driver is watched: generic code that it has in common with ours must be.
UNWATCHED := -gcflags='modernc.org/sqlite/lib=-race=false -d=checkptr=0'

# Not watched: packages in which little runs at once, or nothing that is not watched elsewhere, and the tests that wait for real
# faults or judge broken stores. Those spend their time waiting, so the calm ones run beside them.
CALM     := tenet/cmd/tenet tenet/internal/interchange tenet/internal/seed tenet/internal/store/storegen tenet/internal/store/storetest
FAULTS   := ^Test(Faults(Of|By|Around)|LostPackets|FailoverOfPostgreSQL|AKillAtAnyStepLosesNothing|TheChecksFindSeededBugs|TheCheckerFindsSeededBugs)

test: ## Run all tests, with the race detector where there is a C compiler; installs PostgreSQL on Debian when it may
	@scripts/install-postgres
ifeq ($(RACE),)
	@echo "No C compiler: the race detector is off."
	go test -timeout 30m ./...
else
	go test -race $(UNWATCHED) -timeout 30m -skip '$(FAULTS)' $(filter-out $(CALM),$(shell go list ./...))
	go test -timeout 30m $(CALM) & calm=$$!; \
	go test -timeout 30m -run '$(FAULTS)' ./internal/failover; faults=$$?; \
	wait $$calm && exit $$faults
endif

race: ## Run all tests with the race detector on everything, freshly; slow
	@scripts/install-postgres
	go test -race -count=1 -timeout 60m ./...

lint: ## Check style, find mistakes, dead code and a wrong compose file
	go vet ./...
	$(TOOL) golangci-lint run ./...
	go fix -diff ./...
	scripts/check-deadcode
	scripts/check-compose
	scripts/lint-openapi
	@if command -v shellcheck >/dev/null; then shellcheck scripts/* .ci/run internal/pgtest/watchdog.sh; \
		else echo "Scripts not checked: there is no shellcheck here."; fi

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

soak: ## Run the randomised outage tests for SOAKTIME (1h); a failing one prints its seed
	@scripts/install-postgres
	packages=$$(scripts/packages-with '^func TestSoak') && TENET_SOAK=$(SOAKTIME) go test -run='^TestSoak' -v -count=1 -timeout 0 $$packages

release: ## Build dist/: programs for several platforms, with checksums, from a tagged commit
	@scripts/release

run-postgres: ## Start a throw-away PostgreSQL and a tenet on it; Ctrl-C removes both
	@scripts/run-postgres
