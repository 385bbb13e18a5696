# make demo  sets up .venv and runs the whole job on the bundled scene
# make test  sets up .venv and runs the tests
# make bench runs the benchmarks, on an idle machine; CAPTURES=DIR adds the captures of a folder
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench lint setup setup-dev clean

demo: .venv/.all
	$(BIN)/sanerf demo --out demo

test: .venv/.dev
	$(BIN)/python -m pytest

bench: .venv/.dev
	$(BIN)/python benchmarks/kernels.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/fields.py --checkpoints 4 $(if $(CAPTURES),--captures $(CAPTURES))

lint: .venv/.dev
	$(BIN)/ruff check src tests recipes benchmarks
	$(BIN)/ruff format --check src tests recipes benchmarks
	$(BIN)/pyright

setup: .venv/.all
setup-dev: .venv/.dev

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.all: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[all]'
	touch $@

.venv/.dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch .venv/.all $@

clean:
	rm -rf .venv demo
