# One command per intention; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh
python := .venv/bin/python
# Processes that share the tests out; PROCESSES=0 runs them in this one, for a debugger.
PROCESSES ?= 2
typed := conftest.py $(wildcard contracts chassis services deploy tests bench requirements)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make .venv with everything that is needed (quick when nothing has changed)
	@./bootstrap

.PHONY: demo
demo: setup ## Start everything on this machine, play the business through, and show what happened
	@$(python) -m caas_local demo $(ARGS)

.PHONY: up
up: setup ## Start everything on this machine and leave it running
	@$(python) -m caas_local up $(ARGS)

.PHONY: down
down: setup ## Stop what `make up` started
	@$(python) -m caas_local down $(ARGS)

.PHONY: test
test: setup ## Run every test; ARGS="-k invoice -x" reaches pytest
	@$(python) -m pytest --numprocesses=$(PROCESSES) --dist=loadscope --no-loadscope-reorder $(ARGS)

.PHONY: test-gateway
test-gateway: setup ## The payment gateways alone: the contract suite on every target, and the matrix of faults
	@$(python) -m pytest services/payments/tests/gateway tests/contract/test_settlement_feed_of_stripe.py $(ARGS)

.PHONY: check
check: setup lint types test ## Format, lint, import rules, strict types, tests: what a change must pass

.PHONY: lint
lint: setup ## Format check, lint, import rules
	@$(python) -m ruff format --check --config pyproject.toml .
	@$(python) -m ruff check --config pyproject.toml .
	@.venv/bin/lint-imports --config pyproject.toml

.PHONY: types
types: setup ## mypy --strict on code and tests
	@$(python) -m mypy $(typed)

.PHONY: format
format: setup ## Format the code and mend what the linter can mend
	@$(python) -m ruff format --config pyproject.toml .
	@$(python) -m ruff check --config pyproject.toml --fix .

.PHONY: bench
bench: setup ## Measure; ONLY=name measures one thing
	@$(python) -m bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: lock
lock: setup ## Write the requirement files anew from the distributions' declarations
	@$(python) requirements/lock.py
	@$(python) -m caas_chassis.embedded.lock_kafka_jars
