"""The monitor: what it reports, once and with the right line, and what it leaves."""
# mypy: allow-subclassing-any

import asyncio
import contextvars
import gc
import json
import logging
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from weakref import ref

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import ClosingIterator

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import BaseView
from flask_admin.contrib.sqla import ModelView
from session_scoping import Monitor
from session_scoping import record
from session_scoping import Recorder
from session_scoping.cli import in_flask
from session_scoping.monitor import connections
from session_scoping.monitor import extension
from session_scoping.monitor import findings
from session_scoping.monitor import metrics
from session_scoping.monitor import requests
from session_scoping.monitor import safety
from session_scoping.monitor import sessions
from session_scoping.monitor import sockets
from session_scoping.monitor import state
from session_scoping.monitor.findings import Finding
from session_scoping.monitor.findings import SUMMARY_AFTER
from session_scoping.rules.causes import CAUSES
from session_scoping.watch import hooks
from tests.waiting import LIMIT
from tests.waiting import wait_for

HERE = "tests/test_monitor.py"
TEMPLATES = [each.name for each in files("flask_admin").joinpath("templates").iterdir()]
ONE = sa.text("select 1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Clock]:
    """Give the test the monitor's clock, and take the monitor out of the process."""
    clock = Clock()
    if find_spec("prometheus_client"):
        registry = import_module("prometheus_client").CollectorRegistry()
        monkeypatch.setattr("prometheus_client.REGISTRY", registry)
    monkeypatch.setattr(state, "clock", clock)
    monkeypatch.setattr(connections, "_swept_at", 0.0)
    monkeypatch.setattr(connections, "last", None)
    monkeypatch.setattr(connections, "used", False)
    yield clock
    for listener in extension.LISTENERS:
        if event.contains(*listener):
            event.remove(*listener)
    if sessions.on_birth in hooks.births:
        hooks.births.remove(sessions.on_birth)
        hooks.INIT.undo()
    extension._listening = False
    extension.watched.clear()
    sockets.stop()
    for thread in threading.enumerate():
        if thread.name == "session_scoping":
            thread.join(60)
    connections.taken_now.clear()
    connections.strays.clear()
    safety.off.clear()


@pytest.fixture
def engine(tmp_path: Path) -> t.Iterator[sa.engine.Engine]:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/shop.db",
        poolclass=sa.pool.QueuePool,
        # SQLAlchemy 1.4 checks the thread. The threads of a test write in turns.
        connect_args={"check_same_thread": False, "timeout": 60},
    )
    yield engine
    engine.dispose()


@pytest.fixture
def small_pool(tmp_path: Path) -> t.Iterator[sa.engine.Engine]:
    """Return an engine with three connections, for which nothing waits."""
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/small.db",
        poolclass=sa.pool.QueuePool,
        pool_size=2,
        max_overflow=1,
        pool_timeout=0,
    )
    yield engine
    engine.dispose()


@contextmanager
def no_collection() -> t.Iterator[None]:
    """Collect garbage only where the test asks for it, in a ``with`` block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Shop:
    """An app with a page that a test gives, and its monitor."""

    def __init__(self, page: t.Callable[[], t.Any], **config: t.Any) -> None:
        self.app = flask.Flask(__name__)
        self.app.config.update(config, PROPAGATE_EXCEPTIONS=False)
        self.app.secret_key = "shop"
        self.app.add_url_rule("/", "page", page, methods=["GET", "POST"])
        self.monitor = Monitor(self.app)
        self.client = self.app.test_client()

    def visit(self, times: int = 1) -> None:
        for _ in range(times):
            with self.client.get("/") as response:
                assert response.data

    def idle(self, clock: Clock) -> None:
        """Visit the page often enough to see twice that a thread is idle."""
        for _ in range(3):
            clock.now += 2
            self.visit()

    @property
    def found(self) -> list[tuple[str, str, int]]:
        """The rule and the line of each source, and how often it was seen."""
        return [
            (source.finding.rule, source.finding.line, source.count)
            for source in self.monitor.findings
        ]


def line_of(marker: str, file: str = HERE) -> str:
    """Return the line of a file that has a comment, as a finding names it."""
    lines = Path(file).read_text().splitlines()
    [number] = [
        number for number, line in enumerate(lines, 1) if line.endswith(f"# {marker}")
    ]
    return f"{file}:{number} in "


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "session_scoping"
    ]


# ------------------------------------------------------------------------ what is found


def test_a_request_that_closes_its_session_is_not_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        with orm.Session(engine) as session:
            return str(session.execute(ONE).scalar())

    shop = Shop(page)
    shop.visit(3)
    assert shop.found == []
    assert shop.monitor.holding() == []


def test_a_session_that_is_left_open_is_logged_once_and_then_counted(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        session = orm.Session(engine)
        kept.append(session)
        return str(session.execute(ONE).scalar())  # left open

    shop = Shop(page)
    shop.visit(3)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 3)
    assert line.startswith(line_of("left open"))
    [message] = records(caplog)
    assert "released: a session is still open after the response (GET page)" in message
    assert "cause: a session made by hand" in message
    assert "change:" in message


def test_a_connection_that_is_taken_by_hand_and_kept_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[sa.engine.Connection] = []

    def page() -> str:
        kept.append(engine.connect())  # taken by hand
        return "kept"

    shop = Shop(page)
    shop.visit()
    [(rule, line, _)] = shop.found
    assert rule == "released"
    assert line.startswith(line_of("taken by hand"))
    kept[0].close()
    assert shop.monitor.holding() == []


def test_a_session_that_serves_a_second_request_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shared = orm.Session(engine)

    def page() -> str:
        answer = shared.execute(ONE).scalar()
        shared.commit()
        return str(answer)

    shop = Shop(page)
    shop.visit()
    assert shop.found == []
    shop.visit()
    [(rule, _, count)] = shop.found
    assert (rule, count) == ("fresh", 1)


def test_a_transaction_that_is_older_than_the_request_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        return str(opened[0].execute(ONE).scalar())

    opened: list[orm.Session] = []
    shop = Shop(page)
    opened.append(orm.Session(engine))  # at the start
    opened[0].execute(ONE)
    shop.visit(2)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("fresh", 2)
    assert line.startswith(line_of("at the start"))


def test_a_session_that_a_thread_uses_after_its_request_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    answered = threading.Event()
    threads: list[threading.Thread] = []

    def page() -> str:
        session = orm.Session(engine)
        session.execute(ONE)
        session.close()

        def work() -> None:
            wait_for(answered)
            session.execute(ONE)
            session.close()

        threads.append(threading.Thread(target=work, name="worker"))
        threads[0].start()
        return "done"

    shop = Shop(page)
    shop.visit()
    answered.set()
    threads[0].join()
    [source] = shop.monitor.findings
    assert source.finding.rule == "fresh"
    assert "on thread worker after the request" in source.finding.what


def test_a_thread_that_ends_with_an_open_session_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def work() -> None:
        kept.append(orm.Session(engine))
        kept[0].execute(ONE)  # on a thread

    def page() -> str:
        return "done"

    shop = Shop(page)
    shop.visit()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    shop.idle(clock)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 1)
    assert line.startswith(line_of("on a thread"))


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_opened_before_the_first_request_is_reported_if_it_is_a_session(
    clock: Clock, engine: sa.engine.Engine, by_hand: bool
) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_HELD_AFTER=30)
    opened: list[sa.engine.Connection | orm.Session] = []

    def build() -> None:
        opened.append(engine.connect() if by_hand else orm.Session(engine))
        opened[0].execute(ONE)

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    shop.idle(clock)
    assert [rule for rule, _, _ in shop.found] == ([] if by_hand else ["fresh"])
    clock.now += 30
    shop.visit()
    assert shop.found[-1][0] == "held"
    opened[0].close()


def test_a_thread_that_works_with_its_session_is_not_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        with orm.Session(engine) as session:
            session.execute(ONE)
            begun.set()
            wait_for(end)

    shop = Shop(lambda: "done")
    shop.visit()
    thread = threading.Thread(target=work)
    thread.start()
    wait_for(begun)
    shop.idle(clock)
    [held] = shop.monitor.holding()
    end.set()
    thread.join()
    assert shop.found == []
    assert held.thread == thread.name
    assert not held.request


@pytest.mark.parametrize("closes", [True, False])
def test_a_task_that_awaits_something_may_keep_its_session_open(
    clock: Clock, engine: sa.engine.Engine, closes: bool
) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.util import greenlet_spawn  # what an `AsyncSession` calls

    kept: list[orm.Session] = []
    begun = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    end = asyncio.Event()

    async def work() -> None:
        kept.append(orm.Session(engine))
        await greenlet_spawn(kept[0].execute, ONE)
        loops.append(asyncio.get_running_loop())
        begun.set()
        await asyncio.wait_for(end.wait(), LIMIT)
        if closes:
            await greenlet_spawn(kept[0].close)

    shop = Shop(lambda: "done")
    shop.visit()
    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    wait_for(begun)
    shop.idle(clock)
    found = shop.found
    loops[0].call_soon_threadsafe(end.set)
    thread.join()
    assert found == []
    shop.idle(clock)
    assert [rule for rule, _, _ in shop.found] == ([] if closes else ["released"])


@pytest.mark.parametrize("leaks", ["session", "connection", ""])
def test_what_an_async_view_leaves_open_is_reported_with_its_line(
    clock: Clock, engine: sa.engine.Engine, leaks: str
) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.ext.asyncio import AsyncSession

    engine.dialect.is_async = True  # it asks only here: no driver for asyncio is needed
    asynchronous = AsyncEngine(engine)
    engine.dialect.is_async = False
    kept: list[AsyncSession | AsyncConnection] = []

    async def work() -> None:
        async with AsyncSession(asynchronous) as session:
            await session.scalar(ONE)
            await asyncio.sleep(0)
        if leaks == "session":
            kept.append(AsyncSession(asynchronous))
            await kept[-1].scalar(ONE)  # an async session
        if leaks == "connection":
            kept.append(await asynchronous.connect())  # an async connection

    def page() -> str:
        """Run it as Flask runs an async view, on a thread that has a loop for it."""
        context = contextvars.copy_context()
        threads[-1].submit(lambda: context.run(asyncio.run, work())).result()
        return "done"

    threads: list[ThreadPoolExecutor] = []
    shop = Shop(page)
    for _ in range(4):  # it has to be idle twice
        clock.now += 2
        with ThreadPoolExecutor(1) as thread:  # which ends after the request
            threads.append(thread)
            shop.visit()
    assert not safety.off
    if leaks:
        [(rule, line, _)] = shop.found
        assert rule == "released"
        assert line.startswith(line_of(f"an async {leaks}"))
        [source] = shop.monitor.findings
        assert source.finding.what == "what a task of asyncio has opened is still open"
        assert source.finding.cause is None
    else:
        assert shop.found == []


def test_a_session_that_is_dropped_in_a_transaction_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        return str(orm.Session(engine).execute(ONE).scalar())  # dropped

    shop = Shop(page)
    shop.visit()
    [(rule, line, _)] = shop.found
    assert rule == "released"
    assert line.startswith(line_of("dropped"))


def test_a_session_that_is_dropped_while_its_request_ends_is_reported_once(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    """Its connection is out of the pool a moment longer than the session lives."""
    callbacks: list[ref[orm.Session]] = []

    def page() -> str:
        session = orm.Session(engine)
        session.info["itself"] = session
        callbacks.append(ref(session, lambda _: response.close()))
        return str(session.execute(ONE).scalar())  # in garbage

    shop = Shop(page)
    with no_collection():
        response = shop.client.get("/")
        gc.collect()
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 1)
    assert line.startswith(line_of("in garbage"))
    [source] = shop.monitor.findings
    assert source.finding.what.startswith("a session is dropped in a transaction")


@pytest.mark.parametrize("collected", [False, True])
def test_a_connection_that_outlives_its_session_is_reported(
    clock: Clock, engine: sa.engine.Engine, collected: bool
) -> None:
    """The session is garbage, which Python may collect while the request runs."""
    kept: list[sa.engine.Connection] = []

    def page() -> str:
        kept.append(orm.Session(engine).connection())  # outlives
        if collected:
            gc.collect()
        return "kept"

    shop, other = Shop(page), Shop(lambda: "done")
    with no_collection():
        shop.visit()
    other.idle(clock)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 1)
    assert line.startswith(line_of("outlives"))
    assert other.found == []
    kept[0].close()
    assert [count for *_, count in shop.found] == [1]


def test_a_closed_session_on_a_given_connection_is_not_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        with engine.connect() as connection:
            with orm.Session(bind=connection) as session:
                answer = session.execute(ONE).scalar()
            del session
            [held] = shop.monitor.holding()
            assert not held.session
            return str(answer)

    shop = Shop(page)
    shop.visit(2)
    assert shop.found == []


def leaks(engine: sa.engine.Engine) -> t.Callable[[], str]:
    """Return a page that leaves a session open."""
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())

    return page


def a_row(engine: sa.engine.Engine) -> t.Any:
    """Return a mapped class, with its table."""
    Base: t.Any = orm.declarative_base()

    class Row(Base):
        __tablename__ = "row"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(9))

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session, session.begin():
        session.add(Row(id=1, name="first"))
    return Row


# What a view does, and whether a teardown that commits then saves something of it.
BEFORE_COMMIT: dict[str, tuple[t.Callable[[t.Any, t.Any], object], bool]] = {
    "adds": (lambda session, row: session.add(row()), True),
    "flushes": (lambda session, row: (session.add(row()), session.flush()), True),
    "changes": (
        lambda session, row: setattr(session.get(row, 1), "name", "second"),
        True,
    ),
    "deletes": (lambda session, row: session.delete(session.get(row, 1)), True),
    "reads": (lambda session, row: session.get(row, 1), False),
    "sets the same": (
        lambda session, row: setattr(session.get(row, 1), "name", "first"),
        False,
    ),
    "commits": (lambda session, row: (session.add(row()), session.commit()), False),
    "rolls back": (
        lambda session, row: (
            session.add(row()),
            session.flush(),
            session.rollback(),
            session.execute(ONE),
        ),
        False,
    ),
    "rolls back a savepoint": (
        lambda session, row: (
            session.begin_nested(),
            session.add(row()),
            session.flush(),
            session.get_nested_transaction().rollback(),
        ),
        False,
    ),
}


@pytest.mark.parametrize("name", BEFORE_COMMIT)
@pytest.mark.parametrize("audits", [True, False])
def test_a_commit_after_the_view_has_answered_is_reported_if_it_saves_its_changes(
    clock: Clock, engine: sa.engine.Engine, name: str, audits: bool
) -> None:
    row = a_row(engine)
    work, saves = BEFORE_COMMIT[name]

    def page() -> str:
        flask.g.session = orm.Session(engine)
        answer = str(flask.g.session.execute(ONE).scalar())
        work(flask.g.session, row)
        return answer

    shop = Shop(page)

    @shop.app.teardown_request
    def end(error: BaseException | None) -> None:
        if audits:
            flask.g.session.add(row(name="audit"))
        flask.g.session.commit()  # late
        flask.g.session.close()

    shop.visit()
    assert not safety.off
    if saves:
        [(rule, line, count)] = shop.found
        assert (rule, count) == ("isolated", 1)
        assert line.startswith(line_of("late"))
    else:
        assert shop.found == []


def test_a_commit_of_the_view_itself_is_not_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        with orm.Session(engine) as session:
            answer = session.execute(ONE).scalar()
            session.commit()
            return str(answer)

    shop = Shop(page)

    @shop.app.teardown_request
    def audit(error: BaseException | None) -> None:
        with orm.Session(engine) as session:
            session.execute(ONE)
            session.commit()

    shop.visit(2)
    assert shop.found == []


def test_a_pending_rollback_error_names_the_session_that_was_left_failed(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    Base: t.Any = orm.declarative_base()

    class Item(Base):
        __tablename__ = "item"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(9), nullable=False)

    Base.metadata.create_all(engine)

    def page() -> str:
        if not kept:
            kept.append(orm.Session(engine))  # left failed
        if flask.request.method == "POST":
            kept[0].add(Item())
            try:
                kept[0].flush()
            except sa.exc.IntegrityError:
                return "refused"
        return str(kept[0].execute(ONE).scalar())

    kept: list[orm.Session] = []
    shop = Shop(page)
    shop.client.post("/").close()
    with shop.client.get("/") as response:
        assert response.status_code == 500
    rules = {source.finding.rule for source in shop.monitor.findings}
    assert rules == {"released", "recovers"}
    for source in shop.monitor.findings:
        assert any(
            place.text.startswith(line_of("left failed"))
            for place in source.finding.places
        ), source.finding


def test_a_pool_that_is_empty_is_logged_with_what_holds_its_connections(
    clock: Clock, small_pool: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(small_pool))
        return str(kept[-1].execute(ONE).scalar())  # emptied by

    shop = Shop(page)
    shop.visit(6)
    source, nearly, empty = records(caplog)
    assert line_of("emptied by") in source
    assert nearly.startswith("pool: 2 of 3 connections are out of the pool, 1 for good")
    assert empty.startswith("pool: the pool has no connection left")
    logged = [text for text in records(caplog) if text.startswith("pool: the pool has")]
    assert len(logged) == 1
    assert (
        logged[0].count(line_of("emptied by")) == 4
    )  # three, and the request that has none
    clock.now += SUMMARY_AFTER
    shop.visit()
    logged = [text for text in records(caplog) if text.startswith("pool: the pool has")]
    assert len(logged) == 2


def test_two_requests_that_find_a_pool_empty_are_logged_once(
    clock: Clock,
    small_pool: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second request overtakes the first one while that lists what holds them."""
    kept: list[orm.Session] = []
    listed = connections.listed

    def page() -> str:
        kept.append(orm.Session(small_pool))
        return str(kept[-1].execute(ONE).scalar())

    def overtaken() -> tuple[str, ...]:
        monkeypatch.setattr(connections, "listed", listed)
        with ThreadPoolExecutor(1) as other:
            other.submit(shop.visit).result()
        return listed()

    shop = Shop(page)
    shop.visit(3)
    monkeypatch.setattr(connections, "listed", overtaken)
    shop.visit()
    logged = [text for text in records(caplog) if text.startswith("pool: the pool has")]
    assert len(logged) == 1
    [empty] = [each for each in shop.monitor.findings if "left" in each.finding.what]
    assert empty.count == 2


def test_a_connection_that_is_held_too_long_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        with orm.Session(engine) as session:
            session.execute(ONE)  # held long
            clock.now += 31
            return "done"

    shop = Shop(page, SESSION_SCOPING_HELD_AFTER=30)
    shop.visit()
    [(rule, line, _)] = shop.found
    assert rule == "held"
    assert line.startswith(line_of("held long"))
    patient = Shop(page, SESSION_SCOPING_HELD_AFTER=None)
    patient.visit()
    assert patient.found == []


def test_what_was_seen_again_is_summarized_after_some_minutes(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def page() -> str:
        return str(orm.Session(engine).execute(ONE).scalar())

    shop = Shop(page)
    shop.visit(5)
    assert len(records(caplog)) == 1
    clock.now += SUMMARY_AFTER
    shop.visit()
    assert len(records(caplog)) == 2
    assert "4 times: a session made by hand" in records(caplog)[1]
    clock.now += SUMMARY_AFTER
    shop.visit()
    assert "once: a session made by hand" in records(caplog)[2]


@pytest.mark.parametrize("pool", [sa.pool.SingletonThreadPool, sa.pool.StaticPool])
def test_sessions_on_one_connection_of_the_driver_are_told_apart(
    clock: Clock, pool: type[sa.pool.Pool]
) -> None:
    """As in memory: a leak beside an open session, and a session of the start."""
    engine = sa.create_engine(
        "sqlite://", poolclass=pool, connect_args={"check_same_thread": False}
    )
    kept: list[orm.Session] = []

    def page() -> str:
        with orm.Session(engine) as session:
            session.execute(ONE)
            old.execute(ONE)  # of the start
            kept.append(orm.Session(engine))
            return str(kept[-1].execute(ONE).scalar())

    shop = Shop(page)
    old = orm.Session(engine)
    old.execute(ONE)
    shop.visit(2)
    assert {rule for rule, _, _ in shop.found} == {"released", "fresh"}
    for session in (old, *kept):
        session.close()


def test_scoped_sessions_of_two_databases_are_no_scope_that_is_too_small(
    clock: Clock, engine: sa.engine.Engine, small_pool: sa.engine.Engine
) -> None:
    scopes = [
        orm.scoped_session(orm.sessionmaker(each)) for each in (engine, small_pool)
    ]
    shop = Shop(lambda: str([scope.execute(ONE).scalar() for scope in scopes]))
    shop.visit(2)
    causes = {source.finding.cause for source in shop.monitor.findings}
    assert {cause and cause.page for cause in causes} == {"never-removed"}
    for scope in scopes:
        scope.remove()


# --------------------------------------------------------------- what is not the app's


def test_a_nested_request_may_leave_its_session_to_the_outer_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    scoped = orm.scoped_session(orm.sessionmaker(engine))

    def page() -> str:
        if flask.request.args:
            return str(scoped.execute(ONE).scalar())
        with flask.current_app.test_client().get("/?inner=1") as response:
            assert scoped().in_transaction()
            return response.get_data(as_text=True)

    shop = Shop(page)

    @shop.app.teardown_request
    def remove(error: BaseException | None) -> None:
        if not flask.request.args:
            scoped.remove()

    shop.visit(2)
    assert shop.found == []


def test_an_app_inside_of_another_app_is_reported_itself(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    inner = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    outer = flask.Flask("outer")
    outer.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
        outer.wsgi_app, {"/inner": inner.app}
    )
    monitor = Monitor(outer)
    with outer.test_client().get("/inner/") as response:
        assert response.data == b"1"
    assert [count for *_, count in inner.found] == [1]
    assert monitor.findings == []


def test_two_requests_may_be_answered_with_one_response(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    """The first is closed while the second has answered, and not ended."""
    scoped = orm.scoped_session(orm.sessionmaker(engine))
    answer = flask.Response("sound")

    def page() -> flask.Response:
        scoped.execute(ONE)
        return answer

    shop = Shop(page)

    @shop.app.teardown_request
    def end(error: BaseException | None) -> None:
        if flask.request.args:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(first.close).result()
        scoped.remove()

    first = shop.client.get("/")
    shop.client.get("/?second=1").close()
    assert shop.found == []
    assert not answer._on_close


def test_a_middleware_inside_of_the_monitor_may_close_the_session_last(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    scoped = orm.scoped_session(orm.sessionmaker(engine))

    app = flask.Flask(__name__)
    app.add_url_rule("/", "page", lambda: str(scoped.execute(ONE).scalar()))
    inside: t.Any = app.wsgi_app
    app.wsgi_app = lambda *args: ClosingIterator(  # type: ignore[method-assign]
        inside(*args), [scoped.remove]
    )
    monitor = Monitor(app)
    for _ in range(2):
        app.test_client().get("/").close()
    assert monitor.findings == []


def test_what_runs_until_a_response_is_closed_is_not_of_the_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: "done")
    with orm.Session(engine) as session, shop.client.get("/"):
        session.execute(ONE)
        [held] = shop.monitor.holding()
        assert not held.request
    with orm.Session(engine) as session:
        with shop.client.get("/") as response:
            session.execute(ONE)
        response.close()
        assert shop.found == []


def test_a_commit_when_the_response_is_closed_is_reported(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    row = a_row(engine)

    def page() -> flask.Response:
        session = orm.Session(engine)
        session.add(row())
        session.flush()
        response = flask.Response("done")
        response.call_on_close(session.commit)
        response.call_on_close(session.close)
        return response

    shop = Shop(page)
    shop.visit()
    assert [(rule, count) for rule, _, count in shop.found] == [("isolated", 1)]


def test_a_response_that_nothing_closes_ends_its_request(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    """``asgiref.wsgi.WsgiToAsgi`` closes none. The next request logs what is found."""
    page = leaks(engine)
    shop = Shop(page)
    environ = EnvironBuilder().get_environ()
    logged = []
    for _ in range(2):
        with no_collection():
            answer = shop.app(environ, lambda *_: lambda _: None)
            assert [*answer] == [b"1"]
            del answer
        logged.append(len(records(caplog)))
    assert [count for *_, count in shop.found] == [2]
    assert logged == [0, 1]


def test_requests_inside_an_app_context_of_a_test_share_its_session(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    scoped = orm.scoped_session(orm.sessionmaker(engine))
    shop = Shop(lambda: str(scoped.execute(ONE).scalar()))
    with shop.app.app_context():
        shop.visit(2)
    scoped.remove()
    assert shop.found == []


def test_a_stream_may_use_its_session_until_it_ends(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> flask.Response:
        def lines() -> t.Iterator[str]:
            with orm.Session(engine) as session:
                for _ in range(3):
                    yield f"{session.execute(ONE).scalar()}\n"

        return flask.Response(lines())

    shop = Shop(page)
    response = shop.client.get("/")
    assert next(response.iter_encoded()) == b"1\n"
    assert len(shop.monitor.holding()) == 1
    response.close()
    assert shop.found == []
    assert shop.monitor.holding() == []


def test_a_session_on_the_connection_of_another_session_is_part_of_it(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        with orm.Session(engine) as session:
            inner = orm.Session(session.connection())
            return str(inner.execute(ONE).scalar())

    shop = Shop(page)
    shop.visit(2)
    assert shop.found == []


# ----------------------------------------------------------------------- the extension


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HELD_AFTER", "ten"),
        ("HELD_AFTER", -1),
        ("HELD_AFTER", True),
        ("HELD_AFTER", float("nan")),
        ("SAMPLE", 0),
        ("SAMPLE", 1.5),
        ("SOCKET", 7),
        ("SOCKET", "nul\0"),
        ("JSON", "yes"),
    ],
)
def test_a_wrong_setting_is_a_line_that_names_it_and_what_it_takes(
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: object,
) -> None:
    shop = Shop(lambda: "done", **{f"SESSION_SCOPING_{name}": value})
    shop.visit()
    [line] = records(caplog)
    assert line.startswith(f"SESSION_SCOPING_{name} is {value!r}, and takes ")
    assert "\n" not in line


def test_a_configuration_of_logging_that_comes_later_does_not_silence_it() -> None:
    """``dictConfig`` disables the loggers that are there, as an app's own call does."""
    app = """
import logging.config
import flask
from session_scoping import Monitor
for name in "first", "second":
    logging.config.dictConfig({"version": 1})
    app = flask.Flask(name)
    app.config["SESSION_SCOPING_SAMPLE"] = 0
    Monitor(app)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", app],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("SESSION_SCOPING_SAMPLE is 0") == 2


def test_a_limit_beyond_all_numbers_is_a_limit(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Shop(lambda: "done", SESSION_SCOPING_HELD_AFTER=10**400)
    assert records(caplog) == []


def test_an_unknown_setting_is_a_line(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Shop(lambda: "done", SESSION_SCOPING_HOLD_AFTER=3)
    [line] = records(caplog)
    assert "SESSION_SCOPING_HOLD_AFTER is no setting" in line


def test_init_app_twice_is_once(clock: Clock, engine: sa.engine.Engine) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    shop.monitor.init_app(shop.app)
    other = Monitor(shop.app)
    shop.visit()
    assert [count for *_, count in shop.found] == [1]
    assert other.findings == shop.monitor.findings


def test_what_is_no_app_and_no_class_of_view_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a Monitor watches a Flask app, and was giv"):
        Monitor(t.cast(t.Any, "shop"))
    with pytest.raises(TypeError, match="a view takes a class of view, and was given"):
        Monitor().view(t.cast(t.Any, AdminIndexView()))
    with pytest.raises(TypeError, match="record drives a Flask app, and was given 5"):
        record(t.cast(t.Any, 5))


def test_several_apps_have_their_own_findings(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    leaking = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    sound = Shop(lambda: "done")
    leaking.visit()
    sound.visit()
    assert len(leaking.found) == 1
    assert sound.found == []


def test_the_limit_is_that_of_the_app_that_holds_the_connection(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        if flask.request.args:
            with engine.connect(), ThreadPoolExecutor(1) as pool:
                clock.now += 60
                pool.submit(lambda: other.client.get("/").close()).result()
        return "done"

    patient, quick = Shop(page), Shop(page, SESSION_SCOPING_HELD_AFTER=30)
    other = quick
    patient.client.get("/?long=1").close()
    assert patient.found == quick.found == []
    other = patient
    quick.client.get("/?long=1").close()
    assert patient.found == []
    assert [(rule, count) for rule, _, count in quick.found] == [("held", 1)]


def test_what_an_app_without_traffic_has_left_is_logged(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[sa.engine.Connection] = []
    goes, taken = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        kept.append(engine.connect())
        taken.set()
        wait_for(goes)

    def page() -> str:
        context = contextvars.copy_context()
        threads.append(threading.Thread(target=context.run, args=(work,)))
        threads[0].start()
        wait_for(taken)
        return "done"

    shop, other = Shop(page), Shop(lambda: "done")
    shop.visit()
    goes.set()
    threads[0].join()
    other.idle(clock)
    assert other.found == []
    assert len(shop.found) == len(records(caplog)) == 1
    kept[0].close()


def test_no_use_of_sqlalchemy_is_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(lambda: "done")
    shop.visit(250)
    [line] = records(caplog)
    assert "has used no connection of SQLAlchemy in 100 requests" in line


def test_a_sample_watches_the_sessions_of_some_requests_and_all_connections(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shared = orm.Session(engine)
    kept: list[sa.engine.Connection] = []

    def page() -> str:
        if flask.request.args:
            kept.append(engine.connect())
            return "kept"
        shared.execute(ONE)
        shared.commit()
        return "done"

    shop = Shop(page, SESSION_SCOPING_SAMPLE=5)
    shop.visit(10)
    assert [count for *_, count in shop.found] == [1]
    shop.client.get("/?keep=1").close()
    assert [rule for rule, *_ in shop.found] == ["fresh", "released"]


def test_a_session_that_no_sample_has_watched_is_reported_without_a_guess(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # not sampled

    shop = Shop(page, SESSION_SCOPING_SAMPLE=5)
    shop.visit(9)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 9)
    assert line.startswith(line_of("not sampled"))
    [source] = shop.monitor.findings
    assert source.finding.what == "a session is still open after the response"
    assert source.finding.cause is None


@pytest.mark.filterwarnings("ignore:Passing a session object")
def test_no_line_is_said_to_make_a_session_that_is_older_than_the_monitor(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    class Product(orm.declarative_base()):  # type: ignore[misc]
        __tablename__ = "products"
        id = sa.Column(sa.Integer, primary_key=True)

    Product.metadata.create_all(engine)
    older: t.Any = orm.Session(engine)
    handle: t.Any = orm.scoped_session(orm.sessionmaker(engine))
    shop = Shop(str)
    view = ModelView(Product, handle)
    view.session = older
    Admin(shop.app).add_view(view)
    shop.client.get("/admin/product/").close()
    [source] = shop.monitor.findings
    [(label, line)] = source.finding.places
    assert (label, source.finding.line) == ("used at", line)
    assert line.endswith("in get_list")
    older.close()


def test_json_is_a_line_that_a_machine_reads(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def page() -> str:
        return str(orm.Session(engine).execute(ONE).scalar())  # in JSON

    shop = Shop(page, SESSION_SCOPING_JSON=True)
    shop.visit()
    [line] = records(caplog)
    assert json.loads(line)["line"].startswith(line_of("in JSON"))


def test_a_finding_names_no_option_that_the_monitor_does_not_have() -> None:
    options = [cause for cause in CAUSES if "--" in cause.fix]
    assert options
    for cause in options:
        finding = Finding("released", "", "", cause=cause)
        first, *_ = cause.fix.splitlines()
        assert first in str(finding)
        assert first in str(finding.to_json()["change"])
        assert "--" not in str(finding) + str(finding.to_json())


def test_the_label_of_a_figure_has_no_numbers_of_the_process() -> None:
    for rule, what in {
        "pool": "4 of 5 connections are out of the pool, 3 for good",
        "held": "a connection is held for 31 s",
        "released": "what thread Thread-7 (run) has opened is still open",
    }.items():
        assert Finding(rule, what, "GET page").source == rule


def test_each_new_finding_is_sent_as_a_signal(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    sent = []

    def receive(sender: Monitor, finding: t.Any) -> None:
        sent.append((sender, finding.rule))

    shop.monitor.found.connect(receive)
    shop.visit(3)
    assert sent == [(shop.monitor, "released")]


def test_a_receiver_that_fails_gets_the_next_finding(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(leaks(engine))
    kept = []

    def other() -> str:
        kept.append(engine.connect())
        return "done"

    shop.app.add_url_rule("/other", view_func=other)
    sent = []

    def receive(sender: Monitor, finding: t.Any) -> None:
        sent.append(finding.request)
        raise OSError("no network")

    shop.monitor.found.connect(receive)
    shop.visit()
    with shop.client.get("/other"):
        pass
    assert len(sent) == len(set(sent)) == 2
    failed = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [each.getMessage() for each in failed] == [
        "a receiver of the signal `found` has failed; the app is not affected"
    ] * 2
    assert "no network" in caplog.text
    assert safety.off == set()


def test_a_second_monitor_of_an_app_knows_the_same(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    second = Monitor(shop.app)
    second.init_app(shop.app)
    sent = []

    def receive(sender: Monitor, finding: findings.Finding) -> None:
        sent.append(sender)

    for monitor in (shop.monitor, second):
        monitor.found.connect(receive)
    shop.visit(2)
    assert second.findings == shop.monitor.findings
    assert [source.count for source in second.findings] == [2]
    assert sent == [shop.monitor, second]


@pytest.mark.parametrize("as_json", [True, False])
def test_sources_that_are_left_out_are_logged_once(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    monkeypatch.setattr(findings, "MOST_SOURCES", 1)
    views = [
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
    ]
    shop = Shop(
        lambda: views[int(flask.request.args["view"])](), SESSION_SCOPING_JSON=as_json
    )
    for number in (0, 1, 2, 1, 0):
        shop.client.get(f"/?view={number}").close()
    assert [count for _, _, count in shop.found] == [2]
    _, left_out = records(caplog)
    said = json.loads(left_out)["left out"] if as_json else left_out
    assert said == findings.LEFT_OUT


def test_a_recorder_watches_alone(clock: Clock, engine: sa.engine.Engine) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    with Recorder() as recorder:
        shop.visit()
    assert shop.found == []
    assert shop.app.extensions["session_scoping"].app.requests == 0
    assert len(recorder.recording.sessions) == 1
    shop.visit()
    assert len(shop.found) == 1
    assert len(recorder.recording.sessions) == 1


def test_a_fork_knows_only_what_was_left_open_before_the_first_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    page = leaks(engine)
    shop = Shop(page)
    page()  # as code that builds the app
    shop.visit()
    with engine.connect():
        assert len(shop.monitor.holding()) == 3
        extension._forked()  # what a fork calls first
        [held] = shop.monitor.holding()
    assert not held.request
    assert not connections.strays


def test_a_monitor_keeps_nothing_alive(clock: Clock, engine: sa.engine.Engine) -> None:
    made: list[ref[orm.Session]] = []

    def page() -> str:
        session = orm.Session(engine)
        made.append(ref(session))
        with session:
            return str(session.execute(ONE).scalar())

    shop = Shop(page)
    gc.collect()
    with no_collection():
        shop.visit(3)
        assert [session() for session in made] == [None] * 3


def test_garbage_may_be_collected_while_a_finding_is_added(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[orm.Session] = []

    class Collecting(findings.Source):
        def __init__(self, finding: findings.Finding) -> None:
            gc.collect()
            super().__init__(finding)

    monkeypatch.setattr(findings, "Source", Collecting)

    def page() -> str:
        if flask.request.args:
            return "the first"
        kept.append(orm.Session(engine))
        return str(kept[0].execute(ONE).scalar())  # in a request

    def work() -> None:
        dropped = orm.Session(engine)
        dropped.info["itself"] = dropped
        dropped.execute(ONE)  # in a cycle
        del dropped
        shop.visit()

    shop = Shop(page)
    shop.client.get("/?first=1").close()
    with no_collection():
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(60)  # without end, if the lock is taken twice
        assert not thread.is_alive()
    in_request, in_cycle = sorted(line for _, line, _ in shop.found)
    assert in_request.startswith(line_of("in a request"))
    assert in_cycle.startswith(line_of("in a cycle"))


def test_a_stream_may_make_sessions_without_end(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    known: list[int] = []

    def page() -> flask.Response:
        def events() -> t.Iterator[str]:
            for _ in range(500):
                with orm.Session(engine) as session:
                    yield f"{session.execute(ONE).scalar()}\n"
            request = state.current()
            assert request is not None
            known.append(len(request.lives))

        return flask.Response(events())

    shop = Shop(page)
    shop.visit()
    assert 0 < known[0] < 100
    assert shop.found == []


# ---------------------------------------------------------------------------- safety

HOOKS: dict[str, tuple[object, str]] = {
    "checkout": (state.places, "here"),
    "birth": (state.places, "birth"),
    "begin": (sessions, "_owner"),
    "use": (sessions, "_use"),
    "check": (sessions, "find"),
    "sweep": (connections, "is_at_work"),
    "worker": (state, "worker"),
    "clock": (state, "clock"),
}


@pytest.mark.parametrize("name", HOOKS)
def test_an_error_inside_the_monitor_is_logged_once_and_no_request_fails(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    def page() -> str:
        if flask.request.args:
            return str(orm.Session(engine).execute(ONE).scalar())
        with orm.Session(engine) as session:
            answer = session.execute(ONE).scalar()
            session.commit()
            return str(answer)

    shop = Shop(page)
    shop.visit()

    def fail(*_: object, **__: object) -> t.NoReturn:
        raise RuntimeError("injected")

    owner, attribute = HOOKS[name]
    with monkeypatch.context() as patch, engine.connect():  # to be swept
        patch.setattr(owner, attribute, fail)
        for number in range(6):
            clock.now += 2
            path = "/?leak=1" if number % 2 else "/"
            with shop.client.get(path) as response:
                assert response.status_code == 200
    failures = [record for record in caplog.records if record.exc_info]
    assert {record.name for record in failures} == {"session_scoping"}
    parts = [record.getMessage() for record in failures]
    assert len(parts) == len(set(parts)) == len(safety.off)


def test_a_log_that_raises_fails_no_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left on device")

    page = leaks(engine)
    full = Full()
    safety.logger().addHandler(full)
    try:
        Shop(page, SESSION_SCOPING_SAMPLE=0).visit(2)
    finally:
        safety.logger().removeHandler(full)
    assert safety.off == {safety.Part.FINDINGS}


def guarded_hooks() -> dict[str, t.Any]:
    """Return every function of the monitor that keeps its errors away from the app.

    It is a cell: what it contains is the function that is called inside of the guard.
    """
    found = {}
    for module in (connections, extension, findings, metrics, requests, sessions):
        for owner in (module, *vars(module).values()):
            if owner is not module and not isinstance(owner, type):
                continue
            for hook in vars(owner).values():
                if getattr(hook, "__module__", "") == module.__name__:
                    names = getattr(getattr(hook, "__code__", None), "co_freevars", ())
                    if hasattr(hook, "__wrapped__") and "hook" in names:
                        cell = hook.__closure__[names.index("hook")]
                        found[hook.__qualname__] = cell
    return found


GUARDED = guarded_hooks()
STATUSES = {
    "/": 200,
    "/?save=1": 200,
    "/?leak=1": 200,
    "/?detach=1": 200,
    "/?flash=1": 200,
    "/?fail=1": 500,
}


@pytest.mark.parametrize("name", GUARDED)
def test_an_error_in_any_hook_fails_no_request(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    row = a_row(engine)
    older = orm.Session(engine)
    raised = []

    def page() -> str:
        asked = {*flask.request.args}
        if "fail" in asked:
            raise sa.exc.TimeoutError("QueuePool limit")
        if "flash" in asked:
            flask.flash("QueuePool limit")
        if "detach" in asked:
            with engine.connect() as connection:
                connection.detach()
        if "leak" in asked:
            return str(orm.Session(engine).execute(ONE).scalar())
        if "older" in asked:
            return str(older.execute(ONE).scalar())
        flask.g.session = orm.Session(engine)
        if "save" in asked:
            flask.g.session.begin_nested()
            flask.g.session.add(row())
            flask.g.session.flush()
            flask.g.session.get_nested_transaction().rollback()
            flask.g.session.add(row())
        return str(flask.g.session.execute(ONE).scalar())

    def visit(_: int) -> dict[str, int]:
        client = shop.app.test_client()
        found = {}
        for path in STATUSES:
            with client.get(path) as response:
                found[path] = response.status_code
        return found

    def fail(*_: object, **__: object) -> t.NoReturn:
        raised.append(name)
        raise RuntimeError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(GUARDED[name], "cell_contents", fail)
        shop = Shop(page)

        @shop.app.teardown_request
        def end(error: BaseException | None) -> None:
            if session := flask.g.pop("session", None):
                session.commit()
                session.close()

        with shop.app.app_context():
            older.execute(ONE)
        with shop.client.get("/?older=1") as response:
            assert response.status_code == 200
        clock.now += 2
        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(visit, range(4))] == [STATUSES] * 4
        for source in metrics.FIGURES:
            metrics._sums(source, extension.watched)
    older.close()
    failures = [record for record in caplog.records if record.exc_info]
    logged = [record for record in failures if record.name == "session_scoping"]
    assert raised
    assert len(logged) == len(safety.off) == 1


def test_a_message_that_is_translated_late_is_left_alone(clock: Clock) -> None:
    class Lazy:
        def __str__(self) -> str:
            raise RuntimeError("no language yet")

    def page() -> str:
        flask.message_flashed.send(shop.app, message=Lazy(), category="info")
        return "done"

    shop = Shop(page)
    shop.visit()
    assert not safety.off


# --------------------------------------------------------------- what holds connections


def test_holding_says_age_request_line_and_transaction(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # holds it

    shop = Shop(page)
    shop.visit()
    clock.now += 12
    [held] = shop.monitor.holding()
    assert held.age == 12
    assert held.request == "GET page"
    assert held.over
    assert held.session
    assert held.in_transaction
    assert held.line.startswith(line_of("holds it"))
    assert held.thread == "MainThread"
    assert str(held).startswith(
        "    12.0 s  session, in a transaction: GET page, which"
    )


def test_explain_says_what_keeps_a_session(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(flask.current_app.extensions["shop"].execute(ONE)))
    shop.app.extensions["shop"] = orm.Session(engine)
    shop.visit()
    [(held, kept_by)] = shop.monitor.explain()
    assert held.request == "GET page"
    assert kept_by[0].startswith("the app")
    assert any("extensions" in step for step in kept_by), kept_by
    shop.app.extensions.pop("shop").close()


@pytest.fixture
def path() -> t.Iterator[str]:
    """Return a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="holding") as folder:
        yield f"{folder}/holding"


def test_the_command_lists_what_a_running_app_holds(
    clock: Clock, engine: sa.engine.Engine, path: str
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # for the command

    shop = Shop(page, SESSION_SCOPING_SOCKET=path)
    runner = shop.app.test_cli_runner()
    silent = runner.invoke(in_flask, ["holding"])
    assert silent.exit_code == 2
    assert "no process answers at" in silent.stderr
    shop.visit()
    Path(f"{path}.0").touch()  # what is no socket does not answer
    said = runner.invoke(in_flask, ["holding"])
    assert said.exit_code == 0
    assert said.output.startswith(f"process {os.getpid()}: 1 out of the pool\n")
    assert line_of("for the command") in said.output


def test_the_command_says_which_setting_is_missing(clock: Clock) -> None:
    said = Shop(lambda: "done").app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert "SESSION_SCOPING_SOCKET is not set" in said.stderr


def test_the_command_says_that_the_setting_is_wrong(clock: Clock) -> None:
    app = Shop(lambda: "done", SESSION_SCOPING_SOCKET=7).app
    said = app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert said.stderr.startswith(
        "session-scoping: SESSION_SCOPING_SOCKET is 7, and takes the path of a socket"
    )


def test_a_socket_that_cannot_be_made_is_logged_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET="/no/such/folder/holding")
    shop.visit(3)
    assert len(records(caplog)) == 1
    assert "part 'socket' is off" in records(caplog)[0]


def test_the_command_removes_what_dead_processes_left_and_no_file_of_the_user(
    clock: Clock, path: str
) -> None:
    files = [Path(f"{path}.{end}") for end in ("py", "db", "7")]
    for file in files:
        file.write_text("mine")
    left, other = Path(f"{path}.1"), Path(f"{path}.old")
    for name in (left, other):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(name))
    assert sockets.ask(path) == []
    assert [file.read_text() for file in files] == ["mine"] * 3
    assert other.is_socket()
    assert not left.exists()


def test_two_requests_that_are_the_first_make_one_socket(
    clock: Clock, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """The second request overtakes the first one while that makes its socket."""
    made, before = socket.socket, {*threading.enumerate()}

    def overtaken(*args: t.Any) -> socket.socket:
        overtaking.undo()
        sockets.serve(path)
        return made(*args)

    with pytest.MonkeyPatch.context() as overtaking:
        overtaking.setattr(socket, "socket", overtaken)
        sockets.serve(path)
    assert len({*threading.enumerate()} - before) == 1
    assert records(caplog) == []
    assert [answer.process for answer in sockets.ask(path)] == [os.getpid()]


def test_a_file_at_the_path_of_the_socket_stays(
    clock: Clock, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    file = Path(f"{path}.{os.getpid()}")
    file.write_text("mine")
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
    shop.visit(2)
    sockets.stop()
    assert file.read_text() == "mine"
    [line] = records(caplog)
    assert line.startswith(f"no socket can be made at {file} (Address already in use)")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_connection_that_its_driver_has_closed_is_listed_too(
    clock: Clock, engine: sa.engine.Engine, path: str
) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
    admin_of(shop)
    shop.visit()
    with engine.connect() as connection:  # closed below
        driver: t.Any = connection.connection.dbapi_connection
        driver.close()
        with pytest.raises(sqlite3.ProgrammingError):
            driver.in_transaction  # noqa: B018
        [held] = shop.monitor.holding()
        said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
        with shop.client.get("/admin/session_scoping/") as response:
            assert response.status_code == 200
        connection.invalidate()
    assert not held.in_transaction
    assert said.exit_code == 0
    assert line_of("closed below") in said.output
    assert not safety.off


def test_a_process_that_cannot_answer_is_named_in_a_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail() -> t.NoReturn:
        raise RuntimeError("injected")

    def answer() -> None:
        with answering.accept()[0] as asking:
            asking.sendall(b"[]")

    with socket.socket(socket.AF_UNIX) as answering:
        answering.bind(f"{path}.1")
        answering.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
        shop.visit()
        monkeypatch.setattr(connections, "holding", fail)
        said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
        thread.join()
    assert said.exit_code == 0
    assert said.stdout == "process 1: 0 out of the pool\n"
    assert said.stderr == f"process {os.getpid()}: no answer, see its log\n"
    said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert "no process answers" in said.stderr


@pytest.mark.parametrize("said", [b"hello", b"[1]", b"null", b'[{"age": 1}]'])
def test_another_program_at_the_path_is_no_process_of_the_app(
    path: str, said: bytes
) -> None:
    def answer() -> None:
        with answering.accept()[0] as asking:
            asking.sendall(said)

    with socket.socket(socket.AF_UNIX) as answering:
        answering.bind(f"{path}.1")
        answering.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert sockets.ask(path) == [(1, None)]
        thread.join()


# ---------------------------------------------------------------------------- the page


def admin_of(shop: Shop, *, base: t.Any = None) -> Admin:
    admin = Admin(shop.app)
    admin.add_view(shop.monitor.view(base))
    return admin


def test_the_page_shows_findings_holders_and_the_staircase(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        session = orm.Session(engine)
        if flask.request.args:
            kept.append(session)
            return str(session.execute(ONE).scalar())  # on the page
        with session:
            return str(session.execute(ONE).scalar())

    shop = Shop(page)
    admin_of(shop)
    with shop.client.get("/admin/session_scoping/") as response:
        assert "Nothing strays." in response.get_data(as_text=True)
    shop.visit(3)
    shop.client.get("/?secret=hunter2").close()
    with shop.client.get("/admin/session_scoping/") as response:
        text = response.get_data(as_text=True)
        assert "Refresh" not in response.headers
    assert "A session made by hand (GET page)" in text
    assert line_of("on the page") in text
    assert text.count("<rect ") == 4
    assert text.count("#b3261e") == 1
    kept[0].close()
    with shop.client.get("/admin/session_scoping/") as response:
        assert response.get_data(as_text=True).count("#b3261e") == 0
    assert "hunter2" not in text
    assert "select 1" not in text
    with shop.client.get("/admin/session_scoping/?refresh=1") as response:
        assert response.headers["Refresh"] == "5"


@pytest.mark.parametrize("templates", TEMPLATES)
def test_the_page_is_shown_with_each_set_of_templates(
    clock: Clock, templates: str
) -> None:
    """Flask-Admin 1.6 has those of Bootstrap 2, 3 and 4."""
    shop = Shop(lambda: "done")
    several = "template_mode" in signature(Admin).parameters
    chosen: dict[str, t.Any] = {"template_mode": templates} if several else {}
    admin = Admin(shop.app, **chosen)
    admin.add_view(shop.monitor.view())
    with shop.client.get("/admin/session_scoping/") as response:
        page = response.get_data(as_text=True)
    assert f"/{templates}/" in page
    assert "Nothing strays." in page


def test_the_page_is_as_closed_as_the_index_of_the_admin(clock: Clock) -> None:
    class Closed(AdminIndexView):
        def is_accessible(self) -> bool:
            return False

    class ClosedView(BaseView):
        def is_accessible(self) -> bool:
            return False

    shop = Shop(lambda: "done")
    Admin(shop.app, index_view=Closed()).add_view(shop.monitor.view())
    with shop.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 403
    other = Shop(lambda: "done")
    admin_of(other, base=ClosedView)
    with other.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 403
    without = Shop(lambda: "done")
    Admin(without.app)
    with without.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 404


# ------------------------------------------------------------------------ for machines


@pytest.mark.extra
def test_figures_are_offered_to_prometheus(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    page = leaks(engine)
    shop = Shop(page)
    shop.visit(2)
    clock.now += 7
    said = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
    [found] = [
        line
        for line in said.splitlines()
        if line.startswith("session_scoping_findings_total{")
        and f'app="{shop.app.import_name}"' in line
    ]
    assert 'rule="released"' in found
    assert HERE in found
    assert found.endswith(" 2.0")
    assert "session_scoping_open_sessions 2.0" in said
    assert "session_scoping_held_seconds 7.0" in said
    assert 'state="in use"} 2.0' in said


@pytest.mark.extra
def test_two_apps_of_one_name_are_summed_and_an_error_stays_in_the_monitor(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    page = leaks(engine)
    shops = [Shop(page), Shop(page)]
    for shop in shops:
        shop.visit(2)

    def found() -> list[str]:
        said = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
        return [
            line
            for line in said.splitlines()
            if line.startswith("session_scoping_findings_total{")
        ]

    [line] = found()
    assert line.endswith(" 4.0")
    monkeypatch.setattr(findings.Finding, "source", property(lambda finding: 1 / 0))
    assert found() == []
    assert safety.off == {safety.Part.METRICS}


@pytest.mark.extra
def test_figures_are_offered_to_opentelemetry(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    from opentelemetry import metrics as api
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(api, "get_meter", provider.get_meter)
    page = leaks(engine)
    shop = Shop(page)
    shop.visit(3)
    data: t.Any = reader.get_metrics_data()
    points = {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    provider.shutdown()
    assert 3 in points["session_scoping.findings"]
    assert points["session_scoping.open_sessions"] == [3]
