# The two commands of the README, and what maintains the project.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt

.PHONY: quickstart test nightly coverage lowest install tiny lint

quickstart: install
	$(BIN)/peftbench run quickstart --store runs/quickstart

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGUMENTS)

# With every method on all architectures; see CONTRIBUTING.md.
nightly:
	PEFTBENCH_ROTATION=all $(MAKE) test

coverage:
	$(MAKE) test PYTEST_ARGUMENTS="--cov=peftbench --cov-report=term-missing:skip-covered"

# On the lowest versions that pyproject.toml admits, with Python 3.11; their file says how a
# resolver found them.
lowest:
	$(MAKE) test VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGUMENTS) --constraint $(CONSTRAINTS) torch
	$(BIN)/python -m pip install --quiet $(PIP_ARGUMENTS) --constraint $(CONSTRAINTS) --editable ".[dev]"
	touch $@

# Pre-train the embedded model again; see recipes/tiny/README.md.
tiny: install
	$(BIN)/python -m recipes.tiny.train

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
