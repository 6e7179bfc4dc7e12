# The commands of this project; `make` alone lists them. They run in .venv, which is made on first use from `python3`
# or another Python 3.10 or newer, as in `make test PYTHON=python3.12`; `make clean` first where there is a .venv.

export PYTHON ?= python3
BIN := .venv/bin
PIN := $(BIN)/uv pip compile --quiet --annotation-style line --custom-compile-command "make requirements" $(UPGRADE)
COMPILE := $(PIN) --universal --python-version 3.10
MATRIX_EXTRAS := connect delta lightgbm mlflow onnx sklearn xgboost
# Files stay whole, and the slow ones, which come first, begin first.
SIDE_BY_SIDE := --dist loadfile --no-loadscope-reorder --numprocesses
# Each shows what it printed when it ends.
TOGETHER := $(MAKE) --no-print-directory --keep-going --jobs --output-sync=target

# What the surrounding shell says about another Python, Spark or MLflow must not leak into .venv.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
unexport SPARK_HOME SPARK_CONF_DIR PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON PYSPARK_SUBMIT_ARGS
unexport MLFLOW_TRACKING_URI MLFLOW_REGISTRY_URI

.DEFAULT_GOAL := help
.PHONY: help java venv demo test check classes lint format types contracts unit others spark gpu soak test-install test-matrix bench bench-quick bench-ablations docs site build requirements clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

java:
	@sh requirements/java.sh

venv: ## Make .venv with everything the commands below need
	@sh requirements/install.sh dev

demo: ## Train a model on real flights, register it, and score a Delta table with it
	@sh requirements/install.sh demo
	@$(BIN)/spark-infer demo

# Tests wait for processes and for Spark, and the two halves of them fill each other's pauses.
test: java lint ## Run every check: lint, types, contracts and the whole test suite
	+@$(TOGETHER) types classes
	+@$(TOGETHER) unit others

check: lint ## Run what needs no Spark, before each commit: lint, types and the unit tests
	+@$(TOGETHER) types unit

classes: venv ## Make the archive of classes that the JVMs of the tests start from
	@$(BIN)/python -m tests.jvm > /dev/null

lint: contracts ## Check style, format, prose and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python -m tests.prose

format: venv ## Fix style and format where a tool can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: venv ## Check types (mypy, strict)
	$(BIN)/mypy

contracts: venv ## Check that imports point the way setup.cfg says
	$(BIN)/lint-imports --no-logo

unit: venv ## Run the tests that need no Spark, as if PySpark were not installed
	$(BIN)/python -m pytest -p tests.without_spark tests/unit $(SIDE_BY_SIDE) 2

others: java classes ## Run all other tests: those that start Spark, processes or commands
	$(BIN)/python -m pytest --ignore tests/unit $(SIDE_BY_SIDE) 3 --durations 25

spark: java venv ## Run the tests that start Spark
	$(BIN)/python -m pytest tests/spark

soak: java venv ## Run the longer tests that `make test` leaves out
	$(BIN)/python -m pytest -m soak --numprocesses 2 --dist worksteal
	$(BIN)/python -m pytest -m "hypothesis and not soak" --hypothesis-profile soak
	$(BIN)/python -m tests.matrix

test-install: java venv ## Try the wheel with each extra in a clean environment of each Python; ONLY=3.11-sklearn for some of it
	$(BIN)/python -m pytest -m soak tests/install -k "$(ONLY)" --durations 0

test-matrix: java venv ## Run a part of the tests with each combination of versions, or COLUMN=spark-3.5; SHORT=1 for less
	$(BIN)/python -m tests.matrix $(if $(SHORT),--short) $(COLUMN)

gpu: venv ## Run the tests that need an NVIDIA GPU and no Spark
	$(BIN)/python -m pytest -p tests.without_spark tests/gpu

bench: java venv ## Run the benchmark suite, hours; BENCH="--check --scale 0.01" only checks the answers
	$(BIN)/python -m benchmarks.suite $(BENCH)

bench-ablations: java venv ## Measure what each technique is worth: the same job without it
	$(BIN)/python -m benchmarks.suite --ablations $(BENCH)

bench-quick: java venv ## Compare Parquet-to-Parquet jobs with their peers and with the limit
	$(BIN)/python -m benchmarks.quick

docs: java venv ## Write anew what docs/ takes from the schema and from what the tests find
	WRITE_DOCS=1 $(BIN)/python -m pytest -q -p tests.without_spark tests/unit/config/test_reference.py
	WRITE_DOCS=1 $(BIN)/python -m pytest -q -p tests.without_spark tests/unit/models/conformance tests/unit/models/compile -k table
	WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/spark/test_flavors.py tests/spark/test_types.py
	@$(MAKE) --no-print-directory site

site: venv ## Build the pages and the API reference into build/site; a broken link is an error
	$(BIN)/uv run --quiet --no-project --python $(BIN)/python --with-requirements requirements/site.txt mkdocs build --strict --quiet

build: venv ## Build the sdist and the wheel into dist/
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist

requirements: venv ## Pin the requirements anew; UPGRADE=--upgrade also moves to newest versions
	$(COMPILE) pyproject.toml requirements/demo.in --extra demo --output-file requirements/demo.txt
	$(COMPILE) pyproject.toml requirements/dev.in --extra all --output-file requirements/dev.txt
	for column in requirements/matrix/*.in; do \
		$(PIN) pyproject.toml requirements/tests.in $$column --output-file $${column%.in}.txt \
			--python-version $$(sed -n 's/^# Python //p' $$column) $(addprefix --extra ,$(MATRIX_EXTRAS)) || exit; \
	done
	$(COMPILE) requirements/site.in --output-file requirements/site.txt
	$(COMPILE) benchmarks/peers/ray.in --output-file benchmarks/peers/ray.txt
	$(COMPILE) benchmarks/peers/daft.in --output-file benchmarks/peers/daft.txt
	$(COMPILE) benchmarks/peers/distribatch.in --output-file benchmarks/peers/distribatch.txt

clean: ## Remove what the commands made, .venv too
	rm -rf .venv build demo dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
