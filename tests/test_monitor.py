"""The monitor: what it reports, once and with the right line, and what it does not."""
# mypy: allow-subclassing-any

import asyncio
import contextvars
import gc
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import ref

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import EnvironBuilder
from werkzeug.wsgi import ClosingIterator

from session_scoping import Monitor
from session_scoping.monitor import connections
from session_scoping.monitor import safety
from session_scoping.monitor.findings import SUMMARY_AFTER
from tests.shops import a_row
from tests.shops import Clock
from tests.shops import clock as clock
from tests.shops import engine as engine
from tests.shops import leaks
from tests.shops import line_of
from tests.shops import no_collection
from tests.shops import ONE
from tests.shops import path as path
from tests.shops import records
from tests.shops import Shop
from tests.waiting import LIMIT
from tests.waiting import wait_for


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
