"""The guard on real databases, and what only a database server shows."""

import os
import subprocess
import sys
import typing as t
from pathlib import Path
from time import monotonic

import flask
import pytest
import sqlalchemy as sa

from session_scoping import judge
from session_scoping import record
from session_scoping.report.verdict import text
from session_scoping.rules.rules import Rule
from tests.apps import APPS
from tests.apps import Example
from tests.fire.monitor import Monitor
from tests.waiting import LIMIT
from tools.databases import Server

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings(
    "ignore:Yielding raw tuples:DeprecationWarning",
    "ignore:Passing a session object:DeprecationWarning",
)


@pytest.fixture(scope="module")
def make_app() -> t.Callable[..., flask.Flask]:
    from tools import library

    def make(url: str, handle: str = "db") -> flask.Flask:
        patch = pytest.MonkeyPatch()
        patch.setenv("LIBRARY_URL", url)
        patch.setenv("LIBRARY_HANDLE", handle)
        library.prepare(url)
        try:
            return library.create_app()
        finally:
            patch.undo()

    return make


Make = t.Callable[..., flask.Flask]


def test_the_library_holds_under_faults(
    make_app: Make, url: str, monitor: Monitor
) -> None:
    """Every operation is driven, and fails at each of its steps.  After each operation
    no connection is in a transaction."""
    left: dict[str, list[t.Any]] = {}

    def find_transactions(name: str, done: int, total: int) -> None:
        if found := monitor.in_transaction():
            left[name] = found

    app = make_app(url)
    recording = record(app, write=True, faults=True, progress=find_transactions)
    verdict = judge(recording)
    assert verdict.holds, text(verdict)
    for view in ("AuthorView", "BookView"):
        [number] = [n for n, found in enumerate(recording.views) if found.name == view]
        assert {verdict.cell(rule, number).state for rule in Rule} == {"holds"}
    assert left == {}
    assert monitor.in_transaction() == []


def test_the_monitor_finds_an_unclosed_session(
    make_app: Make, url: str, monitor: Monitor
) -> None:
    app = make_app(url, "never_removed")
    assert app.test_client().get("/admin/author/").status_code == 200
    assert len(monitor.in_transaction()) == 1
    verdict = judge(record(app))
    assert {"fresh", "released"} <= {violation.rule for violation in verdict.violations}


# Apps with their own teardown, which a database server could show in another way.
ENDINGS = ("never_removed", "scope_shared", "teardown_commits", "unclosed")
BY_NAME = {example.name: example for example in APPS}


@pytest.mark.parametrize(
    "example",
    [BY_NAME[f"{name}:{which}"] for name in ENDINGS for which in ("fixed", "broken")],
    ids=lambda example: example.name,
)
def test_apps_are_judged_as_on_sqlite(url: str, example: Example) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "session_scoping", "--app", example.target],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        text=True,
        capture_output=True,
    )
    assert result.returncode == (1 if example.rule else 0), result
    if example.rule:
        assert f"   {example.rule}: " in result.stdout
    if example.at_once:  # the driver can refuse a connection that two requests use
        assert {"isolated:", "recovers:"} & {*result.stdout.split()}


def test_an_idle_admin_answers(
    make_app: Make, server: Server, url: str, monitor: Monitor
) -> None:
    """PostgreSQL ends connections that idle in a transaction, as in issue 2585."""
    if server.name != "postgresql":
        pytest.skip("MariaDB has idle_transaction_timeout in whole seconds only")
    monitor.ask(
        f"ALTER DATABASE {sa.engine.make_url(url).database} "
        "SET idle_in_transaction_session_timeout = '2s'"
    )
    idle, answers = {}, {}
    for handle in ("db", "never_removed"):
        client = make_app(url, handle).test_client()
        assert client.get("/admin/author/").status_code == 200
        idle[handle] = len(monitor.in_transaction())
        end = monotonic() + LIMIT
        while monitor.in_transaction():
            assert monotonic() < end, "PostgreSQL has not ended the transaction"
        answers[handle] = client.get("/admin/author/").status_code
    assert idle == {"db": 0, "never_removed": 1}
    assert answers == {"db": 200, "never_removed": 500}


def test_a_request_shows_committed_changes(
    make_app: Make, server: Server, url: str, monitor: Monitor
) -> None:
    """REPEATABLE READ shows a session the rows of its first read: issue 1272."""
    if server.name != "mariadb":
        pytest.skip("PostgreSQL reads what is committed by default")
    seen = {}
    for handle in ("db", "never_removed"):
        client = make_app(url, handle).test_client()
        client.get("/admin/author/")
        monitor.ask(f"UPDATE author SET name = 'renamed for {handle}'")
        page = client.get("/admin/author/").get_data(as_text=True)
        seen[handle] = f"renamed for {handle}" in page
    assert seen == {"db": True, "never_removed": False}
