# evalrunner: everything a clone needs, with nothing but make and a Python >= 3.10.

.DEFAULT_GOAL := help
.PHONY: help setup demo check test tests coverage test-sdk test-again browser lint style types compile package bench-loss bench-overhead bench-memory bench-growth bench-backend bench-parse bench-upload bench-push bench-pages bench-doctor chaos chaos-causes chaos-repair clean
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Four at once on two cores: half of a test's life is waiting for a process to start or for a deadline.
SHARED := --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python -m pytest $(SHARED) -n 6
# Without the contracts of engines, which start some hundred processes.
QUICK := tests/unit tests/contract tests/evalbackend/unit --ignore-glob='*/test_engines*.py'
COVERAGE := $(BIN)/python -m coverage

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## make .venv with the tested versions (PYTHON=... chooses the interpreter)
	@sh scripts/setup.sh

demo: setup ## run the quickstart with 4 workers, kill one on purpose, see that nothing was lost
	@$(BIN)/python scripts/demo.py

check: ## for the hand on the keyboard, under two minutes: the gates, unit and quick contract tests
	@$(MAKE) --jobs=2 lint compile
	@$(PYTEST) -n 2 -q $(QUICK)

# mypy keeps one core busy for a minute, and the tests leave a quarter of both idle.
test: ## the gates, and every test
	@$(MAKE) --jobs=2 style compile browser
	@$(MAKE) --jobs=2 types tests

tests: ## every test, without the gates
	@$(PYTEST)

coverage: setup ## the lines that the tests of `make check` run, with a floor; twice their processor time
	@rm -rf .coverage && $(COVERAGE) run -m pytest $(SHARED) -n 2 -q $(QUICK)
	@$(COVERAGE) combine --quiet 2>/dev/null || true # a process that a test has killed leaves half a file
	@$(COVERAGE) report 2>/dev/null

test-again: setup browser ## the tests 20 times beside a busy neighbour, and in 20 orders (hours)
	@$(BIN)/python scripts/again.py --times 20 tests/browser tests/process tests/e2e tests/smoke
	@$(BIN)/python scripts/again.py --seeds 1-20 tests/unit tests/contract tests/evalbackend/unit tests/evalbackend/contract

test-sdk: setup ## what depends on the SDK, with another version of it: make test-sdk SDK=0.14.17
	@sh scripts/test_sdk.sh

browser: ## chromium for the tests of the pages, where it may be installed
	@sh scripts/browser.sh

lint: style types ## style, format, import contracts, types

style: setup ## style, format, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: setup ## mypy, strict
	@$(BIN)/mypy

# mypy has one core. Without this every process of the tests compiles for itself what it imports: when a clone is new,
# and always where PYTHONDONTWRITEBYTECODE is set. The tests' own modules are pytest's to compile, for their asserts.
compile: setup ## byte code of what the tests import
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q src scripts
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --collect-only -qq -p no:cacheprovider >/dev/null 2>&1 || true

package: setup ## sdist and wheel in dist/, the wheel tried in a fresh venv
	@$(BIN)/python scripts/package.py

bench-loss: setup ## the article's recipe and evalrunner under the same faults: what is lost
	@$(BIN)/python scripts/bench/loss.py

bench-overhead: setup ## rate, overhead and time to the first example against plain aevaluate
	@$(BIN)/python scripts/bench/overhead.py

bench-memory: setup ## memory of supervisor and workers at 2,000 and at 10,000 examples
	@$(BIN)/python scripts/bench/memory.py

bench-growth: setup ## how wall, CPU, requests and memory grow with the number of examples
	@$(BIN)/python scripts/bench/growth.py

bench-backend: setup ## the local backend: runs taken in per second, a page of them, memory
	@$(BIN)/python scripts/bench/backend.py

bench-parse: setup ## how fast files of recorded runs are read, and in how much memory
	@$(BIN)/python scripts/bench/parse.py

bench-upload: setup ## what `evalrunner upload` takes, beside the usual script and beside the bytes alone
	@$(BIN)/python scripts/bench/upload_stages.py --runs 20000 --size 2400
	@$(BIN)/python scripts/bench/upload_stages.py --runs 6000 --size 24000
	@$(BIN)/python scripts/bench/upload.py --runs 20000 --sizes 2400
	@$(BIN)/python scripts/bench/upload.py --runs 6000 --sizes 24000 --serve

bench-push: setup ## memory of `evalrunner push` with 10,000 and with 100,000 runs
	@$(BIN)/python scripts/bench/push.py

bench-doctor: setup ## requests, seconds and memory of verify, doctor and --plan over 10,000 examples
	@$(BIN)/python scripts/bench/doctor.py

bench-pages: setup ## the pages over 10,000 examples: cold, after a write, again
	@$(BIN)/python scripts/bench/pages.py

chaos: setup ## kill workers, supervisors and the backend, and start several commands at once; then every outage
	@$(BIN)/python scripts/chaos/kills.py --mode both --seeds 20
	@$(BIN)/python scripts/chaos/commands.py
	@$(BIN)/python scripts/chaos/outage.py
	@$(BIN)/python scripts/chaos/backend_kills.py
	@$(BIN)/python scripts/chaos/upload.py

chaos-repair: setup ## an outage, forgotten traces, a kill and lost scores; then repair, and what that cost
	@$(BIN)/python scripts/chaos/repair.py

chaos-causes: setup ## lose runs in every known way with the plain SDK, and see what is said of it
	@$(BIN)/python scripts/chaos/causes.py
	@$(BIN)/python scripts/chaos/causes.py --pairs 30
	@$(BIN)/python scripts/chaos/causes.py --healthy --seeds 3

clean: ## remove what setup, demo and the tests made
	@rm -rf .venv .venv-sdk-* demo build dist src/*.egg-info .evalrunner
	@rm -rf .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
