"""The verdicts on all releases: the defects, the tables and the picture match them."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import Defect
from session_scoping.rules.defects import DEFECTS
from session_scoping.rules.defects import expected
from session_scoping.rules.defects import not_importing
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.handles import missing
from session_scoping.rules.rules import Rule
from tools import verdicts
from tools.links import INVESTIGATION
from tools.links import ROOT
from tools.verdicts import changed
from tools.verdicts import DATA
from tools.verdicts import Environment
from tools.verdicts import load
from tools.verdicts import NAMES_OF_ALL
from tools.verdicts import PAGE
from tools.verdicts import PICTURE
from tools.verdicts import picture
from tools.verdicts import run
from tools.verdicts import save
from tools.verdicts import verdict
from tools.verdicts import with_tables

FOUND = load()


def test_the_tables_match_the_verdicts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, FOUND) == text, "run `make verdicts`"


def test_the_picture_matches_the_verdicts() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(FOUND), "run `make verdicts`"


def test_every_environment_has_a_verdict() -> None:
    assert {environment.name for environment in FOUND} == {*NAMES_OF_ALL}


def unexplained_cells(environment: Environment) -> list[str]:
    """List the cells that differ from what the defects and the handles' needs imply."""
    versions = environment.versions
    if environment.does_not_import or not_importing(versions):
        expects = environment.does_not_import and not_importing(versions)
        return [] if expects else [environment.name]
    found = []
    for rule in Rule:
        for handle in HANDLES:
            cell = environment.cell(rule, handle)
            known = {defect.id for defect in expected(rule, handle, versions)}
            state = State.KNOWN if known else State.HOLDS
            if missing(handle, versions):
                known, state = set(), State.NOT_TRIED
            if (cell.state, {*cell.defects}) != (state, known):
                found.append(f"{cell}: expected {state.value} {known or ''}")
    return found


@pytest.mark.parametrize("environment", FOUND, ids=lambda environment: environment.name)
def test_the_defects_explain_every_cell(environment: Environment) -> None:
    assert not unexplained_cells(environment)


def make_environment(name: str, *cells: Cell, **stack: str) -> Environment:
    versions = {"Flask-Admin": name.split("-")[0], "Flask": "3.1.3", **stack}
    return Environment(
        name, versions, {(cell.rule, cell.subject): cell for cell in cells}
    )


LITE = "lite"
NAME = "9.0-neither-sa2.1-flask3.1.1"
UNTRIED = [
    Cell(rule, handle, State.NOT_TRIED)
    for rule in Rule
    for handle in HANDLES
    if handle != "scoped_session"
]
KNOWN = Cell(Rule.ALIVE, "scoped_session", State.KNOWN, "", ("streams-too-late",))


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        ([*UNTRIED, KNOWN], 0),
        (UNTRIED, 1),  # a known defect is missing
        ([*UNTRIED, Cell(Rule.ALIVE, "scoped_session", State.BROKEN)], 1),
        ([*UNTRIED, KNOWN, Cell(Rule.FRESH, "scoped_session", State.BROKEN)], 1),
        ([*UNTRIED[1:], KNOWN], 1),  # a handle is tried without its package
        ([*UNTRIED, replace(KNOWN, defects=("other",))], 1),
    ],
)
def test_a_cell_that_the_defects_do_not_explain_is_found(
    cells: list[Cell], number: int
) -> None:
    assert len(unexplained_cells(make_environment(NAME, *cells))) == number


def test_an_unexpected_import_is_found() -> None:
    broken = make_environment("2.2.1-neither-sa2.1-flask3.1.3")
    assert unexplained_cells(broken) == [broken.name]
    assert (
        unexplained_cells(broken._replace(does_not_import="cannot import name 'X'"))
        == []
    )


def test_every_defect_is_in_some_environment() -> None:
    seen = {
        defect
        for environment in FOUND
        for cell in environment.cells.values()
        for defect in cell.defects
    }
    seen |= {
        defect.id
        for environment in FOUND
        if environment.does_not_import
        for defect in not_importing(environment.versions)
    }
    assert seen == {defect.id for defect in DEFECTS if defect.handles}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_the_investigation_describes_every_defect(defect: Defect) -> None:
    text = (ROOT / INVESTIGATION).read_text(encoding="utf-8")
    found = re.search(rf"^### {defect.finding}\. .*?(?=^### |^## )", text, re.M | re.S)
    assert found, f"there is no finding {defect.finding}"
    assert defect.link in found[0]
    [about] = re.findall(r"^\*(.*?)\*$", found[0], re.M | re.S)
    state = f"Fixed in {defect.fixed_in}" if defect.fixed_in else "Open"
    assert state in " ".join(about.split())
    assert {*re.findall(r"`(\w+)`", about)} - {"scoped_session"} == {*defect.rules}
    for release in first_and_last_release(defect):
        assert release in about


def first_and_last_release(defect: Defect) -> list[str]:
    """Return the releases of Flask-Admin in which a defect shows, if any does."""
    found = [
        environment.release
        for environment in FOUND
        if defect in not_importing(environment.versions)
        or any(defect.id in cell.defects for cell in environment.cells.values())
    ]
    return found[:1] + found[-1:]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.id)
def test_a_defect_names_rules_and_handles_and_ends_at_its_fix(defect: Defect) -> None:
    assert {*defect.rules} <= {*Rule}
    assert {*defect.handles} <= {*HANDLES}
    assert not defect.fixed_in or not defect.is_in(defect.fixed_in)


def test_an_unknown_release_has_no_defect() -> None:
    assert not BY_ID["streams-too-late"].is_in("")


def test_saved_verdicts_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "DATA", tmp_path / "verdicts.json")
    save(FOUND)
    assert (tmp_path / "verdicts.json").read_text() == DATA.read_text()
    assert load() == FOUND


NOW = "2.2.1-both-sa2.1-flask3.1.3"
STREAMS = Cell(Rule.ALIVE, LITE, State.KNOWN, "", ("streams-too-late",))


@pytest.mark.parametrize(("state", "number"), [(State.HOLDS, 0), (State.BROKEN, 1)])
def test_a_changed_cell_is_reported(state: State, number: int) -> None:
    now = make_environment(
        "newest-both-sa2.1-flask3.1.3", Cell(Rule.FRESH, LITE, state)
    )
    found = [*changed(now, make_environment(NOW))]
    assert len(found) == number
    assert all("fresh with lite: holds in 2.2.1-both" in line for line in found)


def test_a_changed_defect_is_reported() -> None:
    before, now = (
        make_environment(NOW, replace(STREAMS, defects=(name,)))
        for name in [*BY_ID][:2]
    )
    [line] = changed(now, before)
    assert f"known broken [1] in {NOW}, known broken [2]" in line


def test_the_table_shows_a_rule_that_is_broken_without_a_known_defect() -> None:
    broken = make_environment(NOW, Cell(Rule.FRESH, LITE, State.BROKEN), STREAMS)
    assert verdict([broken], LITE) == "**fresh broken**; all but `alive` [1]"


def test_a_broken_cell_of_the_picture_links_to_its_finding() -> None:
    drawn = picture([make_environment(NOW, STREAMS)])
    target = "../SESSION_SCOPING_INVESTIGATION.md#1-an-export-outlives-its-session"
    assert f'<a href="{target}">' in drawn


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "name", ["2.2.0-lite-sa2.1-flask3.1.3", "2.2.1-neither-sa2.0-flask3.1.1"]
)
def test_an_environment_matches_its_verdict(name: str) -> None:
    """The first has known defects, and in the second Flask-Admin does not import."""
    [now] = run([name])
    [before] = [environment for environment in FOUND if environment.name == name]
    assert [*changed(now, before)] == []
    assert not now.cells or LITE in {handle for _, handle in now.cells}
    assert before.does_not_import == now.does_not_import
