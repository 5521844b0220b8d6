# What there is to do here. The work is in scripts/, so that it can be run without make as well.

.DEFAULT_GOAL := help
.PHONY: help demo test prove fuzz races bench failures renewals chaos doc fmt lint

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Sets LEASEHOLD_SERVER to a redis-server or valkey-server, which is installed first if there is none.
WITH_SERVER := LEASEHOLD_SERVER="$$(scripts/ensure-server)" && export LEASEHOLD_SERVER

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Race the quorum lock against a naive one, on three real servers, in two minutes
	@$(WITH_SERVER) && cargo build --release --locked -p loadgen && exec "$(TARGET)/release/loadgen" demo

test: ## Run everything that must hold: format, lints, tests on real servers, examples, documentation
	@$(WITH_SERVER) && exec scripts/test

prove: ## The model in full, every negative control, ten minutes of fresh seeds in virtual time (results/example-prove)
	@cargo build --release --locked -p loadgen && exec scripts/prove "$(TARGET)/release/loadgen"

# How long `make fuzz` searches for each target, in seconds.
FUZZ_TIME ?= 60

fuzz: ## Search for inputs that break what reads them, FUZZ_TIME (60) seconds a target; needs a C++ compiler
	@FUZZ_TIME="$(FUZZ_TIME)" exec scripts/fuzz

races: ## Explore 20,000 schedules of each scene of the client's tasks, then the bugs that must be found (`make test` explores 100)
	@exec scripts/races

bench: ## Measure, side by side with the peers, and write a table of each into results/ (a quarter of an hour)
	@$(WITH_SERVER) && exec scripts/bench

# How long `make chaos` goes on.
CHAOS_TIME ?= 5m

chaos: ## Real servers under kill, stop, amnesia and a lossy network, judged, for CHAOS_TIME (5m)
	@$(WITH_SERVER) && cargo build --release --locked -p loadgen && \
		exec "$(TARGET)/release/loadgen" run --scenario chaos --duration "$(CHAOS_TIME)"

failures: ## Measure what each failure of an endpoint costs, in under five minutes (results in results/failures-*)
	@$(WITH_SERVER) && exec cargo bench --locked -p leasehold-bench --bench failures

renewals: ## Hold 100,000 leases with one client for two minutes, and measure (results in results/renewals-*)
	@$(WITH_SERVER) && exec cargo bench --locked -p leasehold-bench --bench renewals

doc: ## Build the documentation, with warnings as errors
	@RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --workspace

fmt: ## Format the code
	@cargo fmt --all

lint: ## Run the linter, with warnings as errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings
