# Environments are made with the standard venv module; nothing else has to be installed first.
# PYTHON names the interpreter: make test PYTHON=python3.12
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$name" && exit; \
	done; echo python3)
VENV := .venv
RUN := $(VENV)/bin/python
CODE := aiogram_neonpay benchmarks examples scripts tests

.DEFAULT_GOAL := help
.PHONY: help demo test lint format texts bench chaos clean env env-dev env-bench

help: ## List what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: env ## A bot that sells for Stars and the sandbox to buy in; prints the page's address, Ctrl-C stops it
	@$(RUN) scripts/in_foreground.py $(RUN) examples/demo.py

test: lint ## Everything that is checked: style, types, tests, and the wheel in a clean environment
	$(RUN) -m pytest --numprocesses=auto --dist=worksteal
	$(RUN) scripts/smoke_wheel.py

lint: env-dev ## Style, format and types only
	$(RUN) -m ruff check $(CODE)
	$(RUN) -m ruff format --check $(CODE)
	$(RUN) -m mypy

format: env-dev ## Sort imports, repair what can be repaired, format
	$(RUN) -m ruff check --fix $(CODE)
	$(RUN) -m ruff format $(CODE)

texts: env-dev ## Bring the gettext catalogs up to date with the phrases (docs/texts.md); TO=de begins a language
	$(RUN) scripts/update_texts.py $(TO)

bench: env-bench ## Measure against hand-written routers and other packages, and print the table
	@.venv-bench/bin/python -m benchmarks $(BENCH)

chaos: env-dev ## Sell through killed processes and a failing Telegram, then compare both ledgers (docs/reliability.md)
	@$(RUN) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(STORAGE),--storage $(STORAGE)) $(if $(MODE),--mode $(MODE)) $(CHAOS)

clean: ## Remove environments, caches and builds
	rm -rf .venv .venv-bench build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

env:
	@$(PYTHON) scripts/create_env.py $(VENV) demo ".[redis]"

env-dev:
	@$(PYTHON) scripts/create_env.py $(VENV) dev ".[dev]"

env-bench:
	@$(PYTHON) scripts/create_env.py .venv-bench bench ".[redis]" benchmarks/requirements.txt
