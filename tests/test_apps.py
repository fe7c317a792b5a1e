"""The guard on example apps: it names what is broken, and nothing in fixed apps.

Each example in ``tests/apps`` is there twice, broken and fixed.
"""

import os
import re
import subprocess
import sys
import typing as t
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from session_scoping import Verdict
from session_scoping.report.verdict import text
from tests.apps import APPS
from tests.apps import Example
from tests.apps import verdict_on
from tests.printed import all_lines_run

ROOT = Path(__file__).parent.parent
# Warnings of Flask-Admin itself would turn its pages into errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
]


def release(package: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version(package))[:3])


def unsupported(example: Example) -> str:
    """Return why an app cannot be tried here, or nothing."""
    for package in example.needs:
        if find_spec(package) is None:
            return f"{package} is not installed"
    if example.rule and release("flask") < example.since_flask:
        return f"is not broken before Flask {example.since_flask}"
    if release("flask-admin") < example.since:
        return f"Flask-Admin {version('flask-admin')} does not run it"
    if example.before and release("flask-admin") >= example.before:
        return f"Flask-Admin {version('flask-admin')} refuses it, or has fixed it"
    return ""


def parameters(examples: t.Iterable[Example]) -> list[t.Any]:
    return [
        pytest.param(example, id=example.name)
        for example in examples
        if not example.alone
    ]


def run_command(
    example: Example, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command on an app."""
    return subprocess.run(
        [sys.executable, "-m", "session_scoping", "--app", example.target],
        cwd=ROOT,
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
    )


def assert_names(example: Example, verdict: Verdict, rules: t.Iterable[str]) -> None:
    """Check that the report names the rules, the view, the cause and the line."""
    views = verdict.recording.views
    found = [
        finding
        for finding in verdict.findings
        if not example.view
        or example.view in {views[n].name for n in finding.views if n is not None}
    ]
    broken = {rule for finding in found for rule in finding.rules}
    assert broken >= {*rules}, text(verdict)
    if example.cause:
        causes = {finding.cause.name for finding in found if finding.cause}
        assert example.cause in causes, text(verdict)
    if example.line:
        place = f"{example.file.relative_to(ROOT)}:{example.line} "
        assert place in text(verdict)


@pytest.mark.parametrize(
    "example", parameters(example for example in APPS if example.rule)
)
def test_a_broken_app_is_reported(example: Example) -> None:
    if why := unsupported(example):
        pytest.skip(why)
    rules = {example.rule, *example.also} - {*example.at_once}
    verdict = verdict_on(example)
    assert_names(example, verdict, rules)
    first = [finding.violations[0].line for finding in verdict.findings]
    lines = [line for line in first if line]
    assert len(lines) == len({*lines}), text(verdict)  # a line has one finding


@pytest.mark.parametrize(
    "example", parameters(example for example in APPS if example.at_once)
)
def test_what_only_concurrent_requests_break_is_reported(
    example: Example, tmp_path: Path
) -> None:
    """SQLite in memory has one connection: concurrent requests need a file."""
    if release("sqlalchemy") < (2,):
        pytest.skip("SQLAlchemy 1.4 keeps a connection to SQLite in its own thread")
    done = run_command(example, DATABASE_URL=f"sqlite:///{tmp_path / 'app.db'}")
    assert done.returncode == 1, done.stderr
    for rule in example.at_once:
        assert f"   {rule}: " in done.stdout


@pytest.mark.parametrize(
    "example", parameters(example for example in APPS if example.holds)
)
def test_a_fixed_app_holds(example: Example) -> None:
    if why := unsupported(example):
        pytest.skip(why)
    with all_lines_run(example.fix):
        verdict = verdict_on(example)
    assert verdict.holds, text(verdict)
    assert verdict.seen


@pytest.mark.parametrize(
    "example", parameters(example for example in APPS if example.writes)
)
def test_a_write_is_rolled_back_and_noted(example: Example) -> None:
    if why := unsupported(example):
        pytest.skip(why)
    verdict = verdict_on(example)
    assert verdict.holds
    [note] = [note for note in verdict.notes if "writes while pages are read" in note]
    assert f"{example.file.relative_to(ROOT)}:{example.line} " in note


@pytest.mark.parametrize(
    "example",
    [pytest.param(example, id=example.name) for example in APPS if example.alone],
)
def test_an_app_that_needs_its_own_process(example: Example) -> None:
    if why := unsupported(example):
        pytest.skip(why)
    done = run_command(example)
    assert done.returncode == (1 if example.rule else 0), done.stdout + done.stderr
    if example.rule:
        assert example.cause.lower() in " ".join(done.stdout.lower().split())
