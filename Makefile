# Two commands do everything on a fresh machine: `make demo` and `make test`. `make` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
DATA ?= ../shared/data
# command:Debian package, of the servers that tests start on loopback
SERVERS := redis-server:redis-server mariadbd:mariadb-server openssl:openssl faketime:faketime sshd:openssh-server promtool:prometheus
WORKERS ?= 2

.PHONY: help setup demo test sanitize test-data audit check format bench bench-kernel bench-flush bench-build bench-start bench-serve load soak dashboard requirements clean faults

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

KERNEL := hatch_build.py $(wildcard src/talentfeed/ranking/native/*)
.venv/.installed-build: requirements/build.txt pyproject.toml $(KERNEL)
	@scripts/setup.sh build
.venv/.installed-dev: requirements/dev.txt pyproject.toml $(KERNEL)
	@scripts/setup.sh dev

setup: .venv/.installed-dev ## everything for working on the project: .venv and the servers that tests start
	@scripts/setup.sh system $(SERVERS)

demo: .venv/.installed-build ## a feed on made-up data at http://127.0.0.1:5002
	$(BIN)/talentfeed demo $(ARGS)

test: setup ## all tests that need nothing but this repository
	$(BIN)/pytest -n $(WORKERS) -m "not data" $(ARGS)

faults: setup ## kill -9 and worse, in random rounds: is anything lost or doubled? ROUNDS= SEED= LEDGER=off
	PYTHONPATH=. $(BIN)/python -m tests.faults $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(LEDGER),--ledger $(LEDGER)) $(ARGS)

sanitize: setup ## the kernel's tests with every access to memory watched (gcc; minutes)
	scripts/sanitize.sh $(ARGS)

test-data: setup ## tests on the real data: make test-data DATA=folder
	DATA="$(DATA)" $(BIN)/pytest -m data $(ARGS)

audit: setup ## known vulnerabilities of the pinned packages, where the network allows asking
	@scripts/audit.sh

check: setup ## ruff, mypy strict, import contracts, the audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@scripts/audit.sh

format: setup ## format and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: bench-kernel bench-flush bench-build bench-start bench-serve ## every benchmark: a table, then a JSON line

bench-serve: setup ## feeds a second over HTTP, beside the same bytes ready-made
	@scripts/setup.sh system wrk:wrk
	$(BIN)/python -m benchmarks.serve $(ARGS)

bench-kernel: setup ## a feed's time beside a plain reference
	$(BIN)/python -m benchmarks.kernel $(ARGS)

bench-flush: setup ## recording a feed, and flushing into MariaDB beside row-by-row inserts
	$(BIN)/python -m benchmarks.flush $(ARGS)

bench-build: setup ## building a snapshot from MariaDB, today's scale and 10x
	$(BIN)/python -m benchmarks.build $(ARGS)

bench-start: setup ## time to the first feed, to build, and memory of four workers
	$(BIN)/python -m benchmarks.start $(ARGS)

load: setup ## two minutes of feeds, scrolls, events and reloads on a real server: SECONDS= to shorten
	$(BIN)/python -m benchmarks.load --seconds $(or $(SECONDS),120) $(ARGS)

soak: setup ## the same for twenty minutes: does memory stay flat?
	$(BIN)/python -m benchmarks.load --seconds $(or $(SECONDS),1200) $(ARGS)

dashboard: setup ## every panel of the dashboard as text, after two minutes of load: SECONDS= to shorten
	$(BIN)/python -m benchmarks.dashboard --seconds $(or $(SECONDS),120) $(ARGS)

requirements: ## compile the hashed pins anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --extra build --extra s3 --extra otel --group install --group dev --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q -o requirements/dev.txt
	uv pip compile pyproject.toml --extra build --group install --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q -c requirements/dev.txt -o requirements/build.txt
	uv pip compile pyproject.toml --group install --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q -c requirements/dev.txt -o requirements/serve.txt
	uv pip compile pyproject.toml --extra s3 --group install --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q -c requirements/dev.txt -o requirements/s3.txt
	uv pip compile pyproject.toml --extra otel --group install --universal --generate-hashes --python-version 3.11 --no-header --no-annotate -q -c requirements/dev.txt -o requirements/otel.txt

clean: ## remove what was made: .venv, var, logs, caches
	rm -rf .venv var logs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
