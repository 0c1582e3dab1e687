# The two commands of the README: `make demo` and `make test`. Everything is installed into .venv and built into target.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
OUT ?= runs/demo
SOURCES := $(shell find rust python -name '*.rs' -o -name '*.py' -o -name '*.toml' -o -name '*.j2' -o -name '*.css') Cargo.toml Cargo.lock pyproject.toml

.PHONY: demo test lint bench peers clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(PY) -m unmemorize demo --out "$(OUT)"

test: $(VENV)/.installed-dev
	cargo test --workspace --locked
	$(PY) -m pytest
	$(PY) -m pytest --doctest-modules --pyargs unmemorize

lint: $(VENV)/.installed-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m mypy.stubtest unmemorize._core
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

bench: $(VENV)/.installed-dev
	cargo bench --locked

# About ten minutes on a quiet machine; writes docs/benchmarks.md.
peers: $(VENV)/.installed-dev
	$(PY) -m benches.peers --write

clean:
	rm -rf target $(VENV)

$(PY):
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip

# The wheel is built and installed, not linked: what is tested is what users get.
$(VENV)/.installed: $(SOURCES) | $(PY)
	$(PY) -m pip install ".[cli]"
	touch $@

$(VENV)/.installed-dev: $(SOURCES) | $(PY)
	$(PY) -m pip install ".[dev]"
	touch $@ $(VENV)/.installed
