# The two commands of the README, and what developers need besides. Each sets up everything by itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PACKAGES := components lambdas instance ledger lab
# Bytecode is written once at installation: without it every process imports about four times slower.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help rehearse test coverage bench lint format clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

rehearse: $(INSTALLED) ## interrupt a training fleet on this machine and watch it recover (ARGS="--scenario storm")
	$(BIN)/spotkeeper rehearse aws $(ARGS)

test: $(INSTALLED) ## run all tests (ARGS="-k fleet")
	$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

coverage: $(INSTALLED) ## run all tests and tell which lines none of them reaches
	$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder --cov --cov-report=term $(ARGS)

bench: $(INSTALLED) ## measure storms, cold starts, single notices and declarations (ARGS="--full")
	$(BIN)/python bench $(ARGS)

lint: $(INSTALLED) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## bring the code into the project's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove what was installed and made
	rm -rf $(VENV) out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"python: was %d.%d, expected 3.11 or newer: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
