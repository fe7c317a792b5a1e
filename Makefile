# One virtual environment serves every target. A target installs the extra that it needs,
# which `pyproject.toml` describes, and makes the environment when there is none.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WITH := $(VENV)/.with-
# pip does not compile what it installs: Python compiles what it imports, and has to keep it.
unexport PYTHONDONTWRITEBYTECODE
DROP_IN := flask_admin/tests/sqla/test_session_scoping.py

.PHONY: help verdict test test-rest test-all coverage lint docs verdicts stacks fork fire faults mutants flakes repeat interrupts bench clean

help:  ## This list.
	@sed -n 's/^\([a-z-]*\):.*  ## /\1\t/p' Makefile | expand -t 12

verdict: $(WITH)verdict  ## Does Flask-Admin hold one session? Answered on what is installed.
	@status=0; \
	$(BIN)/python reproduction_script.py || status=$$?; \
	echo; echo "The contract, as tests:"; \
	said=$$($(BIN)/python -m pytest -q -p no:randomly $(DROP_IN) \
		-k "not operation and not problem") || status=$$?; \
	echo "$$said" | tail -n 1; \
	echo; $(BIN)/session-scoping verdict || status=$$?; \
	exit $$status

test: $(WITH)test  ## The tests that need no server, no browser and no other release.
	$(BIN)/python -m pytest -n 2

test-rest: $(WITH)test-all  ## The tests that make test leaves out, but for the weekly ones.
	$(BIN)/python -m pytest -n 2 -m "(server or browser or releases or extra) and not weekly"

test-all: test test-rest  ## Both.

PURE := $(addprefix tests/test_,recording.py rules.py causes.py findings.py verdict.py report.py upgrade.py verdicts.py)
coverage: $(WITH)test-all  ## Do the tests reach every line and branch of the rules and causes?
	$(BIN)/coverage run -m pytest -q -n 0 $(PURE)
	$(BIN)/coverage report

lint: $(WITH)test-all  ## Format, lint, types, and which part imports which.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy reproduction_script.py session_scoping tests tools examples
	@# From its own folder, where the folder flask_admin/ does not hide the package.
	cd flask_admin/tests/sqla && $(abspath $(BIN))/mypy \
		--config-file $(CURDIR)/pyproject.toml test_session_scoping.py

docs: $(WITH)test-all  ## Run the documents' code, write down what it says, take the pictures.
	$(BIN)/python -m tools.documents --write

verdicts: $(WITH)upgrade  ## The bookshop on every release, in every environment: verdicts.json, tables, picture.
	$(BIN)/python -m tools.verdicts

SAMPLE ?=
SOME := $(if $(SAMPLE),--sample $(SAMPLE))
stacks: $(WITH)upgrade  ## The example apps and the monitor on older stacks: SAMPLE=N, only some.
	$(BIN)/python -m tools.stacks $(SOME)

CHECKOUT ?=
fork: $(WITH)test-all  ## The drop-in in a Flask-Admin checkout: make fork CHECKOUT=PATH; without, in releases.
ifdef CHECKOUT
	$(BIN)/session-scoping fork $(CHECKOUT)
else
	$(BIN)/python -m pytest -m '' tests/test_fork.py
endif

fire: $(WITH)test-all  ## Real databases, real servers, faults and load, with figures.
	$(BIN)/python -m pytest -m '' tests/fire tests/test_faults.py

faults: $(WITH)test-all  ## Every operation failed in every way, on every database: a table.
	$(BIN)/python -W ignore -m tools.faults

mutants: $(WITH)test  ## Both instruments on deliberate breaks of session scoping: SAMPLE=N, only some.
	$(BIN)/python -m tools.mutants $(SOME)

RUNS ?= 1000
flakes: $(WITH)test  ## The drop-in RUNS times: in random order, in parallel, without garbage collection.
	$(BIN)/python -m tools.flakes $(RUNS)

repeat: $(WITH)test  ## Some apps, ten times each: the same app gets the same report, word for word.
	$(BIN)/python -m tools.repeat

interrupts: $(WITH)test-all  ## Ctrl-C at 30 moments of each command: no accusation, no traceback.
	$(BIN)/python -m tools.interrupts

PART ?=
bench: $(WITH)test-all  ## What the instruments cost, as ratios: all, or PART=guard, recording, crawl, monitor, report, suite, upstream.
	$(BIN)/python -W ignore -m tools.bench $(PART)

clean:  ## Remove the environment.
	rm -rf $(VENV)

$(WITH)%: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what '$*' needs into $(VENV)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable '.[$*]'
	@touch $@
