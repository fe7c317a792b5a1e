"""The verdicts on all releases: documents and defects agree with them."""

import json
from pathlib import Path

import pytest

from session_scoping.defects import DEFECTS
from session_scoping.guard import BREAKS
from session_scoping.guard import Cell
from session_scoping.guard import GuardRun
from session_scoping.guard import HOLDS
from session_scoping.guard import KNOWN
from session_scoping.guard import UNKNOWN
from session_scoping.rules import NAMES
from tests import verdicts
from tests.verdicts import changed
from tests.verdicts import DATA
from tests.verdicts import Environment
from tests.verdicts import environments
from tests.verdicts import HANDLES
from tests.verdicts import load
from tests.verdicts import PICTURE
from tests.verdicts import picture
from tests.verdicts import ROOT
from tests.verdicts import save
from tests.verdicts import TABLES
from tests.verdicts import verdict
from tests.verdicts import with_table

FOUND = load()


@pytest.mark.parametrize("document", TABLES)
def test_the_tables_are_those_of_the_verdicts(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert with_table(text, document, FOUND) == text, "run `make verdicts`"


def test_the_picture_is_that_of_the_verdicts() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(FOUND), "run `make verdicts`"


def test_every_environment_of_tox_has_a_verdict() -> None:
    assert [one.name for one in FOUND] == sorted(
        environments(), key=[one.name for one in FOUND].index
    )


@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.name)
def test_what_is_broken_is_known(one: Environment) -> None:
    """And what is known is broken: where it can be tried, by the rule that it says."""
    if one.run.does_not_import:
        [defect] = [known for known in DEFECTS if not known.rules]
        assert defect.is_in(one.run.stack["Flask-Admin"])
        assert "Flask-SQLAlchemy" not in one.run.stack
        return
    for rule in NAMES:
        for handle in HANDLES:
            cell = one.cell(rule, handle)
            assert cell.state != BREAKS, cell
            if cell.state != UNKNOWN:
                assert (cell.state == KNOWN) == bool(one.defects(rule, handle)), cell


def test_every_defect_is_seen_somewhere() -> None:
    seen = {
        defect.id
        for one in FOUND
        for rule in NAMES
        for handle in HANDLES
        if one.cell(rule, handle).state == KNOWN
        for defect in one.defects(rule, handle)
    }
    seen |= {"does-not-import"} if any(o.run.does_not_import for o in FOUND) else set()
    assert seen == {one.id for one in DEFECTS if one.handles}


def test_what_is_saved_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "DATA", tmp_path / "verdicts.json")
    save(FOUND)
    assert (tmp_path / "verdicts.json").read_text() == DATA.read_text()
    assert load() == FOUND
    json.loads(DATA.read_text())


def environment(name: str, *cells: Cell, **stack: str) -> Environment:
    versions = {"Flask-Admin": name.split("-")[0], "Flask": "3.1.3"}
    return Environment(name, GuardRun(stack=versions | stack, cells=list(cells)))


LITE = "lite_db"
BEFORE = environment("2.2.1-both-sa2.1-flask3.1.3", Cell("fresh", LITE, HOLDS))


@pytest.mark.parametrize(
    ("state", "number"), [(HOLDS, 0), (BREAKS, 1), (KNOWN, 1), (UNKNOWN, 1)]
)
def test_a_new_release_that_changes_a_cell_is_told(state: str, number: int) -> None:
    cell = Cell("fresh", LITE, state, "why", "said")
    now = environment("newest-both-sa2.1-flask3.1.3", cell)
    found = [*changed(now, BEFORE)]
    assert len(found) == number
    assert all("fresh with lite_db: holds in 2.2.1-both" in one for one in found)


def test_a_break_that_nobody_knows_of_is_told_in_the_table() -> None:
    cells = [Cell("fresh", LITE, BREAKS), Cell("alive", LITE, KNOWN)]
    broken = environment("9.0-both-sa2.1-flask3.1.3", *cells)
    said = verdict([broken], LITE, "SUMMARY.md")
    assert said.startswith(
        "**fresh breaks**; all but `alive` [1](SESSION_SCOPING_INVESTIGATION"
    )


def test_a_red_cell_of_the_picture_leads_to_its_finding() -> None:
    drawn = picture(
        [environment("9.0-both-sa2.1-flask3.1.3", Cell("alive", LITE, KNOWN))]
    )
    target = "../SESSION_SCOPING_INVESTIGATION.md#1-an-export-outlives-its-session"
    assert f'<a href="{target}">' in drawn
