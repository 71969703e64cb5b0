# Every target makes .venv and installs what it needs; when that is done it costs nothing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# One thread for each library's own pool: the processes here share few cores, and pools that fight each other lose.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MKL_NUM_THREADS ?= 1
# Threads that wait must sleep: spinning ones take the core from those that work.
export OMP_WAIT_POLICY ?= PASSIVE
export DATA PRESET

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench accuracy faults soak proto clean

help:  ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing miwake (server, training) into $(VENV)"
	@$(PIP_INSTALL) --editable '.[server,training]'
	@touch $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing miwake (all extras and the developers' tools) into $(VENV)"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(RUN_STAMP)

setup: $(DEV_STAMP)  ## Install everything a developer needs

demo: $(RUN_STAMP)  ## Train, index, serve and stream held-out parts: make demo [DATA=file.parquet] [PRESET=best]
	@PYTHONPATH=tests $(BIN)/python -m demonstration $(if $(DATA),--data "$$DATA") $(if $(PRESET),--preset "$$PRESET")

test: $(DEV_STAMP)  ## Run every test
	@$(BIN)/python -m pytest

check: $(DEV_STAMP)  ## Formatting, lint, types, import rules, the contract and its stubs
	@$(BIN)/ruff format --check
	@$(BIN)/ruff check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint
	@PATH="$(CURDIR)/$(BIN):$$PATH" proto/generate.sh --check

format: $(DEV_STAMP)  ## Format the code and mend what ruff can
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

bench: $(DEV_STAMP)  ## Measure ratios against slow twins into build/bench.json
	@PYTHONPATH=tests $(BIN)/python -m bench

accuracy: $(DEV_STAMP)  ## Measure the default preset into build/accuracy.json: make accuracy [DATA="deeppcb …"] [JOBS=2]
	@PYTHONPATH=tests $(BIN)/python -m accuracy $(DATA) $(if $(JOBS),--jobs $(JOBS))

faults: $(DEV_STAMP)  ## Inject faults in full (minutes; needs a C compiler): counts into build/faults.json
	@MIWAKE_MODEL_EXAMPLES=150 $(BIN)/python -m pytest -q tests/property/test_store_model.py
	@PYTHONPATH=tests $(BIN)/python -m faults

soak: $(DEV_STAMP)  ## Ill-treat a server for minutes: make soak [PARTS="cuts stops"]; counts into build/soak.json
	@PYTHONPATH=tests $(BIN)/python -m soak $(PARTS)

proto: $(DEV_STAMP)  ## Write the stubs from the .proto files anew
	@PATH="$(CURDIR)/$(BIN):$$PATH" proto/generate.sh

clean:  ## Remove the environment and everything built
	rm -rf $(VENV) build dist demo
