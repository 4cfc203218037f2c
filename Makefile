# Needs python3 with venv and pip, and make; nothing else.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -c constraints.txt
SOURCES := raftgate gateway consensus storage tests

.PHONY: run install check fix test soak bench clean

run: .venv/.run
	$(BIN)/raftgate

install: .venv/.test

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Built with the pinned tools (--no-build-isolation): nothing is fetched that constraints.txt does not name.
.venv/.run: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) "setuptools>=77" wheel
	$(PIP) --no-build-isolation -e .
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) "setuptools>=77" wheel
	$(PIP) --no-build-isolation -e '.[test]'
	@touch .venv/.run $@

check: .venv/.test
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_house.py

fix: .venv/.test
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

test: .venv/.test
	$(BIN)/pytest -m 'not soak'

soak: .venv/.test
	$(BIN)/pytest -m soak --timeout 3600

bench: .venv/.test
	$(BIN)/python -m tests.bench

clean:
	rm -rf .venv build *.egg-info
