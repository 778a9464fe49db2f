# Everything runs in .venv, made here; a second call of any target is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := pipeline engines export training benchmarks
SOURCES := $(shell find $(PACKAGES) -type f -not -path '*/__pycache__/*' -not -path 'benchmarks/reports/*')
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.NOTPARALLEL:
.PHONY: demo test check format soak bench figures kernels gpu-check clean

# Convert a short sample clip and say where the result is.
demo: $(VENV)/demo.done $(VENV)/package.done
	@mkdir -p demo
	@$(BIN)/python -m seg_stream.pipeline.sample demo/sample.mp4
	@$(BIN)/seg-stream --input demo/sample.mp4 --bg blur --output demo/blurred.mp4 --overwrite
	@$(BIN)/seg-stream --input demo/sample.mp4 --bg '#00b140' --output demo/green.mp4 --overwrite
	@echo "The clip is demo/sample.mp4; the results are demo/blurred.mp4 and demo/green.mp4."

# Style, types and tests, against the installed package.
test: check
	@$(BIN)/python -m pytest

check: $(VENV)/test.done $(VENV)/package.done
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy $(addprefix -p seg_stream.,$(PACKAGES))

format: $(VENV)/test.done
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Memory over 5,000 frames; takes minutes.
soak: $(VENV)/test.done $(VENV)/package.done
	@$(BIN)/python -m seg_stream.benchmarks.soak

# Ten minutes of everything that cameras do, in real time.
.PHONY: live-soak
live-soak: $(VENV)/test.done $(VENV)/package.done
	@$(BIN)/python -m seg_stream.benchmarks.live_soak

# How fast it is here, beside other ways of doing the same: bench/report.html. CLIPS, PEERS and DEPTH=--full as wanted.
DEPTH ?= --quick
SHARED := $(wildcard ../shared)
CLIPS ?= $(wildcard $(SHARED:%=%/data/clips/hair_720p30.mp4) $(if $(filter --quick,$(DEPTH)),,$(SHARED:%=%/data/clips/desk_1080p30.mp4)))
PEERS ?= $(wildcard $(SHARED:%=%/peers))
bench: $(VENV)/test.done $(VENV)/package.done
	@$(BIN)/seg-bench --output bench $(DEPTH) $(CLIPS:%=--clip %) $(PEERS:%=--peers %)

# The README's figures again: on a quiet machine, about a quarter of an hour.
figures:
	@$(MAKE) bench DEPTH=--full
	@$(BIN)/seg-bench keep bench/report.json

# Everything about an NVIDIA GPU that a machine without one cannot show; see docs/gpu.md.
gpu-check: $(VENV)/test.done $(VENV)/package.done
	@$(BIN)/python -m seg_stream.benchmarks.gpu_check $(GPU:%=--gpu %)

# The PTX of the kernels, for whoever changes them; needs nvcc.
kernels: $(VENV)/test.done $(VENV)/package.done
	@PYTHONPATH= $(BIN)/python engines/kernels/build.py

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing; on Debian: apt install python3-venv."; exit 1; }

$(VENV)/demo.done: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing seg-stream into $(VENV) ..."
	@$(INSTALL) ".[demo]"
	@touch $@

$(VENV)/test.done: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what the tests need into $(VENV) ..."
	@$(INSTALL) ".[demo,export,train,cluster,rtx,page,virtualcam,bench,dev]"
	@touch $@

$(VENV)/package.done: $(SOURCES) pyproject.toml | $(BIN)/python
	@rm -rf build
	@$(INSTALL) --no-deps --force-reinstall .
	@rm -rf build
	@touch $@

clean:
	rm -rf $(VENV) build demo bench *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
