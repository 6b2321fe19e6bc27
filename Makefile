# The README's commands. `make demo` and `make test` lay what they need by themselves.
#
#   make demo [ONCE=1] [INPUT=PATH] [DATA=PATH] [PORT=N]   the whole road, from PACS to PACS, on this machine
#   make study [DATA=PATH]                                one more study into the demo that is up
#   make test                                             checks and tests, at most 12 minutes on 2 cores
#   make trials [ONLY=name]                               every promised figure at its full size, JSON lines
#   make bench [ONLY=name]                                speeds, JSON lines
#   make screens                                          pictures of every page, both languages and themes
#   make setup | lint | format | check | lock | docs

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
WORKERS ?= 2

.PHONY: help setup setup-tests demo study test check lint format types contracts trials bench lock docs screens

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

setup:
	@.ci/setup

setup-tests:
	@.ci/setup --tests

# The last line of standard output is one JSON object; make's own words go elsewhere.
demo: setup
	@exec $(BIN)/python -m teleread.demo.demo --data "$(or $(DATA),demo-data)" \
		$(if $(ONCE),--once) $(if $(INPUT),--input "$(INPUT)") $(if $(PORT),--port "$(PORT)")

study: setup
	@exec $(BIN)/python -m teleread.demo.another --data "$(or $(DATA),demo-data)"

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/typos

types:
	@$(BIN)/mypy

contracts:
	@$(BIN)/lint-imports

check: lint types contracts

format:
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: setup-tests check
	@$(BIN)/python -m pytest tests --ignore=tests/trials --ignore=tests/benchmarks \
		--gateway-alone -n $(WORKERS)

trials: setup-tests
	@$(BIN)/python -m tests.trials $(ONLY)

bench: setup
	@$(BIN)/python -m tests.benchmarks $(ONLY)

screens: setup-tests
	@$(BIN)/python -m tests.screens 2>/dev/null

lock: setup
	@$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --python-version 3.11 --no-header \
		--quiet --output-file requirements.lock

docs: setup
	@$(BIN)/python -m tests.contracts.generated_docs
