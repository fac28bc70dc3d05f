# The few commands of this repository. Each target first sets up what it needs, in .venv, from the locked versions.

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes \
	--no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --build-deps-for editable --extra postgres

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format docs bench lock clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEVELOPMENT) ## Set up everything that development needs

demo: $(RUNTIME) ## Watch two campaigns arrive in a CRM, and see the proof
	@if [ -n "$$CI" ] || [ ! -t 1 ]; then exec $(BIN)/gateway demo --once; else exec $(BIN)/gateway demo; fi

test: $(DEVELOPMENT) ## Run every test; what a missing program skips is named at the end
	@$(BIN)/python -m pytest -rs

check: $(DEVELOPMENT) ## Lint, format, types, compose file, architecture, documentation
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@$(BIN)/python -m pytest tests/test_architecture.py tests/test_docs.py

format: $(DEVELOPMENT) ## Bring the code into the shape that check asks for
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(DEVELOPMENT) ## Write the generated pages anew
	@$(BIN)/python docs/generate_settings.py

bench: $(DEVELOPMENT) ## Measure
	@for each in bench/*.py; do $(BIN)/python "$$each" || exit; done

lock: $(DEVELOPMENT) ## Resolve the dependencies of pyproject.toml into the two lock files; UPGRADE=--upgrade for newer ones
	@$(COMPILE) $(UPGRADE) --output-file requirements.lock pyproject.toml
	@$(COMPILE) $(UPGRADE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## Remove the virtual environment and every cache
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Setting up .venv to run the gateway …"
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME)
	@echo "Setting up .venv to develop and test …"
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "The gateway needs Python 3.11 or newer: run make with PYTHON=<its path>" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is needed (Debian: python3-venv)" >&2; rm -rf .venv; exit 1; }
