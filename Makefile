# The only list of verbs, identical by hand and in CI. Needs python3 (3.11 to 3.14) and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/sh
# A Python compiled without profile-guided optimisation, as pyenv does by default, takes 1.6 times as long over the
# suite. A system's own has it, so that comes first if it will do.
PYTHON ?= $(firstword $(shell for python in /usr/bin/python3 python3; do \
	$$python -c 'import ensurepip, sys; assert sys.version_info >= (3, 11); print(sys.executable)' 2>/dev/null; \
	done) python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
unexport PYTHONDONTWRITEBYTECODE

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## /  make \1  /p' Makefile

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(READY)

demo: $(READY) ## one task the whole way on the local stack, with its timeline and cost
	$(BIN)/python -m ratchet.cli.main demo $(ARGS)

dev: $(READY) ## keep the local stack up (Ctrl-C ends it)
	$(BIN)/python -m ratchet.cli.main dev $(ARGS)

WORKERS ?= 2

test: $(READY) ## the whole suite, in so many processes: WORKERS=n
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

SCHEDULES ?= 50000
SEED ?= 1
PAIRS ?= 2000

sim: $(READY) ## fault plans and random schedules: SCHEDULES=n SEED=s PAIRS=most two-fault plans of a long story (0: none at all)
	$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) --seed $(SEED) --pairs $(PAIRS)

soak: $(READY) ## 1,000,000 random schedules and every two-fault plan
	$(BIN)/python -m tests.simulation --schedules 1000000 --seed $(SEED) --pairs 1000000

mutants: $(READY) ## plant bugs one by one; each must be caught
	$(BIN)/python -m tests.simulation.mutants $(ARGS)

lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy shared functions cdk tests

format: $(READY) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

openapi: $(READY) ## write events/openapi.json anew from the routes and their models
	$(BIN)/python -m tests.openapi

bench: $(READY) ## ratios and counts, side by side in one run
	$(BIN)/python -m tests.bench $(ARGS)

estimate: $(READY) ## dollars a month, sandboxes, quotas: ARGS="--tasks-per-day N --steps N --json"
	@$(BIN)/python -m ratchet.cli.main estimate $(ARGS)

simulate: $(READY) ## bursts of tenants against limits: ARGS="--tenant big:10000 --tenant quiet:10 --plots DIR"
	@$(BIN)/python -m ratchet.cli.main simulate $(ARGS)

synth: $(READY) ## write the CloudFormation template to .build/cdk.out (offline after the first time)
	$(BIN)/python -m cdk.synth $(ARGS)

deploy: $(READY) ## deploy into the AWS account of your credentials
	$(BIN)/python -m cdk.deploy $(ARGS)

lock: $(READY) ## resolve the dependencies again
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile pyproject.toml --quiet --all-extras --group cdk --group local --group dev --universal \
		--generate-hashes --no-emit-index-url --python-version 3.11 --upgrade --output-file requirements.lock

clean: ## remove everything that was built
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache

.PHONY: help demo dev test sim soak mutants lint format openapi bench estimate simulate synth deploy lock clean
