# Everything happens in virtual environments of this folder: nothing is installed elsewhere. Needed: make, and Python 3.11
# or later with pip and venv. Packages come from wherever pip on this machine is configured to take them.
#   make demo   a small dataset, made without a key, shown as a table
#   make test   the test suite               make check  all that must pass before a change is accepted
#   make bench  the benchmarks               make docs   the examples in README, docs and docstrings, run
#   make servers  servers that others wrote, for tests/real; `make test` does without them where they are not there
#   make format, make lint, make clean
# PYTHON=… names the interpreter for .venv, TESTS=… what pytest gets, BENCH=… one benchmark.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help demo test check bench docs servers lint format format-check types contracts test-lowest clean

export PIP_DISABLE_PIP_VERSION_CHECK := 1
PYTHON ?=
TESTS ?= -n 2
BENCH ?= *
BIN := .venv/bin
LOWEST := .venv-lowest/bin
FORMATTED := src tests benchmarks scripts $(wildcard examples)

help:
	@sed -n 's/^#   //p' Makefile

demo: .venv/.installed
	$(BIN)/rowsmith demo

test: .venv/.installed-dev
	$(BIN)/python -m pytest $(TESTS)

servers: .venv-real/.installed

docs: .venv/.installed-dev
	$(BIN)/python -m pytest tests/docs

bench: .venv/.installed-dev
	@failed=0; for file in benchmarks/$(BENCH).py; do \
		echo "== $$file"; $(BIN)/python "$$file" || failed=1; \
	done; exit $$failed

format: .venv/.installed-dev
	$(BIN)/ruff check --fix $(FORMATTED)
	$(BIN)/ruff format $(FORMATTED)

format-check: .venv/.installed-dev
	$(BIN)/ruff format --check $(FORMATTED)

lint: .venv/.installed-dev
	$(BIN)/ruff check $(FORMATTED)

types: .venv/.installed-dev
	$(BIN)/mypy

contracts: .venv/.installed-dev
	$(BIN)/lint-imports --no-logo

# One after the other, cheapest first, also under `make -j`; pytest's closing lines are the last to be printed.
check: .venv/.installed-dev servers
	$(MAKE) --no-print-directory format-check
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory types
	$(MAKE) --no-print-directory contracts
	$(MAKE) --no-print-directory test
	$(MAKE) --no-print-directory test-lowest

# The suite on the lowest versions that pyproject.toml allows for what Rowsmith itself depends on.
test-lowest: .venv-lowest/.installed
	$(LOWEST)/python -m pytest $(TESTS) -p no:cacheprovider

clean:
	rm -rf .venv .venv-lowest .venv-real .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is younger than what it was made from: only a changed pyproject.toml installs again.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml .venv/.installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# pip reads dependency groups from 25.1 on.
.venv/bin/python:
	@python="$$(bash scripts/find-python.sh $(PYTHON))" && echo "making .venv with $$python" && "$$python" -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# The core is held at its lowest versions while the tools of the tests are installed beside it.
.venv-lowest/.installed: pyproject.toml scripts/lowest.py
	rm -rf .venv-lowest
	@python="$$(bash scripts/find-python.sh $(or $(PYTHON),python3.11))" && \
	echo "making .venv-lowest with $$python" && "$$python" -m venv .venv-lowest
	$(LOWEST)/python scripts/lowest.py > .venv-lowest/lowest.txt
	$(LOWEST)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/python -m pip install --quiet --constraint .venv-lowest/lowest.txt --editable . --group test
	@touch $@

# LiteLLM's proxy holds rich and others at releases of its own choice: it must not decide what the suite is run with.
.venv-real/.installed: pyproject.toml tests/support/aimock.py | .venv/.installed-dev
	$(BIN)/python -m venv .venv-real
	.venv-real/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-real/bin/python -m pip install --quiet --group real
	$(BIN)/python tests/support/aimock.py
	@touch $@
