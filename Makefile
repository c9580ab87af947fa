# `make demo` shows the whole way on generated data; `make run` is the main job; `make test-fast` and `make test` check;
# `make bench` compares speed with TRL and the released code (`make bench QUICK=1`: at most 8 minutes).
PYTHON ?= python3
BIN := .venv/bin
CHECKED := sprec benchmarks

.PHONY: setup demo run lint test test-ci tests-ci test-fast test-install tables bench

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "torch>=2.6,<2.14"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh

run: setup
	$(BIN)/python -m sprec.run dataset=movielens

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CHECKED)

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not install and not soak"

# All but what starts groups of processes or loads the real LLM: what `.ci/run` has time for. Tests leave a third of
# two cores idle, so there `make --jobs=2` runs the linters beside them.
test-ci: lint tests-ci

tests-ci: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal --durations=40 -m "not long and not install and not soak"

# The wheel, installed in a new environment without the constraints, runs outside the checkout.
test-install: setup
	$(BIN)/python -m pytest -q -m install tests/test_install.py

# Pure functions and tiny models: what neither starts whole commands nor tunes for long.
test-fast: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not long and not gpu and not install and not soak"

# Every table and figure of README and docs that comes from the records in results/.
tables: setup
	$(BIN)/python results/make_tables.py

bench: setup
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
