"""The monitor where threads, forks and the garbage collector meet at an unlucky moment.

Each moment is made: what comes in between happens inside of a call of the monitor, or a
thread waits for its turn. No test waits for time to pass.
"""

import asyncio
import contextvars
import gc
import os
import threading
import typing as t
import warnings
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from session_scoping.monitor import connections
from session_scoping.monitor import requests
from session_scoping.monitor import safety
from session_scoping.monitor import sockets
from tests.shops import a_row
from tests.shops import Clock
from tests.shops import clock as clock
from tests.shops import engine as engine
from tests.shops import line_of
from tests.shops import no_collection
from tests.shops import ONE
from tests.shops import path as path
from tests.shops import records
from tests.shops import Shop
from tests.waiting import wait_for

Job = t.Callable[[], object]


@pytest.fixture
def other() -> t.Iterator[ThreadPoolExecutor]:
    """Return a thread that a request gives work to."""
    with ThreadPoolExecutor(1) as thread:
        yield thread


def hand_over(thread: ThreadPoolExecutor, job: Job) -> "Future[object]":
    """Run a job on another thread, in a copy of the context of the request."""
    return thread.submit(contextvars.copy_context().run, job)


@pytest.mark.extra
def test_a_job_in_the_thread_pool_of_gevent_is_at_work_until_it_ends(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    """Its greenlet runs on a thread of its own. A greenlet that runs has no frame."""
    threadpool = pytest.importorskip("gevent.threadpool")
    began, end = threading.Event(), threading.Event()

    def job() -> None:
        with orm.Session(engine) as session:
            session.execute(ONE)
            began.set()
            wait_for(end)

    def leave_open() -> object:
        kept.append(orm.Session(engine))
        return kept[-1].execute(ONE).scalar()  # in a pool

    kept: list[orm.Session] = []
    shop = Shop(lambda: "done")
    shop.visit()
    pool = threadpool.ThreadPool(1)
    task = pool.spawn(job)
    wait_for(began)
    shop.idle(clock)
    end.set()
    task.get()
    assert shop.found == []
    assert pool.apply(leave_open) == 1
    shop.idle(clock)
    pool.kill()
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 1)
    assert line.startswith(line_of("in a pool"))


def test_two_looks_at_the_same_moment_count_as_one(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    """A thread has to be idle for a second before what it has opened is reported."""
    kept: list[orm.Session] = []
    is_at_work = connections.is_at_work

    def leave_open() -> None:
        kept.append(orm.Session(engine))
        kept[0].execute(ONE)

    def overtaken(taken: t.Any) -> bool:
        overtaking.undo()
        connections._swept_at = 0.0  # the other look has begun, too
        shop.visit()
        return is_at_work(taken)

    shop = Shop(lambda: "done")
    shop.visit()
    other.submit(leave_open).result(60)
    clock.now += 2
    with pytest.MonkeyPatch.context() as overtaking:
        overtaking.setattr(connections, "is_at_work", overtaken)
        shop.visit()
    assert shop.found == []
    clock.now += 2
    shop.visit()
    assert len(shop.found) == 1


def test_a_session_that_another_thread_changes_meanwhile_is_no_error(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    row = a_row(engine)
    began, looks, changed, end = (threading.Event() for _ in range(4))

    class Changed(orm.Session):
        @property
        def _dirty_states(self) -> t.Iterator[t.Any]:
            for state in super()._dirty_states:
                yield state
                looks.set()
                wait_for(changed)

    def job() -> None:
        with Changed(engine) as session:
            first, second = row(name="1"), row(name="2")
            session.add_all([first, second])
            session.commit()
            names = [first.name, second.name]  # loads them
            first.name = names[1]
            began.set()
            wait_for(looks)
            second.name = names[0]
            changed.set()
            wait_for(end)

    def page() -> str:
        jobs.append(hand_over(other, job))
        wait_for(began)
        return "done"

    jobs: list[Future[object]] = []
    shop = Shop(page)
    shop.visit()
    end.set()
    jobs[0].result(60)
    assert not safety.off
    assert shop.found == []


def test_a_session_of_asyncio_that_is_dropped_is_reported(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    """SQLAlchemy takes its connection from the pool for good."""
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.ext.asyncio import AsyncSession

    engine.dialect.is_async = True
    asynchronous = AsyncEngine(engine)

    async def work() -> None:
        await AsyncSession(asynchronous).scalar(ONE)

    def page() -> str:
        hand_over(other, lambda: asyncio.run(work())).result(60)
        with pytest.warns(sa.exc.SAWarning, match="garbage collector"):
            gc.collect()
        return "done"

    shop = Shop(page)
    with no_collection():
        shop.visit()
    [(rule, _, count)] = shop.found
    assert (rule, count) == ("released", 1)
    assert connections.taken_now == {}
    assert not connections.strays


def test_a_stray_connection_that_is_detached_is_forgotten(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[sa.engine.Connection] = []

    def page() -> str:
        kept.append(engine.connect())
        return "done"

    shop = Shop(page)
    shop.visit()
    assert len(connections.strays) == 1
    kept[0].detach()
    assert not connections.strays
    kept[0].close()


def test_a_connection_is_known_that_another_thread_takes_at_once(
    clock: Clock,
    engine: sa.engine.Engine,
    other: ThreadPoolExecutor,
) -> None:
    """SQLAlchemy says that one is detached when its place in the pool is free."""
    taken: list[sa.engine.Connection] = []
    give_back = engine.pool._do_return_conn

    def overtaken(record: t.Any) -> None:
        overtaking.undo()
        give_back(record)
        taken.append(other.submit(engine.connect).result(60))

    def page() -> str:
        taken.append(engine.connect())
        return "done"

    shop = Shop(page)
    shop.visit()
    [stray] = taken
    with pytest.MonkeyPatch.context() as overtaking:
        overtaking.setattr(engine.pool, "_do_return_conn", overtaken)
        stray.detach()
    assert len(shop.monitor.holding()) == 1
    assert not connections.strays
    for connection in taken:
        connection.close()
    assert shop.monitor.holding() == []


def test_the_session_of_another_request_is_not_blamed_for_an_error(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    """The other one has failed, too, and rolls back a moment later."""
    row = a_row(engine)
    failed, end = threading.Event(), threading.Event()

    def fail(session: orm.Session) -> None:
        session.add(row(id=1, name="again"))
        with pytest.raises(sa.exc.IntegrityError):
            session.flush()

    def page() -> str:
        with orm.Session(engine) as session:
            fail(session)
            return str(session.execute(ONE).scalar())

    def sound() -> str:
        with orm.Session(engine) as session:
            fail(session)
            failed.set()
            wait_for(end)
            session.rollback()
        return "done"

    shop = Shop(page)
    shop.app.add_url_rule("/sound", "sound", sound)
    running = other.submit(shop.app.test_client().get, "/sound")
    wait_for(failed)
    with shop.client.get("/") as response:
        assert response.status_code == 500
    end.set()
    running.result(60).close()
    [source] = shop.monitor.findings
    assert source.finding.what.startswith("uses the session again without a rollback")


def test_the_session_that_raises_the_error_is_named(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    """The request has caught an error of its own session, and never uses that again."""
    row = a_row(engine)
    kept: list[orm.Session] = []

    def fail(session: orm.Session) -> None:
        session.add(row(id=1, name="again"))
        with pytest.raises(sa.exc.IntegrityError):
            session.flush()

    def leave() -> str:
        kept.append(orm.Session(engine))
        fail(kept[0])
        return "done"

    def page() -> str:
        flask.g.session = orm.Session(engine)
        fail(flask.g.session)
        return str(kept[0].execute(ONE).scalar())

    shop = Shop(page)

    @shop.app.teardown_request
    def close(error: BaseException | None) -> None:
        if "session" in flask.g:
            flask.g.session.close()

    shop.app.add_url_rule("/leave", "leave", leave)
    with shop.app.test_client().get("/leave") as response:
        assert response.status_code == 200
    with shop.client.get("/") as response:
        assert response.status_code == 500
    error = shop.monitor.findings[-1].finding
    assert error.what.startswith("fails because of an earlier request")


def test_a_shared_session_that_another_request_has_failed_is_named(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    """That request still runs."""
    row = a_row(engine)
    failed, end = threading.Event(), threading.Event()

    def page() -> str:
        return str(shared.execute(ONE).scalar())

    def slow() -> str:
        shared.add(row(id=1, name="again"))
        with pytest.raises(sa.exc.IntegrityError):
            shared.flush()
        failed.set()
        wait_for(end)
        return "done"

    shop = Shop(page)
    shop.app.add_url_rule("/slow", "slow", slow)
    shared = orm.Session(engine)  # shared by all
    running = other.submit(shop.app.test_client().get, "/slow")
    wait_for(failed)
    with shop.client.get("/") as response:
        assert response.status_code == 500
    end.set()
    running.result(60).close()
    errors = [each.finding for each in shop.monitor.findings]
    [error] = [each for each in errors if "PendingRollbackError" in each.what]
    assert error.what.startswith("fails because of an earlier request")
    assert line_of("shared by all") in str(error)
    shared.close()


def test_a_thread_may_commit_its_own_session_when_the_view_has_answered(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    row = a_row(engine)
    began, answered, committed = (threading.Event() for _ in range(3))

    def job() -> None:
        with orm.Session(engine) as session:
            session.add(row(name="1"))
            session.flush()
            began.set()
            wait_for(answered)
            session.commit()
            committed.set()

    def page() -> str:
        jobs.append(hand_over(other, job))
        wait_for(began)
        return "done"

    jobs: list[Future[object]] = []
    shop = Shop(page)

    @shop.app.teardown_request
    def wait(error: BaseException | None) -> None:
        answered.set()
        wait_for(committed)

    shop.visit()
    jobs[0].result(60)
    assert shop.found == []


def test_a_thread_may_use_its_own_session_again_after_the_request(
    clock: Clock, engine: sa.engine.Engine, other: ThreadPoolExecutor
) -> None:
    began, over = threading.Event(), threading.Event()

    def job() -> None:
        with orm.Session(engine) as session:
            session.execute(ONE)
            session.commit()
            began.set()
            wait_for(over)
            session.execute(ONE)

    def page() -> str:
        jobs.append(hand_over(other, job))
        wait_for(began)
        return "done"

    jobs: list[Future[object]] = []
    shop = Shop(page)
    shop.visit()
    over.set()
    jobs[0].result(60)
    assert shop.found == []


def test_a_thread_may_close_its_session_and_end_while_the_request_is_checked(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    began, looks = threading.Event(), threading.Event()

    class Looked(orm.Session):
        def in_transaction(self) -> bool:
            begun = super().in_transaction()
            if begun and began.is_set() and threading.current_thread() is main:
                looks.set()
                threads[0].join()
            return begun

    def job() -> None:
        with Looked(engine) as session:
            session.execute(ONE)
            began.set()
            wait_for(looks)

    def page() -> str:
        context = contextvars.copy_context()
        threads.append(threading.Thread(target=context.run, args=(job,)))
        threads[0].start()
        wait_for(began)
        return "done"

    main, threads = threading.current_thread(), list[threading.Thread]()
    shop = Shop(page)
    shop.visit()
    looks.set()
    threads[0].join()
    assert shop.found == []


def test_a_connection_that_comes_back_while_the_request_is_checked_is_none_of_it(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    """Its session is garbage, and is collected between two looks."""

    def page() -> str:
        session = orm.Session(engine)
        session.info["itself"] = session
        return str(session.execute(ONE).scalar())

    def collected(*args: t.Any) -> bool:
        gc.collect()
        return belongs(*args)

    belongs = connections.belongs_elsewhere
    shop = Shop(page)
    with no_collection(), pytest.MonkeyPatch.context() as overtaking:
        overtaking.setattr(connections, "belongs_elsewhere", collected)
        shop.visit()
    [(rule, _, count)] = shop.found
    assert (rule, count) == ("released", 1)
    [request] = shop.app.extensions["session_scoping"].app.recent
    assert [span.ended for span in request.spans] == [clock.now]


@pytest.mark.parametrize("first", [99, 100])
def test_it_is_said_once_that_there_is_nothing_to_watch(
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    other: ThreadPoolExecutor,
    first: int,
) -> None:
    """Of two requests that run at the same time, either may end as the hundredth."""
    inside, end = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        wait_for(end)
        return "done"

    shop = Shop(lambda: "done")
    shop.app.add_url_rule("/slow", "slow", slow)
    shop.visit(first - 1)
    running = other.submit(shop.app.test_client().get, "/slow")
    wait_for(inside)
    shop.visit()
    end.set()
    running.result(60).close()
    shop.visit(requests.NOTHING_AFTER)
    assert len(records(caplog)) == 1
    assert "has nothing to watch" in records(caplog)[0]


def test_a_pool_at_the_address_of_an_earlier_one_is_another(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator: t.Any = None
    gone = ref(sa.pool.NullPool(creator))
    monkeypatch.setitem(connections._pools, id(engine.pool), (gone, -1))
    shop = Shop(lambda: "done")
    shop.visit()
    with engine.connect():
        assert engine.pool in connections.pools().values()


def test_a_fork_closes_the_sockets_of_its_parent(clock: Clock, path: str) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
    shop.visit()
    [answer] = sockets.ask(path)
    assert answer.process == os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the process has threads, as a server has
        child = os.fork()
    if child == 0:  # the thread that answers is not there
        os._exit(len(sockets._serving))
    assert os.waitpid(child, 0)[1] == 0
    [answer] = sockets.ask(path)  # the parent goes on
    assert answer.holding == []
