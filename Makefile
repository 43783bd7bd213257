# Two commands are all a newcomer needs: `make demo` and `make test`. Every target first makes the environment, .venv,
# where it is missing or older than what it is made from.

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
# A process a core, four at most. A file stays in one process, for what its tests share; files come in the order of
# tests/conftest.py, which begins with those that wait for servers.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(FLAGS)
# What is left out takes long; tests/helpers/profiles.py draws fewer examples of properties unless it is told otherwise.
QUICK := -m "not slow"

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help env demo test test-all cover fuzz ui check format bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(STAMP)  ## make the environment

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 with venv is needed; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version); the first time takes some minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(STAMP)  ## train the digits classifier, evaluate, predict, and write a report
	$(BIN)/cnnapp demo

test: $(STAMP)  ## run the tests, and on JAX what each family of layers has to keep
	$(PYTEST) $(QUICK)
	KERAS_BACKEND=jax $(PYTEST) -m "contract and not slow" tests/layers

test-all: export CNNAPP_TEST_PROFILE := full
test-all: $(STAMP)  ## run every test, with all examples, and every test of the layers on JAX too
	$(PYTEST)
	KERAS_BACKEND=jax $(PYTEST) tests/layers

cover: $(STAMP)  ## line coverage of `make test`; .coverage records the tests that run each line
	$(PYTEST) $(QUICK) --cov --cov-context=test --cov-report=
	$(BIN)/python -m coverage report --skip-covered --sort=cover

fuzz: $(STAMP)  ## spoil files at random, ten minutes for each reader of files from outside
	$(BIN)/python tests/tools/fuzz.py --json fuzz.json

ui: $(STAMP)  ## open the page
	$(BIN)/cnnapp ui

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .
	$(BIN)/mypy

format: $(STAMP)  ## fix what lint and format can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## measure every speed claim; installs the peers, PyTorch and ONNX Runtime
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/train_classifier.py
	$(BIN)/python benchmarks/layers.py
	$(BIN)/python benchmarks/large_kernels.py
	$(BIN)/python benchmarks/dense_scan.py
	$(BIN)/python benchmarks/detect.py
	$(BIN)/python benchmarks/segmentation.py
	$(BIN)/python benchmarks/large_image.py
	$(BIN)/python benchmarks/serve.py
	$(BIN)/python benchmarks/sessions.py

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage fuzz.json runs reports predictions artifacts exports
