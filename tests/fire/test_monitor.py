"""The monitor in real servers, on a real database: under load, and with a leak."""

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain
from pathlib import Path

import pytest

from session_scoping.monitor.sockets import ask
from tests.fire.monitor import Monitor
from tests.fire.serving import CLIENTS
from tests.fire.serving import SERVERS
from tests.fire.serving import Serving
from tests.fire.serving import serving
from tests.fire.serving import working
from tools.databases import Server

GUNICORN = "gunicorn with threads"
HERE = Path(__file__).with_name("serve_monitored.py")
STREAM = b"GET /admin/slow/books HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def server(started: t.Callable[[str], Server]) -> Server:
    return started("postgresql")


Serve = t.Callable[..., AbstractContextManager[Serving]]


@pytest.fixture
def serve(url: str) -> Serve:
    """Serve the library with a monitor."""
    return partial(
        serving,
        url=url,
        serve="tests.fire.serve_monitored",
        load=lambda file: json.loads(file.read_text()),
    )


def line() -> str:
    """The line that leaks, as a finding names it."""
    lines = HERE.read_text().splitlines()
    [number] = [at for at, text in enumerate(lines, 1) if text.endswith("# leaks")]
    return f"tests/fire/serve_monitored.py:{number} in index"


def leak(running: Serving, times: int) -> list[int]:
    """Let each of sixteen clients open the page that leaks."""

    def visit(client: t.Any) -> list[int]:
        for _ in range(times):
            client.get("leak/")
        return t.cast(list[int], client.answers)

    clients = [running.client() for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        return [*chain.from_iterable(pool.map(visit, clients))]


@pytest.mark.parametrize("kind", SERVERS)
def test_a_sound_app_is_not_reported_under_load(
    kind: str, serve: Serve, monitor: Monitor, figures: t.Callable[[str], None]
) -> None:
    """Clients leave, too, and connections are killed."""
    with serve(kind) as running:
        with working(running, rounds=2) as done:
            running.wait_for(100)
            monitor.kill()
        for _ in range(4):
            running.client().leave(STREAM, 50_000)
        running.client().get("author/")
        running.end()
    [seen] = running.recordings
    assert seen["found"] == []
    assert seen["logged"] == []
    answers = sum(len(work.answers) for work in done)
    figures(f"monitor, {kind}, sound: {answers} requests, 0 findings")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_leak_is_logged_once_with_its_line(
    kind: str, serve: Serve, figures: t.Callable[[str], None]
) -> None:
    """The pool is large enough for all that is left open."""
    with serve(kind, LEAK="1", LIBRARY_POOL="90") as running:
        answers = leak(running, 3)
        running.end()
    assert answers == [200] * 3 * CLIENTS
    [seen] = running.recordings
    [found] = seen["found"]
    assert found["rule"] == "released"
    assert found["line"] == line()
    assert found["count"] == 3 * CLIENTS
    assert len(seen["logged"]) == 1
    figures(f"monitor, {kind}, a leak in {len(answers)} requests: logged once")


def test_workers_that_are_replaced_report_the_leak_each(serve: Serve) -> None:
    with serve(GUNICORN, workers=2, LEAK="1", LIBRARY_POOL="40") as running:
        client = running.client()
        client.get("leak/")
        running.reload()
        client.get("author/")
        running.end()
    lines = [found["line"] for seen in running.recordings for found in seen["found"]]
    assert lines == [line()]
    assert all(len(seen["logged"]) <= 1 for seen in running.recordings)


def test_a_leak_is_named_before_the_pool_is_empty_and_with_the_error(
    serve: Serve,
) -> None:
    with serve("waitress", LEAK="1", LIBRARY_POOL="5") as running:
        client = running.client()
        for _ in range(6):
            client.get("leak/")
        running.end()
    assert client.answers == [200] * 5 + [500]
    [seen] = running.recordings
    source, nearly, empty = seen["logged"]
    assert line() in source
    assert nearly.startswith("pool: 4 of 5 connections are out of the pool")
    assert empty.startswith("pool: the pool has no connection left (QueuePool limit")
    assert empty.count(line()) == 6  # five that hold one, and the line that waits


def test_holding_and_the_server_name_the_same_connections(
    serve: Serve, monitor: Monitor
) -> None:
    with serve(GUNICORN, LEAK="1") as running:
        client = running.client()
        for _ in range(3):
            client.get("leak/")
        client.get("author/")  # it is answered when the others have ended
        [(process, held)] = ask(str(running.folder / "holding"))
        idle = {number for number, *_ in monitor.in_transaction()}
        running.end()
    assert process != running.process.pid  # it is the worker
    assert held is not None
    assert {each.server_id for each in held} == idle
    assert len(idle) == 3
    assert {each.line for each in held} == {line()}
    assert all(each.in_transaction and each.over for each in held)
