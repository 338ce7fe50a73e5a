# `make demo` and `make test` each work as the first command on a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
TRITON := $(VENV)/triton
ROOT := $(CURDIR)
# One process per core with one thread each; a file's tests share what they have converted.
PYTEST := -m pytest -q -n auto --dist loadfile
PIP := pip install --quiet --disable-pip-version-check

.PHONY: demo test test-all test-wheel lint bench bench-accuracy bench-speed clean

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP) -c constraints.txt --editable ".[test,lint]"
	touch $@

# Kernels for GPUs are tested in Triton's interpreter, which needs none.
$(TRITON): $(STAMP)
	$(BIN)/$(PIP) -c constraints.txt --editable ".[triton]" || echo "no Triton: its test is skipped"
	touch $@

demo: $(STAMP)
	$(BIN)/python -m models.demo

test: $(TRITON)
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m "not slow" tests

test-all: $(TRITON)
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) tests

# The wheel is where the mapping of ops/ and runtime/ is real; its tests run from elsewhere,
# since the repository root would shadow the installed package.
test-wheel:
	rm -rf build/wheel build/clean && mkdir -p build/wheel build/elsewhere
	$(PYTHON) -m venv build/clean
	build/clean/bin/pip wheel --quiet --no-deps --wheel-dir build/wheel .
	build/clean/bin/$(PIP) -c constraints.txt "$$(ls build/wheel/*.whl)[test]"
	cd build/elsewhere && OMP_NUM_THREADS=1 $(ROOT)/build/clean/bin/python $(PYTEST) -m "not slow" \
		-c $(ROOT)/pyproject.toml --rootdir $(ROOT) -p no:cacheprovider $(ROOT)/tests

# Types and import contracts are checked on the installed form of the package.
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/installed && $(BIN)/$(PIP) --no-deps --target build/installed .
	cd build/installed && MYPYPATH=$(ROOT)/build/installed:$(ROOT) $(ROOT)/$(BIN)/mypy \
		--config-file $(ROOT)/pyproject.toml -p onnx2snn -p models -p benchmarks
	cd build/installed && $(ROOT)/$(BIN)/lint-imports --config $(ROOT)/pyproject.toml

bench-accuracy: $(STAMP)
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.tables

bench-speed: $(STAMP)
	$(BIN)/python -m benchmarks.speed
	$(BIN)/python -m benchmarks.curves

bench: bench-accuracy bench-speed
	$(BIN)/python -m benchmarks.paper_size
	$(BIN)/python -m benchmarks.text
	$(BIN)/python -m benchmarks.conformance
	$(BIN)/python -m benchmarks.tables

clean:
	rm -rf $(VENV) .demo build dist *.egg-info
