# Every target sets up what it needs, once; a step that cannot be set up stops with what to do.
#   make demo [PORT=8000]   build the default model, look at a photo, serve the page
#   make test               all tests: Python, JavaScript types, real Chromium, real Firefox
#   make check              lint, formatting, types, import contract, tsc (under a minute)
#   make bench [ARGS=...]   every figure, beside TF.js, ONNX Runtime Web, LiteRT.js and jax-js
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PORT ?= 8000
ARGS ?=
# Processes that run tests: each keeps about one core busy. 0: none but pytest's own, for a debugger.
WORKERS ?= 2
PY := .venv/bin/python
TSC := tools/with_node.sh node node_modules/typescript/bin/tsc

PYTHON_READY := .venv/.ready-python
NODE_READY := node_modules/.ready
BROWSERS_READY := .venv/.ready-browsers
# Studio's page with its libraries: made of fanlight/web/studio by esbuild.
STUDIO_READY := fanlight/web/studio/dist/studio.js

.PHONY: help setup demo test check bench format clean

help:
	@sed -n 's/^#   //p' Makefile

setup: $(PYTHON_READY) $(NODE_READY) $(BROWSERS_READY) $(STUDIO_READY)

$(PYTHON_READY): pyproject.toml constraints.txt tools/setup_python.sh
	@tools/setup_python.sh
	@touch $@

$(NODE_READY): package.json tools/setup_node.sh tools/with_node.sh | $(PYTHON_READY)
	@tools/setup_node.sh
	@touch $@

$(BROWSERS_READY): tools/setup_browsers.sh | $(PYTHON_READY)
	@tools/setup_browsers.sh
	@touch $@

$(STUDIO_READY): $(NODE_READY) tools/bundle_studio.mjs $(shell find fanlight/web/studio fanlight/web/runtime fanlight/web/pages -name '*.js' -not -path '*/dist/*')
	@tools/with_node.sh node tools/bundle_studio.mjs

# A photo to look at: one of the shared test photos where they are, else the picture that ships.
DEMO_PHOTO := $(firstword $(wildcard ../shared/data/photos/pizza.jpg))
demo: $(PYTHON_READY) $(STUDIO_READY)
	@$(PY) -m fanlight demo --port $(PORT) $(DEMO_PHOTO) $(ARGS)

test: setup
	@$(TSC) -p tsconfig.json
	@$(PY) -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(PYTHON_READY) $(NODE_READY)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports --cache-dir .venv/.import_linter_cache
	@$(TSC) -p tsconfig.json

bench: setup
	@$(PY) -m bench $(ARGS)

format: $(PYTHON_READY)
	@$(PY) -m ruff check --fix-only .
	@$(PY) -m ruff format .

clean:
	rm -rf .venv node_modules bench/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
