# Everything a fresh clone needs: Python 3.11 or newer, and nothing else prepared.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: demo test lint docs check coverage format clean

demo: $(INSTALLED)
	$(BIN)/coresplit bench inception --quick

# Two at a time: the long tests wait for compilers and processes, and none asserts a time. Files
# keep the order of tests/conftest.py, which has the longest first.
test: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Into site/; a link that leads nowhere is an error. Needs no network.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: lint
	$(BIN)/pytest -m "not slow and not browser"

# The floor is fail_under in pyproject.toml.
coverage: $(INSTALLED)
	$(BIN)/pytest -m "not slow and not browser" --numprocesses 2 --dist loadfile --cov

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) site

$(INSTALLED): pyproject.toml constraints.txt
	@echo "installing PyTorch and 150 other packages into $(VENV): about 2 GB on disk, or several more"
	@echo "where pip takes PyTorch's CUDA build; silent, once, for one to five minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
