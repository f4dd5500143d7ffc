# The menu. `make help` explains every target; `make demo` and `make test` start from a bare clone.

.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
# More options for pytest, such as ARGS="-k fence".
ARGS ?=
# So many processes share the tests, a file of tests at a time; they wait more than they work.
PROCESSES ?= 3

.PHONY: help setup demo test test-long test-fast check lint types bench bench-detection clean

help: ## List every target with what it does.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv from uv.lock and install what the lab can use; quick when done already.

$(STAMP): uv.lock pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh
	@touch $@

demo: setup ## Boot the lab, break the target under load, roll back level 2, and write a report.
	@$(BIN)/python -m failback.lab.demo

test: setup ## Run every test, those that start real servers included.
	$(BIN)/pytest -n $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: setup ## Run what takes long: 600 generated histories, 20 000 bodies at the gateway, 50 kills in a drain of 500 000 changes.
	HYPOTHESIS_PROFILE=long $(BIN)/pytest tests/property tests/faults -m "long or not long" $(ARGS)

test-fast: setup ## Run the tests that start no server.
	$(BIN)/pytest -q -m "not servers" $(ARGS)

lint: setup ## Check style, formatting and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: setup ## Check the types.
	$(BIN)/mypy

check: lint types test-fast ## Lint, types, import contracts and the fast tests; under two minutes.

bench: setup ## Run every benchmark, print the table, write docs/benchmarks.md; ARGS="--scale 0.1".
	@uv=$$(command -v uv || echo .venv-tools/bin/uv); \
	"$$uv" sync --frozen --inexact --all-extras --group bench --quiet
	@$(BIN)/python -m bench $(ARGS)

bench-detection: setup ## Score decisions on labelled incidents, and the anomaly detector on NAB's series; ARGS="--data FOLDER --cross-validate".
	@$(BIN)/python -m bench.incidents
	@$(BIN)/python -m bench.detection $(ARGS)

clean: ## Remove the environments, the caches and what the demo wrote.
	rm -rf $(VENV) .venv-tools demo build dist
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
