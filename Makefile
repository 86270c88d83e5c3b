# Two commands: `make report` and `make test`. Each sets up what it needs, once.

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEVELOPMENT := $(VENV)/.development-installed
export PATH := $(BIN):$(PATH)

.PHONY: setup report test fuzz lint format docs clean

## setup: a virtual environment in .venv with pinned dependencies
setup: $(RUNTIME)

## report: run the default study and write reports/embedded/index.html
report: $(RUNTIME)
	@snakemake
	@echo "$(CURDIR)/reports/embedded/index.html"

## test: all tests, formatting and lint; studies on Slurm and in Snakemake, which often wait, run beside the others
test: $(DEVELOPMENT) lint
	@python -m pytest -p no:cacheprovider tests/slurm tests/workflow >$(VENV)/studies.txt 2>&1 & beside=$$!; \
	python -m pytest --ignore tests/slurm --ignore tests/workflow; others=$$?; \
	echo "whole studies:"; wait $$beside; studies=$$?; cat $(VENV)/studies.txt; \
	exit $$(( others || studies ))

## fuzz: 10,000 hostile studies, tables, archives, encoders and score tables, for a nightly job
fuzz: $(DEVELOPMENT)
	@python -m pytest -p no:cacheprovider -m fuzz -s tests/fuzz

lint: $(DEVELOPMENT)
	@ruff check .
	@ruff format --check .
	@snakefmt --check Snakefile workflow/rules

format: $(DEVELOPMENT)
	@ruff check --fix .
	@ruff format .
	@snakefmt Snakefile workflow/rules

## docs: the key table and the JSON schema, generated from the typed configuration
docs: $(RUNTIME)
	@python -m weightwise.config.document > docs/configuration.md
	@weightwise schema > docs/study.schema.json

## clean: forget everything that was computed and downloaded; the environment stays
clean:
	rm -rf .snakemake results/*/ reports/*/

$(RUNTIME): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("weightwise needs Python 3.11 or newer; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
