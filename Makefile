# One virtual environment serves every target; it is made when there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: verdict test lint docs verdicts stacks fork cost speed clean

verdict: $(READY)  ## Does Flask-Admin hold one session? Answered on what is installed.
	$(BIN)/python verdict.py

test: $(READY)  ## The guard, and the tests of everything around it.
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy reproduction_script.py verdict.py session_scoping tests
	@# From its own folder, where the folder flask_admin/ does not hide the package.
	cd flask_admin/tests/sqla && $(abspath $(BIN))/mypy \
		--config-file $(CURDIR)/pyproject.toml test_session_scoping.py

docs: $(READY)  ## Run the documents' code again and write down what it says.
	$(BIN)/python -m tests.documents --write

verdicts: $(READY)  ## The guard on every release, in every environment: verdicts.json, tables, picture.
	$(BIN)/python -m tests.verdicts

stacks: $(READY)  ## The guard for one's own app on older stacks.
	$(BIN)/python -m tests.stacks

CHECKOUT ?=
fork: $(READY)  ## The guard in a Flask-Admin checkout: make fork CHECKOUT=PATH; without, in released ones.
ifdef CHECKOUT
	$(BIN)/session-scoping fork $(CHECKOUT)
else
	$(BIN)/python -m pytest tests/test_fork.py
endif

cost: $(READY)  ## What recording costs: time of a request, memory of 100,000.
	$(BIN)/python -W ignore -m tests.cost

speed: $(READY)  ## What the guard costs, against a test run that only imports.
	$(BIN)/python -m tests.speed

clean:
	rm -rf $(VENV)

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@
