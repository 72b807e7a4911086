# Every target works in a fresh checkout: it needs Python 3.11 to 3.13, make, and pip's package registry.

PYTHON ?= python3
JOBS ?= 2
export ROUNDS ?=
ARGS ?=
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help venv demo up test test-long bench bench-registry bench-growth bench-governance bench-record bench-serving lock-peers check format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv:  ## build .venv from the locks, with .venv/bin/lockgate (nothing to do when it is up to date)
	@$(PYTHON) tools/build_venv.py

demo: venv  ## the main job, start to end, on a real model; stops what it started
	@$(BIN)/lockgate demo $(ARGS)

up: venv  ## start Lockgate on this machine and leave it running until Ctrl-C
	@$(BIN)/lockgate up $(ARGS)

test: venv  ## all tests; ARGS='-k word' picks some
	$(PYTEST) $(ARGS)

test-long: venv  ## all tests, each property with its full number of rounds
	$(PYTEST) --long $(ARGS)

bench: bench-registry bench-growth bench-governance bench-record bench-serving  ## every benchmark: two hours

bench-registry: venv  ## the registry beside stock MLflow's, twenty minutes; ROUNDS=3, ARGS=--quick
	$(BIN)/python -m benchmarks.registry $(ARGS)

bench-growth: venv  ## what each operation costs at 10, 1,000 and 100,000 versions; ARGS=--quick
	$(BIN)/python -m benchmarks.growth $(ARGS)

bench-governance: venv  ## what gates, record and custom rules add to a transition; a hundred promotions at once
	$(BIN)/python -m benchmarks.governance $(ARGS)
	$(BIN)/python -m benchmarks.custom_rules

bench-record: venv  ## a record of a million entries: proofs, and its verification; ARGS='--entries 100000'
	$(BIN)/python -m benchmarks.record $(ARGS)

bench-serving: venv  ## predictions beside seven other servers, each in an environment of its own; ARGS=--quick
	$(BIN)/python -m benchmarks.serving $(ARGS)

check: venv  ## lint, format, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv  ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# `make lock` keeps the versions that still fit; `make lock ARGS=--upgrade` takes the newest.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-emit-index-url \
	--only-binary :all: --custom-compile-command 'make lock' $(ARGS)

lock: venv  ## resolve the dependencies again, for every supported Python, as hashes without addresses
	$(LOCK) --output-file requirements/runtime.txt
	$(LOCK) --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt

PEERS := $(basename $(notdir $(wildcard benchmarks/serving/peers/*.in)))

lock-peers: venv  ## resolve what the other servers of the serving benchmark are installed from
	cd benchmarks/serving/peers && for peer in $(PEERS); do \
		../../../$(BIN)/uv pip compile $$peer.in --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --only-binary :all: --no-annotate --custom-compile-command 'make lock-peers' $(ARGS) \
			--output-file $$peer.txt || exit 1; \
	done

clean:  ## remove .venv and what the checks and tests left (not .lockgate/, which holds your models' record)
	rm -rf .venv .venv.lock build dist src/*.egg-info .coverage* htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests tools benchmarks -type d -name __pycache__ -prune -exec rm -rf {} +
