# Targets for people and for CI. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
COMPILE := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.DEFAULT_GOAL := setup

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(VENV)/.installed ## Make .venv from the hash lock (a second call installs nothing)

# The locks hold hashes, no addresses: requirements.lock what runs, requirements-dev.lock also what tests and builds.
$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + " (set PYTHON=…)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.PHONY: demo
demo: setup ## Run the whole path on a real Kafka and check it (ARGS=--json, ARGS=--keep)
	@$(BIN)/rendercast demo $(ARGS)

.PHONY: test
test: lint ## Lint, then all tests on a real Kafka (ARGS='-k name' narrows them)
	$(BIN)/pytest $(ARGS)

.PHONY: verify
verify: setup ## Prove the processor's promise on a real Kafka, two minutes (ARGS='--seed N', see rendercast verify --help)
	@$(BIN)/rendercast verify --jobs 800 --seconds 45 --faults all $(ARGS)

.PHONY: prove
prove: setup ## Switch each guard off and expect its tests to fail (ARGS=--quick: those without a broker)
	$(BIN)/python -m tests.prove $(ARGS)

.PHONY: chaos
chaos: setup ## The same as verify for ten minutes, and 200,000 jobs through a short retention
	$(BIN)/rendercast verify --jobs 10000 --workers 3 --seconds 600 --faults all $(ARGS)
	RENDERCAST_TEST_JOBS=200000 $(BIN)/pytest tests/integration/streams/test_forgetting_on_kafka.py

.PHONY: fuzz
fuzz: setup ## Fuzz the parser with atheris for ten minutes, from the kept corpus (ARGS='--seconds 60')
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: bench bench-processor bench-connector bench-sinks bench-gateway
bench: bench-processor bench-connector bench-sinks bench-gateway ## All benchmarks (SCALE=0.1: a tenth, for a quick look)
bench-connector: setup ## The connector against plain clients: memory, CPU, requests, latency, coming back
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.connector $(ARGS)
bench-processor: setup ## The processor against other engines: same events, same rule, same broker
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.processor $(ARGS)
bench-sinks: setup ## The sinks against a consumer that writes row by row, and a plain download
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.sinks $(ARGS)
bench-gateway: setup ## The gateway's streams against starlette's and sse-starlette's: memory, CPU, latency, a kill
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.gateway $(ARGS)

.PHONY: lint
lint: setup ## Ruff, mypy --strict, the import rules, the compose file and the workflow against their schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/ci.yml
	$(BIN)/python -m rendercast.contracts check
	$(BIN)/python -m rendercast.operations check

.PHONY: schemas schemas-release
schemas: setup ## Make JSON Schemas, AsyncAPI document and its page anew from the models
	@$(BIN)/python -m rendercast.contracts write
schemas-release: setup ## Keep the schemas as those of this version: later changes are held against them
	@$(BIN)/python -m rendercast.contracts release

.PHONY: metrics-docs
metrics-docs: setup ## Make docs/metrics.md and the dashboards anew from the declarations
	@$(BIN)/python -m rendercast.operations write

.PHONY: chart
chart: setup ## Write the chart's schema anew from the settings, then test the chart
	@PYTHONPATH=. $(BIN)/python helm/values_schema.py
	@$(BIN)/pytest tests/unit/helm $(ARGS)

# What is shipped, installed by itself from its lock: only that belongs into the bill of materials.
.PHONY: sbom audit
sbom: build/audit/.installed ## What we ship: build/sbom.cdx.json (CycloneDX) and build/licences.md
	build/audit/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom.cdx.json build/shipped/bin/python
	build/audit/bin/pip-licenses --python build/shipped/bin/python --ignore-packages pip setuptools --format markdown --order license --output-file build/licences.md
audit: build/audit/.installed ## Known vulnerabilities of what we ship, from PyPI's advisories (needs the network)
	build/audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip
build/audit/.installed: requirements-audit.lock requirements.lock
	$(PYTHON) -m venv build/audit && $(PYTHON) -m venv build/shipped
	build/audit/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	build/shipped/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.PHONY: format
format: setup ## Let ruff write the code's form
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

.PHONY: lock
lock: ## Make the hash locks anew from pyproject.toml (needs uv)
	uv pip compile $(COMPILE) --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile $(COMPILE) --constraint requirements-dev.lock pyproject.toml -o requirements.lock
	uv pip compile $(COMPILE) --constraint requirements-dev.lock --override requirements-peers.in requirements-peers.in -o requirements-peers.lock
	printf 'cyclonedx-bom\npip-audit\npip-licenses\n' | uv pip compile $(COMPILE) - -o requirements-audit.lock
	echo 'atheris==3.0.0' | uv pip compile $(COMPILE) - -o requirements-fuzz.lock

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
