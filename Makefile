# What there is to do here. The work is in scripts/, so that it can be run without make as well.

.DEFAULT_GOAL := help
.PHONY: help demo test bench prove doc fmt lint

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Sets LEASEHOLD_SERVER to a redis-server or valkey-server, which is installed first if there is none.
WITH_SERVER := LEASEHOLD_SERVER="$$(scripts/ensure-server)" && export LEASEHOLD_SERVER

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## Race the quorum lock against a naive one, on three real servers, in two minutes
	@$(WITH_SERVER) && cargo build --release --locked -p loadgen && exec "$(TARGET)/release/loadgen" demo

test: ## Run everything that must hold: format, lints, tests on real servers, examples, documentation
	@$(WITH_SERVER) && exec scripts/test

bench: ## Measure, side by side with the peers (results in target/criterion)
	@$(WITH_SERVER) && exec cargo bench --locked -p leasehold-bench

prove: ## Ten minutes of fresh seeds in virtual time, and every negative control (results/example-prove)
	@cargo build --release --locked -p loadgen && exec scripts/prove "$(TARGET)/release/loadgen"

doc: ## Build the documentation, with warnings as errors
	@RUSTDOCFLAGS=-Dwarnings cargo doc --locked --no-deps --workspace

fmt: ## Format the code
	@cargo fmt --all

lint: ## Run the linter, with warnings as errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings
