# The project's tasks. `make` lists them: each target whose line ends in "## help" is one.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Settings, from the command line or the environment.
RACE ?=#            1: tests run under the race detector
COVER ?=#           1: tests write cover profiles, which `make cover-gate` reads
TIMEOUT ?= 15m#     for each package's tests
ARGS ?=#            handed on by run, demo, chaos, soak, mutants, bench and bench-quick
BENCH ?= .#         which benchmarks of bench-go, a regular expression
DURATION ?= 10m#    how long a soak lasts
SEED ?= 0#          what is left to chance in a soak follows from it; 0 is another each time
FUZZTIME ?= 1m#     how long each fuzzer runs
COUNT ?= 6#         how often each benchmark of bench-go runs: benchstat wants at least 6

# What tests and coverage leave behind. Its name begins with a dot, so that Go's ./... passes it by.
BUILD := .build
# Modules with dependencies that the library shall not have.
NESTED := $(patsubst %/go.mod,%,$(wildcard test/*/go.mod))
# Those that RACE=1 is for. In the others most of what runs, and takes long to build, is not ours.
RACED := test/chaos
# Where staticcheck would take all of others' code apart for a few files of ours: go vet has to do.
FOREIGN := test/ecosystem test/observe
TOOL := go tool -modfile=internal/tools/go.mod
# What the coverage gate is about; all tests of the module count for it.
COVERED := ./messages/...,./actors/...,./poolactor/...,./supervisor/...
# Packages whose tests come alive with the build tag failpoint.
FAILPOINTS := ./internal/failpoint ./poolactor
# What leaves itself out under the race detector, or does a part of its work, because there it takes too long or measures
# something else.
PLAIN := -run='^(TestModelOfTheHandOff|TestStories|TestAskAllocatesNothing)$$' ./actors ./poolactor

# A go.work further up would hide the modules from each other. Stamping would fail where git does not trust the folder's
# owner; only the daemon's binary is stamped.
export GOWORK := off
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)

race_on := $(filter-out 0,$(strip $(RACE)))
cover_on := $(filter-out 0,$(strip $(COVER)))
# No result from the cache: it would prove nothing about the server and the containers of today.
plain_flags := -count=1 -shuffle=on -timeout=$(strip $(TIMEOUT))
test_flags := $(plain_flags) $(if $(race_on),-race)
cover_flags = $(if $(cover_on),-coverpkg=$(COVERED) -coverprofile=$(BUILD)/cover.$(1).out)

.PHONY: help
help:
	@echo 'usage: make TARGET [NAME=VALUE ...]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14
	@echo 'settings:'
	@sed -n 's/^\([A-Z]*\) ?= *\([^#]*[^# ]\)\{0,1\}# *\(.*\)/  \1\t\3 (\2)/p' Makefile | sed 's/ ()$$//' | expand -t 14

.PHONY: run
run: ## run the daemon: against DATABASE_URL if that is set, else with a throwaway PostgreSQL of its own
	@if [ -n "$${DATABASE_URL:-}" ]; then embedded=; else embedded=--embedded; go run ./internal/setup postgresql; fi; \
	$(MAKE) --no-print-directory build; \
	exec bin/supervised run $$embedded $(ARGS)

.PHONY: demo
demo: build ## kill a throwaway PostgreSQL again and again under load, and count who noticed
	@go run ./internal/setup postgresql
	@exec bin/supervised demo $(ARGS)

.PHONY: build
build: ## build bin/supervised
	@go build -buildvcs=$$(git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && echo auto || echo false) -o bin/ ./cmd/supervised

.PHONY: test
test: setup lint $(BUILD) ## pass every test, RACE=1 under the race detector; sets up what is missing
	@rm -f $(BUILD)/cover.*; status=0; \
	go run ./internal/testreport -output $(BUILD)/test-output.txt \
		-- $(test_flags) $(call cover_flags,main) ./... \
		-- $(test_flags) $(call cover_flags,failpoint) -tags=failpoint $(FAILPOINTS) \
		$(foreach module,$(NESTED),-- -C $(module) $(if $(filter $(RACED),$(module)),$(test_flags),$(plain_flags)) ./...) \
		$(if $(race_on),-- $(plain_flags) $(PLAIN)) || status=1; \
	go run ./internal/secret/canary/scan $(BUILD)/test-output.txt || status=1; \
	exit $$status

.PHONY: race
race: ## make test RACE=1
	@$(MAKE) --no-print-directory test RACE=1

.PHONY: cover
cover: ## pass every test and the coverage gate
	@$(MAKE) --no-print-directory test COVER=1
	@$(MAKE) --no-print-directory cover-gate

.PHONY: cover-gate
cover-gate: ## check the cover profiles of the last make test COVER=1
	@go run ./internal/covergate -min 90 -of $(COVERED) $(BUILD)/cover.*.out

.PHONY: lint
lint: ## check format, go vet, staticcheck and the exported API; golangci-lint and shellcheck where they are installed
	@unformatted=$$($(TOOL) gofumpt -l .); if [ -n "$$unformatted" ]; then \
		printf 'not in the format of gofumpt, make fmt mends it:\n%s\n' "$$unformatted"; exit 1; fi
	@go vet ./...; $(TOOL) staticcheck ./...
	@go vet -tags=failpoint $(FAILPOINTS); $(TOOL) staticcheck -tags=failpoint $(FAILPOINTS)
	@for module in $(filter-out $(FOREIGN),$(NESTED)); do ( cd "$$module"; \
		for tags in '' $$(grep -rq --include='*.go' '^//go:build .*failpoint' . && echo failpoint); do go vet -tags="$$tags" ./...; \
		go tool -modfile=../../internal/tools/go.mod staticcheck -tags="$$tags" ./...; done ); done
	@for module in $(FOREIGN); do go vet -C "$$module" ./...; done
	@go run ./internal/apicheck
	@case "$$(golangci-lint version --short 2>/dev/null || :)" in 2.*) golangci-lint run ./... ;; esac
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run internal/setup/*.sh; fi

.PHONY: fmt
fmt: ## bring all Go files into the format of gofumpt
	@$(TOOL) gofumpt -l -w .

.PHONY: api
api: ## record what the public packages export in api, where make lint looks whether something is missing or has changed
	@go run ./internal/apicheck -write

.PHONY: mutants
mutants: ## break each rule of the code once and see that a test turns red
	@go run ./test/mutants $(ARGS)

.PHONY: chaos
chaos: ## what each fault does to this pool and to others, as a table, which CHAOS.md keeps if all rows ran; takes long
	@go run ./internal/setup postgresql
	@go run -C test/chaos -tags=failpoint ./run -whole "$(CURDIR)/CHAOS.md" $(ARGS)

.PHONY: soak
soak: ## let one pool live through random faults for DURATION, and look that nothing is lost and nothing grows
	@go run ./internal/setup postgresql
	@go run -C test/chaos -tags=failpoint ./soak -duration='$(strip $(DURATION))' -seed='$(strip $(SEED))' $(ARGS)

.PHONY: fuzz
fuzz: ## look for inputs that break something, FUZZTIME for each fuzzer; what it finds goes into testdata/fuzz
	@grep -rl --include='*_test.go' '^func Fuzz' actors internal poolactor | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z]*\)(.*/\1/p' "$$file"); do \
			go test -run='^$$' -fuzz="^$$name\$$" -fuzztime='$(strip $(FUZZTIME))' "./$${file%/*}"; \
		done; done

.PHONY: bench
bench: $(BUILD) ## run this pool and others in turns; BENCHMARKS.md keeps the table and the plots if all rows ran; takes a quarter of an hour
	@go run ./internal/setup postgresql
	@rounds=$(BUILD)/rounds.txt; rm -f "$$rounds"; status=0; \
	go run -C test/bench ./run -whole "$(CURDIR)" -stat "$(CURDIR)/$$rounds" $(ARGS) || status=1; \
	if [ -e "$$rounds" ]; then $(TOOL) benchstat -col /who "$$rounds"; fi; exit $$status

.PHONY: bench-quick
bench-quick: ## a part of that in two minutes, with warnings of ratios that are worse than those that bench has kept
	@go run ./internal/setup postgresql
	@go run -C test/bench ./run -quick -against "$(CURDIR)/docs/bench/figures.json" $(ARGS)

.PHONY: bench-go
bench-go: $(BUILD) ## run the benchmarks of go test and sum them up
	@go run ./internal/setup postgresql
	@for module in . $(NESTED); do go test -C "$$module" -run='^$$' -bench='$(strip $(BENCH))' -benchmem -count=$(strip $(COUNT)) ./...; done \
		| tee $(BUILD)/bench.txt
	@$(TOOL) benchstat $(BUILD)/bench.txt

.PHONY: setup
setup: ## install what the tests need and the machine lacks, SETUP=0 never
	@go run ./internal/setup postgresql $(if $(race_on),gcc)

.PHONY: clean
clean: ## remove what the targets made
	@rm -rf $(BUILD) bin coverage.out

# The folder hides itself from git.
$(BUILD):
	@mkdir -p $(BUILD) && echo '*' >$(BUILD)/.gitignore
