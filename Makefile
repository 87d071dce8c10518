# The two commands of the README, and what developers need besides. Each sets up everything by itself.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FRAMEWORKS := .venv-frameworks
FRAMEWORKS_INSTALLED := $(FRAMEWORKS)/.installed
PACKAGES := components lambdas instance ledger lab
# Bytecode is written once at installation: without it every process imports about four times slower.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help rehearse rehearsals test test-frameworks coverage bench lint format schema clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

rehearse: $(INSTALLED) ## interrupt a training fleet on this machine and watch it recover (ARGS="--scenario storm")
	$(BIN)/spotkeeper rehearse aws $(ARGS)

rehearsals: $(INSTALLED) ## play every scenario on both clouds, about a quarter of an hour, and say what each came to
	$(BIN)/spotkeeper rehearse aws --every
	$(BIN)/spotkeeper rehearse gcp --every

test: $(INSTALLED) ## run all tests but those with frameworks (ARGS="-k fleet")
	$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

test-frameworks: $(FRAMEWORKS_INSTALLED) ## run the tests with torch, Lightning and transformers (ARGS="-k dcp")
	$(FRAMEWORKS)/bin/pytest tests/frameworks -n 2 --dist loadfile $(ARGS)

coverage: $(INSTALLED) ## run all tests and tell which lines none of them reaches
	$(BIN)/pytest -n 3 --dist loadgroup --no-loadscope-reorder --cov --cov-report=term $(ARGS)

bench: $(INSTALLED) ## measure storms, cold starts, single notices and declarations (ARGS="--full")
	$(BIN)/python bench $(ARGS)

lint: $(INSTALLED) ## check style, types and workflows
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions .github/actions/*/action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/mypy

format: $(INSTALLED) ## bring the code into the project's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

schema: $(INSTALLED) ## renew plugin/schema.json, the contract with other languages (docs/languages.md)
	$(BIN)/python plugin --schema > plugin/schema.new
	mv plugin/schema.new plugin/schema.json

clean: ## remove what was installed and made
	rm -rf $(VENV) $(FRAMEWORKS) out build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"python: was %d.%d, expected 3.11 or newer: make PYTHON=python3.11 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(FRAMEWORKS_INSTALLED): pyproject.toml tests/frameworks/constraints.txt
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
		--constraint tests/frameworks/constraints.txt --editable '.[frameworks]'
	$(FRAMEWORKS)/bin/python -c 'import torch.distributed.fsdp, lightning.pytorch, transformers.trainer' # their bytecode
	@touch $@
