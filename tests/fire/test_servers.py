"""The library on real servers: under load, and with lost clients and connections."""

import typing as t
from collections import Counter

import pytest

from session_scoping import judge
from session_scoping import Recording
from session_scoping.report.verdict import text
from session_scoping.rules.rules import Rule
from tests.fire.monitor import Monitor
from tests.fire.serving import SERVERS
from tests.fire.serving import Serving
from tests.fire.serving import serving
from tests.fire.serving import Work
from tests.fire.serving import working
from tools.databases import Server

Figures = t.Callable[[str], None]
GUNICORN = "gunicorn with threads"
NEVER_YIELDS = ("gunicorn with gevent", "postgresql")  # psycopg2 waits in C


def assert_all_rules_hold(recordings: list[Recording]) -> None:
    """Check that rules hold, sessions are closed, and connections are returned."""
    served = [recording for recording in recordings if recording.requests]
    assert served, "no request was recorded"
    for recording in served:
        verdict = judge(recording)
        assert verdict.holds, text(verdict)
        assert verdict.proven
        assert [session for session in recording.sessions if not session.closed] == []
        assert [
            request
            for request in recording.requests
            if request.taken != request.returned
        ] == []


def assert_rows_are_complete(monitor: Monitor, done: list[Work]) -> int:
    """Check that the saved rows are there, and no others.  Returns their number."""
    rows = monitor.ask("SELECT title FROM book WHERE title NOT LIKE 'Book %'")
    titles = {title for (title,) in rows}
    kept = set().union(*(work.kept for work in done))
    assert kept - titles == set()
    assert titles - set().union(*(work.tried for work in done)) == set()
    return len(kept)


def counts(done: list[Work]) -> str:
    answers = Counter(status for work in done for status in work.answers)
    return f"{answers.total()} requests, " + ", ".join(
        f"{number} × {status or 'no answer'}"
        for status, number in sorted(answers.items())
    )


@pytest.mark.parametrize("kind", SERVERS)
def test_all_rules_hold_under_load(
    kind: str, server: Server, url: str, monitor: Monitor, figures: Figures
) -> None:
    """Sixteen people read and write at once."""
    with serving(kind, url) as running:
        with working(running, rounds=3) as done:
            pass
        assert monitor.in_transaction() == []
        running.end()
    assert_all_rules_hold(running.recordings)
    for recording in running.recordings:
        verdict = judge(recording)
        [books] = [
            n for n, view in enumerate(recording.views) if view.name == "BookView"
        ]
        overlapped = verdict.cell(Rule.ISOLATED, books).state == "holds"
        assert overlapped or (kind, server.name) == NEVER_YIELDS
    assert {status for work in done for status in work.answers} == {200, 302}
    kept = assert_rows_are_complete(monitor, done)
    figures(
        f"load, {kind}, {server.name}: {counts(done)}; sessions left 0, connections in "
        f"a transaction 0, rows kept {kept}, lost 0"
    )


def test_a_leak_in_a_server_is_reported(url: str, server: Server) -> None:
    with serving("waitress", url, LIBRARY_HANDLE="never_removed") as running:
        client = running.client()
        for _ in range(4):
            client.get("author/")
        running.end()
    broken = {violation.rule for violation in judge(running.recordings[0]).violations}
    assert "released" in broken
    with pytest.raises(AssertionError):
        assert_all_rules_hold(running.recordings)


EXPORT = b"GET /admin/book/export/csv/ HTTP/1.1\r\nHost: a\r\n\r\n"
STREAM = b"GET /admin/slow/books HTTP/1.1\r\nHost: a\r\n\r\n"
SLOW = b"GET /admin/slow/ HTTP/1.1\r\nHost: a\r\n\r\n"
FORM = (
    b"POST /admin/book/new/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\ntitle=never"
)


@pytest.mark.parametrize("kind", SERVERS)
def test_all_rules_hold_when_clients_leave(
    kind: str, server: Server, url: str, monitor: Monitor, figures: Figures
) -> None:
    """They leave in the middle of an export, a long stream, a form and a slow page."""
    left = [(EXPORT, 200), (STREAM, 50_000), (FORM, 0), (SLOW, 0)] * 4
    with serving(kind, url) as running:
        client = running.client()
        client.get("author/")  # waits for the server
        for request, after in left:
            client.leave(request, after)
        assert [client.get("author/"), client.answers][1] == [200, 200]
        running.end()
    assert_all_rules_hold(running.recordings)
    assert monitor.in_transaction() == []
    [recording] = running.recordings
    streams = [
        request for request in recording.requests if request.path == "/admin/slow/books"
    ]
    assert len(streams) == 4
    elsewhere = [stream for stream in streams if stream.ended_on]
    assert elsewhere == [], "this server shows Flask's issue 6123"
    figures(
        f"clients that leave, {kind}, {server.name}: {len(left)}; sessions left 0, "
        "connections in a transaction 0, streams ended on another thread 0"
    )


def test_workers_are_replaced_under_load(
    server: Server, url: str, monitor: Monitor, figures: Figures
) -> None:
    reloads = 3
    with serving(GUNICORN, url, workers=2) as running:
        with working(running, rounds=6) as done:
            for number in range(1, reloads + 1):
                running.wait_for(number * 200)
                running.reload()
        running.end()
    assert_all_rules_hold(running.recordings)
    assert len(running.recordings) == 2 * (reloads + 1)
    assert {status for work in done for status in work.answers} <= {0, 200, 302}
    assert monitor.in_transaction() == []
    kept = assert_rows_are_complete(monitor, done)
    figures(
        f"workers replaced, {GUNICORN}, {server.name}: {counts(done)}; {reloads} "
        f"reloads of 2 workers; sessions left 0, rows kept {kept}, lost 0"
    )


@pytest.mark.parametrize("kind", ["waitress", GUNICORN])
def test_connections_are_killed_under_load(
    kind: str, server: Server, url: str, monitor: Monitor, figures: Figures
) -> None:
    """Only requests that lose their connection fail."""
    killed = 0
    with serving(kind, url) as running:
        with working(running, rounds=6) as done:
            for number in range(1, 6):
                running.wait_for(number * 150)
                killed += monitor.kill()
        client = running.client()
        client.get("author/")  # fails if the work has left dead connections only
        client.get("author/")
        killed += monitor.kill()  # what waits in the pool, so that a request meets it
        for _ in range(1 + CALM):
            client.get("author/")
        running.end()
    assert_all_rules_hold(running.recordings)
    assert client.answers[1:] == [200, 500] + [200] * CALM
    statuses = Counter(status for work in done for status in work.answers)
    assert set(statuses) <= {200, 302, 500}
    assert statuses[500] <= killed * 2
    assert monitor.in_transaction() == []
    kept = assert_rows_are_complete(monitor, done)
    figures(
        f"connections killed, {kind}, {server.name}: {counts(done)}; {killed} killed; "
        f"sessions left 0, rows kept {kept}, lost 0"
    )


CALM = 20


def test_the_database_is_restarted_between_two_requests(
    server: Server, url: str, figures: Figures
) -> None:
    """The first request finds a dead connection and fails.  The next request works."""
    with serving("waitress", url) as running:
        client = running.client()
        client.get("author/")
        server.stop()
        server.start()
        for _ in range(3):
            client.get("author/")
        client.post("author/new/", name="Butler")
        assert "Butler" in client.get("author/?search=Butler")
        running.end()
    assert_all_rules_hold(running.recordings)
    assert client.answers == [200, 500, 200, 200, 302, 200]
    figures(f"database restarted, waitress, {server.name}: answers {client.answers}")


def test_a_server_that_does_not_start_does_not_pass(url: str, server: Server) -> None:
    with serving("waitress", url, LIBRARY_HANDLE="nonsense") as running:
        assert isinstance(running, Serving)
        running.process.wait(60)
    assert running.recordings == []
    with pytest.raises(AssertionError):
        assert_all_rules_hold(running.recordings)
