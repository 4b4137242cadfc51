# Tocsin. Needs Python 3.11 or newer, git and make; everything else is installed into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 2
MINUTES ?= 30

.PHONY: help up demo test fuzz lint format type arch check bench soak dashboards reference lock env-example migrate revision install clean

help: ## Show what make can do
	@echo "make up      install everything, start Tocsin, show a first alert become an incident (Ctrl-C stops it)"
	@echo "make test    run the tests"
	@echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(ROOT)/Makefile

$(STAMP): $(ROOT)/requirements/dev.txt $(ROOT)/pyproject.toml
	@bash $(ROOT)/deploy/install.sh "$(ROOT)" "$(VENV)"
	@touch $@

install: $(STAMP) ## Make .venv with the locked dependencies

up: $(STAMP) ## Start Tocsin on its own PostgreSQL and Valkey and show the main job
	@cd "$(ROOT)" && exec $(BIN)/tocsin up

demo: $(STAMP) ## Do the same, then exit: 0 only when every step was seen
	@cd "$(ROOT)" && exec $(BIN)/tocsin demo

test: $(STAMP) ## Run the tests
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

fuzz: $(STAMP) ## Try other generated inputs than the tests do, ten times as many; prints how to repeat what fails
	@cd "$(ROOT)" && $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q -m hypothesis --hypothesis-profile=other --timeout=1800

lint: $(STAMP) ## Lint and check the formatting
	@cd "$(ROOT)" && $(BIN)/ruff check . && $(BIN)/ruff format --check -q .

format: $(STAMP) ## Format and mend what can be mended
	@cd "$(ROOT)" && $(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q .

type: $(STAMP) ## Check the types, strictly
	@cd "$(ROOT)" && $(BIN)/mypy

arch: $(STAMP) ## Check the layers
	@cd "$(ROOT)" && $(BIN)/lint-imports --no-cache

check: lint type arch test ## What CI runs

bench: $(STAMP) ## Measure everything side by side; figures go to bench/results/ (needs wrk and prometheus-alertmanager)
	@cd "$(ROOT)" && $(BIN)/python -m bench

soak: $(STAMP) ## Break things for as long as asked: make soak MINUTES=30; prints the seed of any violation
	@cd "$(ROOT)" && $(BIN)/python -m tests.faults.soak --minutes $(MINUTES)

dashboards: $(STAMP) ## Write the Grafana dashboards, and the rules for the Prometheus operator, from the code
	@cd "$(ROOT)" && $(BIN)/python -m app.observability.generate

reference: $(STAMP) ## Write docs/reference from the code
	@cd "$(ROOT)" && $(BIN)/python -m workers.reference docs/reference

migrate: $(STAMP) ## Migrate the database of TOCSIN_DATABASE__OWNER_URL
	@cd "$(ROOT)" && $(BIN)/tocsin db upgrade

revision: $(STAMP) ## Begin a migration: make revision m="what it does"
	@cd "$(ROOT)" && $(BIN)/alembic revision -m "$(m)"

env-example: $(STAMP) ## Write .env.example from the settings
	@cd "$(ROOT)" && $(BIN)/python -m app.settings.example > .env.example

LOCK = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q

lock: $(STAMP) ## Lock the dependencies anew
	@cd "$(ROOT)" && $(LOCK) pyproject.toml -o requirements/image.txt
	@cd "$(ROOT)" && $(LOCK) pyproject.toml --extra embedded -o requirements/base.txt
	@cd "$(ROOT)" && $(LOCK) pyproject.toml --extra embedded --extra dev -o requirements/dev.txt
	@cd "$(ROOT)" && echo setuptools | $(LOCK) - -o requirements/build.txt

clean: ## Remove what was built; data folders stay
	@cd "$(ROOT)" && rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info
	@find "$(ROOT)" -name __pycache__ -type d -prune -exec rm -rf {} +
