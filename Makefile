# make demo  sets up .venv and runs the whole job on the bundled scene
# make test  sets up .venv and runs the tests
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint setup setup-dev clean

demo: .venv/.all
	$(BIN)/sanerf demo --out demo

test: .venv/.dev
	$(BIN)/python -m pytest

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
