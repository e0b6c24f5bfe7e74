# Everything a fresh machine needs: Python 3.11 or newer, and make.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: run test check bench clean

run: $(VENV)/.run  ## install, then serve the starter model and the demo library
	$(BIN)/earmark serve $(ARGS)

test: $(VENV)/.test  ## install, then run the tests
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(VENV)/.test build/typing  ## lint, formatting, types, Dockerfiles, scripts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint docker/*.Dockerfile
	$(BIN)/shellcheck docker/earmark-train docker/make-secrets docker/slurm/*

bench: $(VENV)/.test  ## measure; never fails on time
	$(BIN)/python -m tests.benchmarks.bench_service

# The folders under the name that they are imported by, for mypy.
build/typing:
	mkdir -p $@/earmark
	for each in index model service training; do ln -sfn ../../../$$each $@/earmark/$$each; done

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.run: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,check]'
	touch $@
