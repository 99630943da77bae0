# `make demo` and `make test` need Python and make, nothing else: they set up $(VENV) first, once.
# PYTHON       the interpreter to start from            make test PYTHON=python3.12
# TORCH_INDEX  an index with CPU builds of torch        see README.md, "Quick start"
# WORKERS      test processes                           make test WORKERS=1
# PYTEST_ARGS  what to run                              make pytest PYTEST_ARGS="-m smoke"

PYTHON      ?= python3
VENV        ?= .venv
TORCH_INDEX ?=
WORKERS     ?= logical
PYTEST_ARGS ?=
DEMO_ARGS   ?=
BENCH_ARGS  ?=

BIN := $(VENV)/bin
PIP  = $(BIN)/python -m pip install --quiet --disable-pip-version-check \
       --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
# Building without isolation takes the build tools from the constraints too; isolation would fetch the newest.
INSTALL = $(PIP) hatchling editables && $(PIP) --no-build-isolation --editable

# Where code is generated, compiled and run; the features of a machine with AVX2 and no more.
MACHINE_TESTS := tests/emit tests/schedule tests/runtime tests/test_golden.py tests/test_golden_fused.py \
                 tests/test_end_to_end.py tests/differential/test_compiled.py tests/differential/test_halves.py
AVX2 := +avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt

.PHONY: help demo test pytest test-generic bench lint types fmt constraints clean
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:
	@echo "make demo         set up, then run the main job on data that comes along"
	@echo "make test         set up for development, then run every check and test"
	@echo "make bench        scorch beside torch.sparse, scipy and dense torch"
	@echo "make pytest       the tests alone (PYTEST_ARGS='-m smoke' for the quick ones)"
	@echo "make test-generic the tests of machine code as for a plain x86-64 and for an AVX2 machine"
	@echo "make lint         ruff and the layers of imports"
	@echo "make types        mypy, strict"
	@echo "make fmt          mend formatting and what ruff can mend"
	@echo "make constraints  write constraints.txt anew: the newest of all but torch (slow)"
	@echo "make clean        remove $(VENV) and every cache in this folder"

demo: $(VENV)/.demo
	$(BIN)/scorch demo $(DEMO_ARGS)

test: lint types pytest

pytest: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_ARGS)

# The name of a CPU alone keeps the host's vector features, unless it is "generic".
test-generic: $(VENV)/.dev
	NUMBA_CPU_NAME=generic $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(MACHINE_TESTS)
	NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=$(AVX2) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(MACHINE_TESTS)

bench: $(VENV)/.dev
	$(BIN)/python -m asv_benchmarks.compare $(BENCH_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

fmt: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# A stamp is touched after a whole installation only, so an interrupted one is taken up again.
$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (torch and Numba: some minutes and more than 1 GB the first time) ..."
	@$(INSTALL) '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV) for development (some minutes and more than 1 GB the first time) ..."
	@$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.demo

# Missing, or a link to a Python that is gone: make sees both as missing.
$(BIN)/python:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "There is no '$(PYTHON)'. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Scorch needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" --version 2>&1)." \
	       "Name another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear "$(VENV)"

# torch's own pin is held: a newer torch is taken up on purpose, by editing its line, never by the way.
constraints:
	@rm -rf "$(VENV)-constraints"
	@$(MAKE) --no-print-directory "$(VENV)-constraints/bin/python" VENV="$(VENV)-constraints"
	@grep '^#\|^torch==' constraints.txt > constraints.old
	@$(VENV)-constraints/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.old $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  hatchling editables --editable '.[dev]'
	@$(VENV)-constraints/bin/python -m pip freeze --all --exclude-editable --exclude pip --exclude wheel \
	  > constraints.new
	@{ grep '^#' constraints.old; sed 's/+[a-z0-9.]*$$//' constraints.new; } > constraints.txt
	@rm -rf constraints.old constraints.new "$(VENV)-constraints"

clean:
	rm -rf "$(VENV)" "$(VENV)-constraints" build dist html .asv .hypothesis .import_linter_cache .mypy_cache \
	  .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
