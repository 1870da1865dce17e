# The commands of this project. `make` alone lists them; what each needs is installed by itself.

.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# Test processes side by side: three more than two cores, for most of them wait for servers and browsers.
JOBS ?= 5

.PHONY: help run install install-dev test soak bench lint system lock vendor messages schemas screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: install ## the whole network on this machine (PORT=8000 PERSEUS_DATA=var ARGS=--no-demo)
	@exec $(BIN)/python manage.py up $(ARGS)

test: install-dev ## everything that must hold before a change is merged, lint too
	@JOBS=$(JOBS) .ci/test $(ARGS)

soak: install-dev ## a day of the network in SOAK_MINUTES=10, its result into docs/reliability.md
	@.ci/say "A day, compressed"
	@$(BIN)/python -m tests.soak

bench: system ## the feed beside what else carries a stream to browsers, into docs/performance.md (ARGS=--quick)
	@VENV=.venv-bench .ci/venv requirements-bench.txt
	@.ci/node tests/bench/node
	@.ci/say "Measuring"
	@.venv-bench/bin/python -m tests.bench $(ARGS)

lint: install-dev ## style, types, layers and templates
	@.ci/lint

install: ## .venv with what the product needs
	@.ci/venv requirements.txt

install-dev: system ## .venv, system packages and Node packages that the tests need
	@.ci/venv requirements-dev.txt
	@.ci/node

system:
	@.ci/system

lock: install-dev ## requirements*.txt anew from pyproject.toml
	@.ci/say "Locking what the product needs"
	@$(BIN)/uv pip compile pyproject.toml --universal --generate-hashes \
		--custom-compile-command "make lock" -q -o requirements.txt
	@.ci/say "Locking what the tests need"
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes \
		--custom-compile-command "make lock" -q -c requirements.txt -o requirements-dev.txt
	@.ci/say "Locking what the benchmarks need"
	@$(BIN)/uv pip compile pyproject.toml --group bench --universal --generate-hashes \
		--custom-compile-command "make lock" -q -c requirements-dev.txt -o requirements-bench.txt

vendor: ## third-party files under static/vendor anew, from their lock
	@static/vendor/vendor.sh

messages: install-dev ## what is said, gathered for translators in activity/locale, and compiled
	@.ci/messages

schemas: install ## docs/schemas anew from activity/wire
	@$(BIN)/python -m activity.wire.schemas

screenshots: install-dev ## docs/screenshots anew, from a demo network and a real Chromium
	@$(BIN)/python -m tests.screenshots
