"""What is known to be broken is written down once, and the drop-in's copy agrees."""

import ast
import re
import typing as t
from pathlib import Path

import pytest
from packaging.version import Version

from session_scoping import guard
from session_scoping.causes import CAUSES
from session_scoping.defects import BY_ID
from session_scoping.defects import Defect
from session_scoping.defects import DEFECTS
from session_scoping.defects import EVERY_HANDLE
from session_scoping.rules import NAMES

ROOT = Path(__file__).parent.parent
INVESTIGATION = ROOT / "SESSION_SCOPING_INVESTIGATION.md"
RELEASES = {
    "Flask": ("2.2.5", "3.0.3", "3.1.1", "3.1.2", "3.1.3", "3.2.0", "4.0.0"),
    "Flask-Admin": ("1.6.1", "2.0.2", "2.1.0", "2.2.0", "2.2.1", "2.2.2", "3.0.0"),
}
IN_DROP_IN = {
    "streams-too-late": "STREAMS_TOO_LATE",
    "mass-delete-not-rolled-back": "MASS_DELETE_NOT_ROLLED_BACK",
    "unique-keeps-session": "UNIQUE_KEEPS_SESSION",
    "does-not-import": "NEEDS_FLASK_SQLALCHEMY",
}


def in_drop_in() -> dict[str, list[ast.expr]]:
    """The arguments of each ``Defect(...)`` in the drop-in, by its name."""
    module = ast.parse(guard.path().read_text(encoding="utf-8"))
    return {
        node.targets[0].id: node.value.args
        for node in module.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "Defect"
    }


def value(expression: ast.expr, **names: t.Any) -> t.Any:
    """What an expression of the drop-in means where these names have these values."""
    code = compile(ast.Expression(expression), "drop-in", "eval")
    source = BY_ID["does-not-import"].link.rpartition("/")[0]
    return eval(code, {"SOURCE": source, **names})


def test_the_drop_in_expects_no_other_defect() -> None:
    assert {*in_drop_in()} == {*IN_DROP_IN.values()}
    assert {one.id for one in DEFECTS if one.handles} == {*IN_DROP_IN}


@pytest.mark.parametrize("name", IN_DROP_IN)
def test_the_drop_in_expects_it_in_the_same_releases(name: str) -> None:
    defect = BY_ID[name]
    here, why, *breaks = in_drop_in()[IN_DROP_IN[name]]
    variable = defect.package.upper().replace("-", "_")
    for release in RELEASES[defect.package]:
        names = {variable: Version(release), "Version": Version}
        assert value(here, **names) == defect.is_in(release), release
    assert defect.link in value(why)
    rules = value(breaks[0]) if breaks else {}
    assert {*rules} - {"effect"} == {*defect.rules}
    handles = {breaks[1].id} if len(breaks) > 1 else {*EVERY_HANDLE}  # type: ignore[attr-defined]
    assert handles == {*defect.handles}


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda one: one.id)
def test_the_investigation_tells_of_it(defect: Defect) -> None:
    text = INVESTIGATION.read_text(encoding="utf-8")
    found = re.search(rf"^### {defect.finding}\. .*?(?=^### |^## )", text, re.M | re.S)
    assert found, f"there is no finding {defect.finding}"
    assert defect.link in found[0]
    for rule in defect.rules:
        assert f"`{rule}`" in found[0]


def test_the_causes_take_their_words_from_it() -> None:
    told = {(cause.sentence, cause.fix, cause.link) for cause, _ in CAUSES}
    for name in (
        "streams-too-late",
        "unique-keeps-session",
        "close-fails-and-is-kept",
    ):
        one = BY_ID[name]
        assert (one.sentence, one.workaround, one.link) in told


def test_it_names_rules_that_there_are() -> None:
    assert {rule for one in DEFECTS for rule in one.rules} <= {*NAMES}


def test_a_release_that_is_not_known_has_no_defect() -> None:
    assert not BY_ID["streams-too-late"].is_in("")
