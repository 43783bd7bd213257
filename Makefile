# Two commands are all a newcomer needs: `make demo` and `make test`. Every target first makes the environment, .venv,
# where it is missing or older than what it is made from.

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3 python; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
# A process a core, four at most: each trains the small models that its tests share once more.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help env demo test ui check format bench clean

help:  ## say what there is
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

test: $(STAMP)  ## run every test, the layers on TensorFlow and on JAX
	$(BIN)/python -m pytest $(PARALLEL)
	KERAS_BACKEND=jax $(BIN)/python -m pytest $(PARALLEL) tests/layers

ui: $(STAMP)  ## open the page
	$(BIN)/cnnapp ui

check: $(STAMP)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## mend what lint and format can mend
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
	rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis runs reports predictions artifacts exports
