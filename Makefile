# demo: see it work.  test: the default tests.  check: lint, types and the default tests, as before a commit.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -m
# Two torch threads that wait for each other are slower than one, and the tests already run in two processes.
export OMP_NUM_THREADS ?= 1
export MPLBACKEND ?= Agg

.PHONY: demo test test-all check lint golden

demo: $(VENV)/.installed
	$(RUN) twingym.experiments.demo

test: $(VENV)/.installed-dev
	$(RUN) pytest -n 2 $(ARGS)

test-all: $(VENV)/.installed-dev
	$(RUN) pytest -n 2 -m "slow or not slow" $(ARGS)

check: lint test

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

# Write tests/golden/ for a scenario whose version was raised; the diff belongs in the same commit. What a version holds
# is not written over, but for what another platform rounds otherwise (below 1e-6, relative): ARGS=--rounding.
golden: $(VENV)/.installed-dev
	$(RUN) pytest --golden $(ARGS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(RUN) pip install -e .
	touch $@

# All that the demo needs is among it.
$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(RUN) pip install -e ".[dev]"
	touch $@ $(VENV)/.installed
