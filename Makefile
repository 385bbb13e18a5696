# make demo  sets up .venv and runs the whole job on the bundled scene
# make test  sets up .venv and runs the tests
# make bench runs the benchmarks save that of memory, on an idle machine; CAPTURES=DIR adds the captures of a folder
PYTHON ?= python3
BIN := .venv/bin
# The SAM family as its authors wrote it, which tests compare with. Without dependencies: these are torchvision and what
# builds for CUDA, and the tests do without. Where they cannot be installed, those tests are skipped.
ORACLES := segment-anything==1.0 segment-anything-hq==0.3 sam2==1.1.0

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
	$(BIN)/python -m pip install --quiet setuptools wheel
	-SAM2_BUILD_CUDA=0 $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation $(ORACLES)
	touch .venv/.all $@

clean:
	rm -rf .venv demo
