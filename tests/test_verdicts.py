"""The verdicts on all releases: defects, documents and picture agree with them."""

import re
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
from tools.verdicts import changed
from tools.verdicts import DATA
from tools.verdicts import Environment
from tools.verdicts import INVESTIGATION
from tools.verdicts import load
from tools.verdicts import NAMES_OF_ALL
from tools.verdicts import PAGE
from tools.verdicts import PICTURE
from tools.verdicts import picture
from tools.verdicts import ROOT
from tools.verdicts import run
from tools.verdicts import save
from tools.verdicts import verdict
from tools.verdicts import with_tables

FOUND = load()


def test_the_tables_are_those_of_the_verdicts() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, FOUND) == text, "run `make verdicts`"


def test_the_picture_is_that_of_the_verdicts() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(FOUND), "run `make verdicts`"


def test_every_environment_has_a_verdict() -> None:
    assert {one.name for one in FOUND} == {*NAMES_OF_ALL}


def unexpected(one: Environment) -> list[str]:
    """The cells that are not what the defects and the handles' needs say of the
    versions of an environment."""
    if one.does_not_import or not_importing(one.versions):
        return [] if one.does_not_import and not_importing(one.versions) else [one.name]
    found = []
    for rule in Rule:
        for handle in HANDLES:
            cell = one.cell(rule, handle)
            known = {defect.id for defect in expected(rule, handle, one.versions)}
            state = State.KNOWN if known else State.HOLDS
            if missing(handle, one.versions):
                known, state = set(), State.NOT_TRIED
            if (cell.state, {*cell.defects}) != (state, known):
                found.append(f"{cell}: expected {state.value} {known or ''}")
    return found


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
def test_every_cell_is_what_the_defects_say(one: Environment) -> None:
    assert not unexpected(one)


def environment(name: str, *cells: Cell, **stack: str) -> Environment:
    versions = {"Flask-Admin": name.split("-")[0], "Flask": "3.1.3", **stack}
    return Environment(name, versions, {(one.rule, one.subject): one for one in cells})


LITE = "lite"
NAME = "9.0-neither-sa2.1-flask3.1.1"
UNTRIED = [
    Cell(rule, handle, State.NOT_TRIED)
    for rule in Rule
    for handle in HANDLES
    if handle != "scoped_session"
]
OTHER = Cell(Rule.ALIVE, "scoped_session", State.KNOWN, "", ("other",))
KNOWN = Cell(Rule.ALIVE, "scoped_session", State.KNOWN, "", ("streams-too-late",))


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        ([*UNTRIED, KNOWN], 0),
        (UNTRIED, 1),  # a known defect that does not show
        ([*UNTRIED, Cell(Rule.ALIVE, "scoped_session", State.BROKEN)], 1),
        ([*UNTRIED, KNOWN, Cell(Rule.FRESH, "scoped_session", State.BROKEN)], 1),
        ([*UNTRIED[1:], KNOWN], 1),  # a handle that is tried without what it needs
        (
            [*UNTRIED, Cell(Rule.ALIVE, "scoped_session", State.KNOWN, "", ("other",))],
            1,
        ),
    ],
)
def test_a_cell_that_is_not_what_the_defects_say_is_found(
    cells: list[Cell], number: int
) -> None:
    assert len(unexpected(environment(NAME, *cells))) == number


def test_an_environment_that_should_not_import_and_does_is_found() -> None:
    broken = environment("2.2.1-neither-sa2.1-flask3.1.3")
    assert unexpected(broken) == [broken.name]
    assert unexpected(broken._replace(does_not_import="cannot import name 'X'")) == []


def test_every_defect_is_seen_somewhere() -> None:
    seen = {
        defect
        for one in FOUND
        for cell in one.cells.values()
        for defect in cell.defects
    }
    seen |= {
        defect.id
        for one in FOUND
        if one.does_not_import
        for defect in not_importing(one.versions)
    }
    assert seen == {one.id for one in DEFECTS if one.handles}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.id)
def test_the_investigation_describes_it(defect: Defect) -> None:
    text = (ROOT / INVESTIGATION).read_text(encoding="utf-8")
    found = re.search(rf"^### {defect.finding}\. .*?(?=^### |^## )", text, re.M | re.S)
    assert found, f"there is no finding {defect.finding}"
    assert defect.link in found[0]
    for rule in defect.rules:
        assert f"`{rule}`" in found[0]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.id)
def test_a_defect_names_rules_and_handles_and_ends_where_it_is_fixed(
    defect: Defect,
) -> None:
    assert {*defect.rules} <= {*Rule}
    assert {*defect.handles} <= {*HANDLES}
    assert not defect.fixed_in or not defect.is_in(defect.fixed_in)


def test_a_release_that_is_not_known_has_no_defect() -> None:
    assert not BY_ID["streams-too-late"].is_in("")


def test_what_is_saved_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "DATA", tmp_path / "verdicts.json")
    save(FOUND)
    assert (tmp_path / "verdicts.json").read_text() == DATA.read_text()
    assert load() == FOUND


BEFORE = environment("2.2.1-both-sa2.1-flask3.1.3")


@pytest.mark.parametrize(("state", "number"), [(State.HOLDS, 0), (State.BROKEN, 1)])
def test_a_new_release_that_changes_a_cell_is_reported(
    state: State, number: int
) -> None:
    now = environment("newest-both-sa2.1-flask3.1.3", Cell(Rule.FRESH, LITE, state))
    found = [*changed(now, BEFORE)]
    assert len(found) == number
    assert all("fresh with lite: holds in 2.2.1-both" in one for one in found)


def test_another_defect_in_the_same_cell_is_reported() -> None:
    one, other = (
        Cell(Rule.ALIVE, LITE, State.KNOWN, "", (name,)) for name in [*BY_ID][:2]
    )
    before, now = (
        environment("2.2.1-both-sa2.1-flask3.1.3", it) for it in (one, other)
    )
    [said] = changed(now, before)
    assert "known broken [1] in 2.2.1-both-sa2.1-flask3.1.3, known broken [2]" in said


def test_a_break_that_no_defect_explains_is_in_the_table() -> None:
    known = Cell(Rule.ALIVE, LITE, State.KNOWN, "", ("streams-too-late",))
    cells = [Cell(Rule.FRESH, LITE, State.BROKEN), known]
    broken = environment("9.0-both-sa2.1-flask3.1.3", *cells)
    said = verdict([broken], LITE)
    assert said.startswith("**fresh broken**; all but `alive` [1]")


def test_a_red_cell_of_the_picture_leads_to_its_finding() -> None:
    known = Cell(Rule.ALIVE, LITE, State.KNOWN, "", ("streams-too-late",))
    drawn = picture([environment("9.0-both-sa2.1-flask3.1.3", known)])
    target = "../SESSION_SCOPING_INVESTIGATION.md#1-an-export-outlives-its-session"
    assert f'<a href="{target}">' in drawn


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    "name", ["2.2.0-lite-sa2.1-flask3.1.3", "2.2.1-neither-sa2.0-flask3.1.1"]
)
def test_an_environment_is_as_it_is_written_down(name: str) -> None:
    """With known defects, and where Flask-Admin does not import."""
    [now] = run([name])
    [before] = [one for one in FOUND if one.name == name]
    assert [*changed(now, before)] == []
    assert not now.cells or LITE in {handle for _, handle in now.cells}
    assert before.does_not_import == now.does_not_import
