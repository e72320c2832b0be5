# make help is the table of contents.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN := $(BIN)/python -m

# Folder with llm-foundry's task files (scripts/eval/local_data); without it the demo lists the tasks as absent.
EVAL_DATA ?= $(wildcard ../shared/data/eval)

# For export's check and speed: a tokenizer.json; without it the check trains one on the pool.
TOKENIZER ?=

# Users' own settings must not reach the network or the terminal of a test.
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_OFFLINE := 1
export HF_DATASETS_OFFLINE := 1

# Networks that inspect TLS have their own certificate among the machine's.
export UV_SYSTEM_CERTS := true

.DEFAULT_GOAL := help
.PHONY: help env java demo test test-fast lint format bench bench-ingest bench-filters bench-dedup bench-export bench-peers bench-gpu oracle oracle-dedup oracle-export oracle-ingest oracle-model scales reference requirements dist clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

env: $(STAMP)  ## make .venv with everything, at the pinned versions

$(STAMP): requirements.txt pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=python3.12, say") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# Compiled once here: where PYTHONDONTWRITEBYTECODE is set, each process would compile what it imports.
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(RUN) lakeloom.lakehouse.java > $(VENV)/.java || (cat $(VENV)/.java; exit 2)
	@$(RUN) lakeloom.lakehouse.jars
	@touch $@

java:  ## a JDK in .jdk/, for a machine without Java and without root
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check install-jdk
	@$(BIN)/python -c 'import jdk; print("installed in", jdk.install("17", path=".jdk"))'

demo: $(STAMP)  ## the whole road: sample pool, two datasets, two models, their scores and a report
	$(BIN)/lakeloom demo $(if $(EVAL_DATA),evaluate.data=$(EVAL_DATA))

# Two processes, each with one session of Spark: its tests are in two groups (tests/conftest.py), all others come after.
BESIDE := -n 2 --dist loadgroup

test: $(STAMP)  ## all tests: about 35 minutes on two cores
	$(RUN) pytest $(BESIDE)

test-fast: $(STAMP)  ## tests without Spark, training or processes: about a minute
	$(RUN) pytest $(BESIDE) -m "not spark and not slow"

lint: $(STAMP)  ## format, lint, types, and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p lakeloom
	$(BIN)/mypy --explicit-package-bases tests
	$(RUN) pytest -q tests/test_layout.py

format: $(STAMP)  ## put the code into its one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## speed of ingest, filters and, with DIR=texts (TOKENIZER=file), dedup (export): make bench POOL=folder
	@$(MAKE) --no-print-directory --keep-going bench-ingest bench-filters $(if $(DIR),bench-dedup $(if $(TOKENIZER),bench-export))

bench-ingest: $(STAMP)  ## CPU of an ingest beside a bare loop over the same archives
	@$(RUN) lakeloom.jobs.bench_ingest "$(POOL)" $(PAGES)

bench-filters: $(STAMP)  ## pages a second of the filters: kernels, language id, plain Python, through Spark
	@$(RUN) lakeloom.jobs.bench_filters "$(POOL)" $(PAGES)

bench-dedup: $(STAMP)  ## speed and growth of dedup on any texts: make bench-dedup DIR=folder [MB=1000]
	@$(RUN) lakeloom.jobs.bench_dedup "$(DIR)" $(MB)

bench-export: $(STAMP)  ## text to ids to shards to batches: make bench-export DIR=folder TOKENIZER=tokenizer.json [MB=1000]
	@TOKENIZERS_PARALLELISM=false $(RUN) lakeloom.jobs.bench_export "$(DIR)" "$(TOKENIZER)" $(MB)

bench-peers:  ## rensa, datasketch and datatrove in .bench, to be measured beside it
	@test -x .bench/bin/python || $(PYTHON) -m venv .bench
	@$(BIN)/uv pip install --quiet --python .bench/bin/python rensa==0.5.0 datasketch==2.0.0 "datatrove[processing]==0.10.1" spacy==3.8.18

bench-train: $(STAMP)  ## a training step on a CPU beside a plain PyTorch loop, reading, and the start
	@$(RUN) lakeloom.train.bench_cpu

SCALE ?= 400m_1x
bench-gpu: $(STAMP)  ## speed of training: make bench-gpu [SCALE=400m_1x] [TRY="compile=off micro_batch=16,attention=flash"]
	@$(RUN) lakeloom.train.bench $(SCALE) $(ARGS) $(foreach setting,$(TRY),--try $(setting))

# DCLM's lists of banned words, which are not ours to ship; a folder banlists in DIR is seen by itself.
LISTS ?= $(wildcard ../shared/data/banlists)

oracle: $(STAMP)  ## agreement with DCLM's own decisions: make oracle DIR=folder [LISTS=folder of word lists]
	@$(RUN) lakeloom.jobs.oracle_filters "$(DIR)" $(LISTS)

oracle-dedup: $(STAMP)  ## recall and precision of near duplicates that are known: make oracle-dedup DIR=folder
	@$(RUN) lakeloom.jobs.oracle_dedup "$(DIR)"

oracle-export: $(STAMP)  ## one dataset on 1 and 7 partitions, every token: make oracle-export POOL=folder [TOKENIZER=file]
	@$(RUN) lakeloom.jobs.oracle_export "$(POOL)" "$(TOKENIZER)" $(ARGS)

oracle-ingest: $(STAMP)  ## check an ingest of any folder: make oracle-ingest POOL=folder
	@$(RUN) lakeloom.jobs.oracle_ingest "$(POOL)"

oracle-model: $(STAMP)  ## the decoder and its training beside DCLM's trainer: make oracle-model DIR=folder
	@$(RUN) lakeloom.train.oracle "$(DIR)"

kills: $(STAMP)  ## a run killed at random moments, taken up again, against an undisturbed one: make kills [N=20]
	@$(RUN) lakeloom.train.kills $(N)

scales: $(STAMP)  ## parameters, tokens, steps and FLOPs of every scale
	@$(RUN) lakeloom.train.scales

reference: $(STAMP)  ## docs/reference.md and docs/filters.md from the code
	@$(RUN) lakeloom.jobs.reference > docs/reference.md
	@$(RUN) lakeloom.jobs.filters_page > docs/filters.md

requirements:  ## resolve requirements.txt anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header --no-annotate --no-emit-index-url --upgrade pyproject.toml --output-file requirements.txt

dist: $(STAMP)  ## the wheel, and the same bytes as a zip for spark-submit --py-files
	$(BIN)/uv build --quiet --wheel --python $(BIN)/python --out-dir dist
	cp dist/lakeloom-*.whl dist/lakeloom.zip

clean:  ## remove what the tools made; .venv, data and caches of Java stay
	rm -rf .dev build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
