# How to get in: `make book` and `make test`. `make` alone lists all commands.
#
# Each command first sees to its own environment (tools/environment.py); one that is complete is left alone.
#   PYTHON=python3.12   which Python makes the environments (3.11 to 3.13)
#   LOCK=newest         the newest versions of all dependencies, in place of those in requirements.txt
#   ALL=1               all chapters, where a command takes only some by default
#   SLOW=1              the tests marked slow as well, which otherwise run weekly

PYTHON ?= python3
PORT ?= 8000
LOCK ?= requirements.txt
ALL ?=
SLOW ?=
RUNS ?= runs
ONLY ?=

BACKENDS := jax torch
BACKEND_CHAPTERS := $(if $(ALL),chapters,chapters/foundations/convolution.ipynb chapters/architectures/lenet.ipynb)
# These look at the project, the book and its records, which are the same on every backend.
BOOK_TESTS := tests/test_book.py tests/test_notebooks.py tests/test_pages.py tests/test_project.py \
	tests/test_records.py tests/test_records_tool.py

PYTEST := pytest tests -n 2 --dist loadfile --no-loadscope-reorder $(if $(SLOW),,-m "not slow")

GPU_EXTRAS_tensorflow := tensorflow gpu
GPU_EXTRAS_jax := jax gpu-jax
GPU_EXTRAS_torch := torch

ENVIRONMENT = @$(PYTHON) tools/environment.py $(if $(filter newest,$(LOCK)),--newest)
BIN := .venv/bin

# The backend is said, not taken from the reader's ~/.keras/keras.json.
backend := tensorflow

.PHONY: help book serve test test-backends $(BACKENDS:%=test-%) test-gpu notebooks records lab lock clean distclean
.DEFAULT_GOAL := help

help: ## list these commands
	@echo "Commands of the book (each makes the environment that it needs):"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

book: ## build the book from its stored outputs into _build/html
	$(ENVIRONMENT) .venv book
	@# Sphinx warns of a page once, when it reads it: a build that failed is forgotten, so that the next one warns again.
	@KERAS_BACKEND=$(backend) $(BIN)/jupyter-book build . -q -W --keep-going || { rm -rf _build; exit 1; }
	@echo "The book is built. Open $(CURDIR)/_build/html/index.html, or give the command: make serve"

serve: book ## build the book and serve it at http://127.0.0.1:8000 (PORT=8001 for another port)
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT) \
	|| { echo "No server on port $(PORT). Is it taken? Try another: make serve PORT=8001"; exit 1; }

test: ## check everything: style, package, chapters against their stored outputs, the built book
	$(ENVIRONMENT) .venv book tensorflow dev
	$(BIN)/ruff check .
	KERAS_BACKEND=$(backend) $(BIN)/python -m $(PYTEST) --durations 10
	KERAS_BACKEND=$(backend) $(BIN)/python tools/check_notebooks.py

test-backends: $(BACKENDS:%=test-%) ## the package and two chapters on JAX and PyTorch (ALL=1: all chapters)

$(BACKENDS:%=test-%): test-%:
	$(ENVIRONMENT) .venv-$* $* dev
	KERAS_BACKEND=$* .venv-$*/bin/python -m $(PYTEST) $(BOOK_TESTS:%=--ignore %)
	KERAS_BACKEND=$* .venv-$*/bin/python tools/check_notebooks.py $(BACKEND_CHAPTERS)

test-gpu: backend := $(or $(KERAS_BACKEND),tensorflow)
test-gpu: ## all chapters on a GPU (KERAS_BACKEND=jax or torch; GPU_PYTHON=python3 to use that Python as it is)
ifndef GPU_PYTHON
	$(ENVIRONMENT) .venv-gpu-$(backend) $(GPU_EXTRAS_$(backend)) dev
endif
	KERAS_BACKEND=$(backend) $(if $(GPU_PYTHON),PYTHONPATH="$(CURDIR):$$PYTHONPATH" $(GPU_PYTHON),\
		.venv-gpu-$(backend)/bin/python) tools/check_notebooks.py --gpu

notebooks: ## execute the chapters whose text changed and store their outputs (ALL=1: all chapters)
	$(ENVIRONMENT) .venv book tensorflow dev
	KERAS_BACKEND=$(backend) $(BIN)/python tools/notebooks.py $(if $(ALL),--all)

records: ## make the long runs that are missing or changed; may be stopped and goes on (ONLY="a b", RUNS=runs, ALL=1)
	$(ENVIRONMENT) .venv book tensorflow dev
	KERAS_BACKEND=$(backend) $(BIN)/python tools/records.py --runs "$(RUNS)" $(if $(ONLY),--only "$(ONLY)") $(if $(ALL),--all)

lab: ## run the chapters in JupyterLab
	$(ENVIRONMENT) .venv tensorflow lab
	KERAS_BACKEND=$(backend) $(BIN)/jupyter-lab chapters

lock: ## compile requirements.txt from pyproject.toml, keeping the versions that still fit (UPGRADE=1: none)
	$(ENVIRONMENT) .venv book tensorflow dev
	$(BIN)/uv pip compile --universal --fork-strategy fewest --python-version 3.11 --all-extras \
		$(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.txt

clean: ## remove the built book and what the tests left
	rm -rf _build build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## remove the environments as well; results of training in runs/ stay
	rm -rf .venv .venv-* cnnbook.egg-info
