# The commands of this project. Each builds its prerequisites first. `make help` lists those with a `##` comment.
STACK ?= local
BASE ?= origin/main
MINUTES ?= 10
PYTHON ?= python3
BIN := .venv/bin
# Created after a successful installation. It is repeated when requirements.txt is newer.
INSTALLED := .venv/.installed
# The tests with the real engine, API server, AWS CLI and Checkov.
WITH_TOOLS := tests/engine tests/cluster tests/runbooks tests/scan
# The commands and the tests start many processes, each of which would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help up preview down scan cost diff makespan preflight verify deployer-policy test test-fast lint golden bench soak lock install tools clean

help:  ## list these commands (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up:  ## deploy STACK (default: local) in the sandbox: start here
preview:  ## show what a deployment of STACK would change
down:  ## destroy the resources of STACK in the sandbox
up preview down: $(INSTALLED)
	@$(BIN)/python -m sandbox $@ --stack '$(STACK)'

scan: $(INSTALLED)  ## scan STACK, as deployed in the sandbox, with Checkov
	@$(BIN)/python -m policy.scan --stack '$(STACK)'

diff: $(INSTALLED)  ## report what the working tree changes in STACK (default: prod), compared with BASE
	@$(BIN)/python -m report.diff --base '$(BASE)' --stack '$(if $(filter file,$(origin STACK)),prod,$(STACK))' \
	  $(if $(OUT),--out '$(OUT)')

makespan: $(INSTALLED)  ## print how long a deployment of STACK to AWS takes, and what decides it
	@$(BIN)/python -m report.makespan --stack '$(STACK)'

cost: $(INSTALLED)  ## show the fixed monthly cost of STACK at list prices, without deploying it
	@$(BIN)/python -m report.cost --stack '$(STACK)'

preflight: $(INSTALLED)  ## ask the AWS account whether it is ready for a deployment of STACK
	@$(BIN)/python -m account preflight --stack '$(STACK)'

verify: $(INSTALLED)  ## ask whether STACK, as deployed to AWS, does what it is for; MESSAGES=1 also tests the topics
	@$(BIN)/python -m account verify --stack '$(STACK)' $(if $(MESSAGES),--messages)

deployer-policy: $(INSTALLED)  ## print the IAM policies that the role that deploys STACK to AWS needs
	@$(BIN)/python -m account policy --stack '$(STACK)' $(if $(OUT),--out '$(OUT)')

test: test-fast  ## run all tests: the fast ones, then those with the real engine, API server, AWS CLI and Checkov
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(WITH_TOOLS)

test-fast: $(INSTALLED) tools  ## run all tests but those with the real engine, API server, AWS CLI and Checkov: on every change
	$(BIN)/python -m pytest -n auto --dist worksteal $(WITH_TOOLS:%=--ignore=%)

lint: $(INSTALLED)  ## check style and types with Ruff and Pyright, and the workflows with actionlint and zizmor
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	@$(BIN)/python -m sandbox.tools actionlint
	.tools/bin/actionlint -shellcheck= -pyflakes=
	$(BIN)/zizmor --offline --no-progress --quiet .github

golden: $(INSTALLED)  ## update the golden resource graphs and generated docs after an intended change
	$(BIN)/python -m tests.unit.golden
	$(BIN)/python -m tests.unit.architecture
	$(BIN)/python -m tests.unit.alarms
	$(BIN)/python -m tests.unit.quotas
	$(BIN)/python -m tests.account.assumptions
	$(BIN)/python -m tests.report.makespan
	$(BIN)/python -m tests.policy.aliases
	$(BIN)/python -m tests.policy.controls
	$(BIN)/python -m tests.account.guardrails
	$(BIN)/python -m tests.report.kinds
	$(BIN)/python -m tests.report.examples

bench: $(INSTALLED) tools  ## measure how long common commands take
	$(BIN)/python -m tests.bench

soak: $(INSTALLED) tools  ## generate histories of the order path, then of the ledger, for MINUTES (default: 10) each
	@$(BIN)/python -m tests.functions.soak --minutes '$(MINUTES)'
	@$(BIN)/python -m tests.database.soak --minutes '$(MINUTES)'

lock:  ## update requirements.txt and tools/*/requirements.txt from pyproject.toml
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(PYTHON) -m venv "$$uv" && "$$uv/bin/pip" install --quiet uv && \
	compile() { "$$uv/bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --no-header --no-emit-index-url "$$@"; }; \
	compile --group pyproject.toml:sandbox --group pyproject.toml:policy --group pyproject.toml:account \
	  --group pyproject.toml:test --group pyproject.toml:lint pyproject.toml -o requirements.txt && \
	compile --group pyproject.toml:scan -o tools/checkov/requirements.txt && \
	compile --group pyproject.toml:awscli -o tools/awscli/requirements.txt && \
	compile --group pyproject.toml:postgresql -o tools/postgresql/requirements.txt

install: $(INSTALLED)  ## install the packages in requirements.txt into .venv/

tools: $(INSTALLED)  ## build or fetch the engine, Helm, the API server, Checkov and PostgreSQL in .tools/ (once)
	@$(BIN)/python -m sandbox.tools

clean:  ## delete the sandbox, the tools and the virtual environment
	@$(PYTHON) -m sandbox.folder
	rm -rf .diff .tools .venv

$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "error: $(PYTHON) is missing or older than Python 3.11: install Python 3.11 or newer, or set PYTHON=" >&2; exit 1; }
	@echo "installing the Python packages in requirements.txt into .venv (about a minute)"
	@$(PYTHON) -m venv .venv || { \
	  echo "error: $(PYTHON) can't create a virtual environment: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@
