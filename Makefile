# Counterfoil. `make run` shows it at work, `make test` proves it; both make their own environment first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
LOCK   := deploy/requirements/dev.txt
NATIVE := deploy/build_native.py $(wildcard service/counterfoil/mapping/native/*)
AGENTS := .venv-agents
READY_AGENTS := $(AGENTS)/.ready
LOCK_AGENTS  := deploy/requirements/agents.txt
PORT   ?= 4318
ONCE   ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help run agents test pure check lint types imports drift openapi-check openapi formats bench fuzz lock clean

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

$(READY): $(LOCK) pyproject.toml $(NATIVE)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Setting up $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $(LOCK)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Frameworks and collectors that tests/clients runs, apart from the environment that the service is tested in.
$(READY_AGENTS): $(LOCK_AGENTS)
	@test -x $(AGENTS)/bin/python || $(PYTHON) -m venv $(AGENTS)
	@echo "Setting up $(AGENTS) (once) ..."
	@$(AGENTS)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement $(LOCK_AGENTS)
	@touch $@

run: $(READY) ## the whole story on a fresh directory: traffic, trail, bundle, tampering; then serves (PORT=0, ONCE=1)
	@$(BIN)/counterfoil demo --port $(PORT) $(if $(ONCE),--once)

agents: $(READY_AGENTS) ## the environment of the frameworks that tests/clients runs (make test makes it too)

test: $(READY) $(READY_AGENTS) ## the whole test suite
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term

pure: $(READY) ## the tests of mapping and appending again, without the compiled part
	COUNTERFOIL_PURE=1 $(BIN)/pytest -q -n $(WORKERS) tests/mapping tests/log/append

check: lint types imports drift openapi-check pure test ## everything CI asks for

lint: $(READY) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	$(BIN)/mypy

imports: $(READY) ## imports go one way
	$(BIN)/lint-imports

drift: $(READY) ## the migrations make the tables that the code declares
	$(BIN)/pytest -q tests/store/test_migrate.py

openapi-check: $(READY) ## the committed OpenAPI document is the one the code makes
	$(BIN)/counterfoil openapi | diff -u openapi/openapi.json -

openapi: $(READY) ## write openapi/openapi.json
	$(BIN)/counterfoil openapi > openapi/openapi.json

formats: $(READY) ## write docs/formats/record.schema.json from the code
	$(BIN)/python -m counterfoil.core.schema > docs/formats/record.schema.json

bench: $(READY) ## speed beside the floor, one table and JSON
	$(BIN)/python tests/benchmarks/bench.py

fuzz: $(READY) ## damage real requests for FUZZ_SECONDS (600); crashes go to tests/data/crashes
	$(BIN)/python tests/fuzz/fuzz.py

lock: ## write the requirements files again (needs uv)
	uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --all-extras --group dev --python-version 3.11 pyproject.toml --output-file $(LOCK)
	uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --prerelease=if-necessary-or-explicit --python-version 3.11 deploy/requirements/agents.in --output-file $(LOCK_AGENTS)

clean: ## remove what was made here
	rm -rf $(VENV) $(AGENTS) service/counterfoil/mapping/_native*.so .counterfoil .mypy_cache .ruff_cache .pytest_cache .coverage
