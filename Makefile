# The commands of this project; each makes what it needs first. `make help` lists those with a `##` comment.
STACK ?= local
PYTHON ?= python3
BIN := .venv/bin
# Written when an install has ended well; its age against requirements.txt says whether another is due.
INSTALLED := .venv/.installed

.PHONY: help up preview down scan test test-fast lint golden bench lock install tools clean

help:  ## list these commands (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up:  ## deploy STACK (default: local) in the sandbox: the place to start
preview:  ## show what a deployment of STACK would change
down:  ## destroy what `make up` deployed of STACK
up preview down: $(INSTALLED)
	@$(BIN)/python -m sandbox $@ --stack '$(STACK)'

scan: $(INSTALLED)  ## show what Checkov finds in STACK as deployed in the sandbox
	@$(BIN)/python -m policy.scan --stack '$(STACK)'

test: $(INSTALLED) tools  ## all tests: fast ones on all cores, then those on the real engine and API server
	$(BIN)/python -m pytest -n auto --ignore=tests/engine --ignore=tests/cluster
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/engine tests/cluster

test-fast: $(INSTALLED)  ## run the unit tests: on every change
	$(BIN)/python -m pytest -n auto tests/unit

lint: $(INSTALLED)  ## check style and types with Ruff and Pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

golden: $(INSTALLED)  ## renew the golden resource graphs after an intended change
	$(BIN)/python -m tests.unit.golden
	$(BIN)/python -m tests.unit.architecture
	$(BIN)/python -m tests.unit.alarms
	$(BIN)/python -m tests.policy.controls

bench: $(INSTALLED) tools  ## time the everyday commands
	$(BIN)/python -m tests.bench

lock:  ## renew requirements.txt, and those of Checkov and PostgreSQL in tools/, from pyproject.toml
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(PYTHON) -m venv "$$uv" && "$$uv/bin/pip" install --quiet uv && \
	compile() { "$$uv/bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-header --no-emit-index-url "$$@"; }; \
	compile --group pyproject.toml:sandbox --group pyproject.toml:policy --group pyproject.toml:test \
	  --group pyproject.toml:lint pyproject.toml -o requirements.txt && \
	compile --group pyproject.toml:scan -o tools/checkov/requirements.txt && \
	compile --group pyproject.toml:postgresql -o tools/postgresql/requirements.txt

install: $(INSTALLED)  ## install the packages of requirements.txt into .venv/

tools: $(INSTALLED)  ## build or fetch the engine, Helm, the API server, Checkov and PostgreSQL into .tools/ (once)
	@$(BIN)/python -m sandbox.tools

clean:  ## delete the sandbox, the tools and the virtual environment
	@$(PYTHON) -m sandbox.folder
	rm -rf .tools .venv

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or older than Python 3.11: install it, or name one with PYTHON=" >&2; exit 1; }
	@echo "installing the Python packages of requirements.txt into .venv (about a minute)"
	@$(PYTHON) -m venv .venv || { \
	  echo "error: $(PYTHON) can't make a virtual environment: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@
