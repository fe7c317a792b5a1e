"""The bookshop, which stands for Flask-Admin, and the survey of all handles."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from session_scoping.bookshop import shows
from session_scoping.bookshop.shop import recorded
from session_scoping.cli import main
from session_scoping.compare import survey as surveys
from session_scoping.compare.survey import Survey
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.report.page import page
from session_scoping.report.survey import summarize
from session_scoping.report.terminal import plain
from session_scoping.rules.cells import State
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.recordings import alone
from tests.recordings import export
from tests.recordings import session
from tests.recordings import shared
from tests.recordings import staircase
from tests.runs import RUN

# Flask-Admin uses what WTForms 3.3 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def seen() -> Recording:
    """Record the bookshop with a handle, without injected faults."""
    return recorded("scoped_session", faults=())


def test_the_bookshop_works(seen: Recording) -> None:
    verdict = judge(seen)
    assert [
        request.unexpected
        for request in seen.requests
        if request.unexpected and not request.stream_exception
    ] == []
    assert {
        violation.rule for violation in verdict.violations if violation.defect is None
    } == set()
    assert seen.unseen == []
    # A fast mass delete leaves them.
    [links] = seen.notes
    assert links.startswith("genres_of_books: 2 rows that linked deleted rows")


DRIVEN = {
    "GET": {"list", "details", "create form", "edit form", "look-up", "export"},
    "POST": {
        *("create", "edit", "inline child", "inline edit", "bulk delete", "delete")
    },
}


@pytest.mark.parametrize("method", DRIVEN)
def test_every_kind_of_operation_is_driven(method: str, seen: Recording) -> None:
    names = {request.does for request in seen.requests if request.method == method}
    for kind in DRIVEN[method]:
        assert any(name.startswith(kind) for name in names), kind


def test_operations_are_overtaken(seen: Recording) -> None:
    numbers = {
        request.overtakes for request in seen.requests if request.overtakes is not None
    }
    overtaken = {
        seen.requests[number].does
        for number in numbers
        if seen.views[seen.requests[number].view or 0].endpoint == "bookview"
    }
    assert overtaken >= {
        *("list", "list, searched", "details", "edit form"),
        *("look-up of author", "export csv", "create", "edit", "edit, changed"),
        *("inline child of reviews", "inline edit title", "bulk delete", "delete"),
    }


def test_an_operation_with_an_unexpected_answer_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(shows.SHOWS["bookview"], "list", (200, "Emma"))
    monkeypatch.setitem(shows.SHOWS["bookview"], "details", (404, ""))
    found = Survey(recordings={"lite": recorded("lite", faults=())})
    wrong = " ".join(found.wrong)
    assert "does not show 'Emma'" in wrong
    assert "answers 200, not 404" in wrong
    assert found.status == 2


def test_an_operation_without_an_expected_answer_is_refused() -> None:
    with pytest.raises(LookupError, match="bookview, page new"):
        shows.expected("bookview", "page new")


def survey(
    *recordings: Recording,
    not_tried: dict[str, str] | None = None,
    does_not_import: str = "",
) -> Survey:
    return Survey(
        "3.11.7",
        {"Flask-Admin": "2.2.1"},
        dict(zip(HANDLES, recordings, strict=False)),
        not_tried or {},
        does_not_import,
    )


EXPORTED = export(0, flask="3.1.3")
UNIQUE = replace(
    shared(Maker.LITE, ["Admin → UserView", "Unique.db_session"]),
    stack={"Flask-Admin": "2.1.0"},
)
WRONG = alone(0, unexpected="does not show 'Dune'", sessions=[session(0)])

SURVEYS: dict[str, tuple[Survey, int, str]] = {
    "all holds": (survey(staircase()), 0, "sessions are request-scoped."),
    "a defect that no release fixes": (
        survey(staircase(), EXPORTED),
        0,
        "sessions are request-scoped, except for the known defects above.",
    ),
    "a defect that an upgrade fixes": (survey(UNIQUE), 1, "a rule is broken."),
    "a broken rule": (survey(shared(Maker.FLASK_SQLALCHEMY)), 1, "a rule is broken."),
    "an operation that does not work": (survey(WRONG), 2, "could not tell."),
    "nothing": (survey(), 2, "could not tell."),
    "no import": (
        survey(does_not_import="Flask-Admin does not import: no T_SESSION"),
        2,
        "could not tell: Flask-Admin does not import: no T_SESSION.",
    ),
}


@pytest.mark.parametrize("name", SURVEYS)
def test_a_survey_has_a_status_and_a_sentence(name: str) -> None:
    found, status, sentence = SURVEYS[name]
    assert found.status == status
    assert f"Verdict: {sentence}" in printed(found)
    assert sentence[1:].removesuffix(".") in page(summarize(found), RUN)


def printed(found: Survey) -> str:
    return plain(summarize(found))


def test_a_known_defect_has_its_number_and_its_link() -> None:
    text = printed(survey(staircase(), EXPORTED))
    assert "known broken [1]" in text
    assert "[1] Flask 3.1.2 and newer end the app context" in text
    assert "https://github.com/pallets/flask/pull/5799" in text


def test_a_broken_rule_is_printed_with_its_violation() -> None:
    text = printed(survey(shared(Maker.FLASK_SQLALCHEMY)))
    assert "fresh is broken with db:\n" in text
    assert "session 0 has served request 0 before" in text


def test_a_handle_that_is_not_installed_is_not_tried() -> None:
    found = survey(staircase(), not_tried={"lite": "needs Flask-SQLAlchemy-Lite"})
    assert found.cell(Rule.SINGLE, "lite").state is State.NOT_TRIED
    assert "lite was not tried: it needs Flask-SQLAlchemy-Lite" in printed(found)


def test_a_saved_survey_can_be_loaded() -> None:
    found = survey(staircase(), EXPORTED)
    read = Survey.from_json(json.loads(json.dumps(found.to_json())))
    assert read.cells == found.cells
    assert read.stack == found.stack


def test_the_command_prints_and_saves_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = survey(staircase(), EXPORTED)
    monkeypatch.setattr(surveys, "survey", lambda progress: found)
    saved, page = tmp_path / "seen.json", tmp_path / "page.html"
    options = ["--json", str(saved), "--html", str(page)]
    done = CliRunner().invoke(main, ["verdict", *options])
    assert (done.exit_code, done.stderr.splitlines()) == (
        0,
        [
            f"--html saved the report: {page}",
            f"--json saved all that was seen: {saved}",
        ],
    )
    first = [line.partition(" ")[0] for line in done.stdout.splitlines()]
    assert [word for word in first if word in {*Rule}] == list(Rule)
    assert Survey.from_json(json.loads(saved.read_text())).cells == found.cells
    assert "known broken [1]" in page.read_text()


def test_the_command_refuses_a_path_in_a_missing_folder(tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "seen.json")
    done = CliRunner().invoke(main, ["verdict", "--json", path])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert "cannot write" in done.stderr
