# `make run` sets up .venv and runs the main job; `make test` sets up and runs every check;
# `make bench` compares speed with TRL and the released code (`make bench QUICK=1`: at most 8 minutes).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test bench setup

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch>=2.6,<2.14"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

run: setup
	$(BIN)/python -m sprec.run dataset=movielens

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sprec benchmarks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal

bench: setup
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
