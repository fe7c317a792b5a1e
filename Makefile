# One virtual environment serves every target; it is made when there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DROP_IN := flask_admin/tests/sqla/test_session_scoping.py

.PHONY: help verdict test lint docs verdicts stacks fork fire faults mutants flakes bench clean

help:  ## This list.
	@sed -n 's/^\([a-z]*\):.*  ## /\1\t/p' Makefile | expand -t 12

verdict: $(READY)  ## Does Flask-Admin hold one session? Answered on what is installed.
	@status=0; \
	$(BIN)/python reproduction_script.py || status=$$?; \
	echo; echo "The contract, as tests:"; \
	said=$$($(BIN)/python -m pytest -q -p no:randomly $(DROP_IN) \
		-k "not operation and not problem") || status=$$?; \
	echo "$$said" | tail -n 1; \
	echo; $(BIN)/session-scoping verdict || status=$$?; \
	exit $$status

test: $(READY)  ## The drop-in, and the tests of everything around it.
	$(BIN)/python -m pytest -n 2

lint: $(READY)  ## Format, lint and types.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy reproduction_script.py session_scoping tests tools
	@# From its own folder, where the folder flask_admin/ does not hide the package.
	cd flask_admin/tests/sqla && $(abspath $(BIN))/mypy \
		--config-file $(CURDIR)/pyproject.toml test_session_scoping.py

docs: $(READY)  ## Run the documents' code, write down what it says, take the pictures.
	$(BIN)/python -m tools.documents --write

verdicts: $(READY)  ## The bookshop on every release, in every environment: verdicts.json, tables, picture.
	$(BIN)/python -m tools.verdicts

SAMPLE ?=
SOME := $(if $(SAMPLE),--sample $(SAMPLE))
stacks: $(READY)  ## The example apps on older stacks: SAMPLE=N, only some.
	$(BIN)/python -m tools.stacks $(SOME)

CHECKOUT ?=
fork: $(READY)  ## The drop-in in a Flask-Admin checkout: make fork CHECKOUT=PATH; without, in releases.
ifdef CHECKOUT
	$(BIN)/session-scoping fork $(CHECKOUT)
else
	$(BIN)/python -m pytest tests/test_fork.py
endif

fire: $(READY)  ## Real databases, real servers, faults and load, with figures.
	$(BIN)/python -m pytest tests/fire tests/test_faults.py

faults: $(READY)  ## Every operation failed in every way, on every database: a table.
	$(BIN)/python -W ignore -m tools.faults

mutants: $(READY)  ## Both instruments on deliberate breaks of session scoping: SAMPLE=N, only some.
	$(BIN)/python -m tools.mutants $(SOME)

RUNS ?= 1000
flakes: $(READY)  ## The drop-in RUNS times: in random order, in parallel, without garbage collection.
	$(BIN)/python -m tools.flakes $(RUNS)

PART ?=
bench: $(READY)  ## What the instruments cost, as ratios: all, or PART=guard, recording, crawl, report, upstream.
	$(BIN)/python -W ignore -m tools.bench $(PART)

clean:  ## Remove the environment.
	rm -rf $(VENV)

$(READY): pyproject.toml
	@echo "Installing into $(VENV), once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
