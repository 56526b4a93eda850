# Needs only Python 3.11+ and make. Every target sets up .venv by itself, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := data/demo/pseudonym.key
ORDERS := data/orders/pseudonym.key
VENDOR := data/b2b/pseudonym.key

.DEFAULT_GOAL := help
.PHONY: help run test check lab notebooks benchmark schema glossary lock clean

help:  ## say what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Fix: make PYTHON=python3.12 ..."; exit 4; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEMO): | $(STAMP)
	$(BIN)/workbench demo

$(ORDERS): | $(STAMP)
	$(BIN)/workbench demo --company orders

$(VENDOR): | $(STAMP)
	$(BIN)/workbench demo --company vendor

run: $(STAMP) $(DEMO)  ## run the default configuration end to end and write the report
	$(BIN)/workbench run

test: $(STAMP) $(DEMO)  ## lint, tests, and the notebooks against their stored outputs (under 10 minutes)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m pytest -n 2 --dist loadfile --nbval notebooks tests

check: $(STAMP) $(DEMO) $(ORDERS)  ## the slow tests: the default run's bars, a wheel in an empty environment, the second company
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lab: $(STAMP) $(DEMO)  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

notebooks: $(STAMP) $(DEMO)  ## run the committed notebooks again and store their outputs
	$(BIN)/python -m jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False --KernelManager.transport_encryption=required notebooks/0*.ipynb
	$(BIN)/python -c "from workbench.core.processor import processor; print(processor())" > tests/notebooks_made_on.txt

benchmark: $(STAMP) $(DEMO) $(ORDERS)  ## print every figure that the README quotes
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/seeds.py
	$(BIN)/python benchmarks/identity.py
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/features.py
	$(BIN)/python benchmarks/clv.py
	$(BIN)/python benchmarks/segments.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/kpis.py

schema: $(STAMP)  ## write configs/workbench.schema.json anew
	$(BIN)/workbench schema > configs/workbench.schema.json

glossary: $(STAMP)  ## write the table of features in GLOSSARY.md anew
	$(BIN)/python -m workbench.features.glossary

lock: $(STAMP)  ## pin every package anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock

clean:  ## remove the environment and caches (runs and data stay)
	rm -rf $(VENV) .pytest_cache .ruff_cache
