# The commands of the project. Everything they write stays inside this folder (.venv/ and var/).
SHELL := /bin/sh
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV
export PYTHONUTF8 := 1
export XDG_CACHE_HOME := $(CURDIR)/var/cache

PYTHON = .venv/bin/python
POLKA = $(PYTHON) -m polka
# The first Python 3.11 that really starts (a pyenv shim may be there and refuse).
FIND_PYTHON = for p in python3.11 /usr/bin/python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && break; p=; done; \
	if [ -z "$$p" ]; then echo "Cannot go on: Python 3.11 was not found; install it: apt install python3.11 python3.11-venv" >&2; exit 1; fi

.PHONY: help
help:  ## this list
	@echo "Polka: the warehouse for distributors"; echo
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		while IFS='|' read -r name what; do printf '%-20s %s\n' "$$name" "$$what"; done

.PHONY: setup
setup:  ## create the environment .venv (every other target does it by itself)
	@$(FIND_PYTHON); "$$p" tools/bootstrap.py

.PHONY: demo
demo: setup  ## the whole road once: database, simulators, Airflow; prints the list of the day
	@$(POLKA) demo

.PHONY: up
up: setup  ## the same stack kept running in the background; `make down` stops it
	@$(POLKA) up

.PHONY: down
down:  ## stop everything that `make up` or `make demo` started
	@if [ -x $(PYTHON) ]; then $(POLKA) down; else echo "Nothing was started here yet."; fi

.PHONY: test
test: lint  ## everything that CI runs: the gauges, then all tests
	@mkdir -p var/tmp var/home; HOME="$$PWD/var/home" TMPDIR="$$PWD/var/tmp" $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations=25 $(ARGS)

.PHONY: lint
lint: setup  ## style, types, import rules, SQL, dbt conventions, YAML
	@mkdir -p var/home; HOME="$$PWD/var/home" $(PYTHON) tools/lint.py

.PHONY: replay
replay: setup  ## serve a real invoice file as a 1C base and run the same DAGs on it: make replay DATA=file.csv.gz
	@if [ -z "$(DATA)" ]; then echo "Which file? make replay DATA=path/to/file.csv.gz" >&2; exit 1; fi
	@$(POLKA) replay "$(DATA)"

.PHONY: bench
bench: setup  ## measurements against peers in the same run: make bench PART=landing
	@$(POLKA) bench $(PART)

.PHONY: check-world
check-world: setup  ## run DAYS business days of the seeded world and compare every list with the planted truths
	@$(POLKA) check-world --days $(or $(DAYS),5)

.PHONY: env
env:  ## write .env with random secrets for docker compose
	@$(FIND_PYTHON); "$$p" deploy/make_env.py

.PHONY: lock
lock:  ## recompile requirements/*.txt from the *.in files
	@$(FIND_PYTHON); "$$p" tools/bootstrap.py --lock

.PHONY: clean
clean: down  ## remove the environment, the database and everything else that was made here
	@if [ -x $(PYTHON) ]; then $(POLKA) clean; fi
	@rm -rf .venv var polka.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
