"""Connections that are out of their pools: what has taken each, and how long ago."""

import sys
import typing as t
from itertools import count
from types import CodeType
from types import FrameType
from weakref import ref

import flask
import sqlalchemy as sa
from sqlalchemy.pool import Pool
from sqlalchemy.pool import SingletonThreadPool
from sqlalchemy.pool import StaticPool

from session_scoping.monitor import state
from session_scoping.monitor.causes import diagnose
from session_scoping.monitor.causes import happened_in
from session_scoping.monitor.findings import Finding
from session_scoping.monitor.findings import HELD
from session_scoping.monitor.findings import POOL
from session_scoping.monitor.holding import Holding
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import Part
from session_scoping.monitor.state import App
from session_scoping.monitor.state import current
from session_scoping.monitor.state import Life
from session_scoping.monitor.state import MARK
from session_scoping.monitor.state import places
from session_scoping.monitor.state import Request
from session_scoping.monitor.state import Span
from session_scoping.monitor.state import SpanKind
from session_scoping.monitor.state import SPANS
from session_scoping.monitor.state import Taken
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Labelled
from session_scoping.rules.sight import ViolationKind
from session_scoping.watch import hooks

if t.TYPE_CHECKING:  # SQLAlchemy 1.4 names it differently
    from sqlalchemy.pool import ConnectionPoolEntry

SHARED = (StaticPool, SingletonThreadPool)  # a connection may be taken twice at once
# The functions that serve, by module. What calls one only waits for its end.
SERVERS = {("socketserver", "serve_forever"), ("waitress", "serve")}
SWEEP_AFTER = 1.0  # seconds between two looks at all connections

taken_now: dict[int, Taken] = {}  # by the identity of the pool's record
strays: set[Taken] = set()  # those of them that nothing returns
# The pools that have given a connection, each with a number of its own, by identity.
_pools: dict[int, tuple["ref[Pool]", int]] = {}
_numbers = count()
used = False  # was any connection taken in this process?
last: Request | None = None  # of all watched apps
_swept_at = 0.0


def forked() -> None:
    """Forget what the requests and the threads of the parent process hold.

    A session that was left open before the first request is open in each fork.
    """
    for key, taken in list(taken_now.items()):
        if not (taken.at_start and taken.life is not None):
            taken_now.pop(key, None)
    strays.intersection_update(taken_now.values())


@guarded(Part.CONNECTIONS)
def on_checkout(
    connection: object, record: "ConnectionPoolEntry", proxy: object
) -> None:
    """Keep what takes a connection, and when."""
    global used
    used = True
    pool = getattr(proxy, "_pool", None)
    if hooks.watcher is not None or pool is None:
        return
    request = current()
    taken = Taken(request, *places.here(), proxy, pool)
    if request is None or taken.worker.ident != request.ident:
        taken.in_context = request is None and flask.has_app_context()
        taken.at_start = last is None
        taken.callers = places.callers()
    record.info[MARK] = taken
    if isinstance(pool, SHARED):  # nothing can wait for it
        return
    if before := taken_now.get(id(record)):  # it was detached a moment ago
        strays.discard(before)
    taken_now[id(record)] = taken
    known = _pools.get(id(pool))
    if known is None or known[0]() is not pool:  # an earlier one was at its address
        _pools[id(pool)] = ref(pool), next(_numbers)
    if strays and request is not None:
        check_pool(request.app, pool, request.name)


@guarded(Part.CONNECTIONS)
def on_checkin(connection: object, record: "ConnectionPoolEntry") -> None:
    """Forget a connection that is back in its pool."""
    taken = taken_now.pop(id(record), None)
    if taken is None:
        return
    record.info.pop(MARK, None)
    if taken.stray:
        strays.discard(taken)
    request, life, taken.life = taken.request, taken.life, None
    about = request or last
    if about and life is not None and life.session() is None and not taken.stray:
        kind = ViolationKind.OPEN if request else ViolationKind.THREAD
        what = "a session is dropped in a transaction, and was not closed"
        find(kind, what, about, taken, life)
    if request is not None:
        now = state.clock()
        _draw(request, taken, life, now)
        limit = request.app.settings.held_after
        if limit is not None and now - taken.since > limit:
            _held_too_long(request.app, taken, now)


@guarded(Part.CONNECTIONS)
def on_detach(connection: object, record: "ConnectionPoolEntry") -> None:
    """Forget a connection that is taken from its pool for good.

    Code of the app does that, and SQLAlchemy where a session of asyncio is dropped.
    The record is free by now: another thread may use it for another connection.
    """
    if not record.in_use:
        on_checkin(connection, record)


def of(request: Request) -> list[Taken]:
    """Return the connections that a request has taken and not returned."""
    return [taken for taken in list(taken_now.values()) if taken.request is request]


def session_of(taken: Taken) -> sa.orm.Session | None:
    """Return the session that uses a connection now, if it is not used by hand."""
    session = taken.life.session() if taken.life is not None else None
    return session if session is not None and session.in_transaction() else None


@guarded(Part.CONNECTIONS)
def check_returned(request: Request) -> None:
    """Find the connections that a request took by hand and did not return.

    That of a session which is dropped now comes back soon, or ``sweep`` looks at it.
    """
    for taken in of(request):
        life, elsewhere = taken.life, belongs_elsewhere(taken, request)
        if taken not in taken_now.values():  # it was returned meanwhile
            continue
        _draw(request, taken, life, None)
        if elsewhere:
            continue
        if life is None:
            what = "a connection is not returned after the response"
            find(ViolationKind.CONNECTION, what, request, taken)
        elif not request.sampled and session_of(taken) is not None:
            what = "a session is still open after the response"
            find(ViolationKind.OPEN, what, request, taken, life)


def belongs_elsewhere(taken: Taken, request: Request) -> bool:
    """Has another thread or greenlet taken it, which may still need it?"""
    return taken.worker.ident != request.ident and is_at_work(taken)


def is_at_work(taken: Taken) -> bool:
    """Does what has taken a connection still run?

    It does for as long as any code of the app does that ran then. A task of asyncio
    that waits is on no stack: it may run until its thread ends.
    A script that waits for its server is not at work.
    """
    if not taken.worker.alive():
        return False
    if taken.worker.awaited:
        return True
    callers = taken.callers
    if taken.worker.runs_elsewhere():  # it is unknown on which thread
        frames = list(sys._current_frames().values())
        return not callers or any(_runs(callers, frame) for frame in frames)
    frame = taken.worker.frame()
    return _runs(callers, frame) if callers else places.is_at_work(frame)


def _runs(callers: frozenset[CodeType], frame: FrameType | None) -> bool:
    """Does any of this code run in the frame or above it?"""
    while frame is not None and frame.f_code not in callers:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) in SERVERS:
            return False
        frame = frame.f_back
    return frame is not None


def note_stray(taken: Taken) -> None:
    """Remember that nothing returns a connection."""
    taken.stray = True
    if taken in taken_now.values():
        strays.add(taken)


def find(
    kind: ViolationKind,
    what: str,
    request: Request,
    taken: Taken,
    life: Life | None = None,
) -> None:
    """Report a connection, and remember that nothing returns it."""
    note_stray(taken)
    name = happened_in(kind, request, taken)
    if kind not in {ViolationKind.THREAD, ViolationKind.STARTUP}:
        request.findings += (what,)
    if life is not None and life.source is not None:
        request.app.findings.count(life.source, name)
        return
    source = request.app.findings.add(
        (kind, taken.own or taken.place),
        name,
        lambda: diagnose(kind, what, request, life, taken),
    )
    if life is not None:
        life.source = source


@guarded(Part.CONNECTIONS)
def sweep(request: Request) -> None:
    """Look at all connections, at most once a second: traffic drives it.

    What an app without traffic has left is logged here, too.
    """
    global _swept_at
    now = state.clock()
    if now - _swept_at < SWEEP_AFTER:
        return
    _swept_at = now
    others = set()
    for taken in list(taken_now.values()):
        owner = taken.request
        app = (owner or request).app
        if app is not request.app:
            others.add(app)
        limit = app.settings.held_after
        if limit is not None and now - taken.since > limit:
            _held_too_long(app, taken, now)
        if taken.at_start and taken.life is None:
            continue  # the app may keep it on purpose, as a lock
        if taken.stray or (owner is not None and owner.ended is None):
            continue
        idle = not (belongs_elsewhere(taken, owner) if owner else is_at_work(taken))
        if not idle:
            taken.idle_since = None
        elif taken.idle_since is None:
            taken.idle_since = now
        elif now - taken.idle_since >= SWEEP_AFTER:
            if taken.at_start:
                kind = ViolationKind.STARTUP
                what = "what was opened before the first request is still open"
            else:
                kind = ViolationKind.THREAD
                by = f"thread {taken.worker.name}"
                by = "a task of asyncio" if taken.worker.awaited else by
                what = f"what {by} has opened is still open"
            find(kind, what, owner or request, taken, taken.life)
    for app in others:
        if app.findings.due(now):
            app.findings.flush(now)


def _held_too_long(app: App, taken: Taken, now: float) -> None:
    if taken.too_long:
        return
    taken.too_long = True
    name = taken.request.name if taken.request else f"thread {taken.worker.name}"
    place = taken.own or taken.place
    what = f"a connection is held for {now - taken.since:.0f} s"
    finding = Finding(HELD, what, name, str(place or ""), _lines(taken))
    app.findings.add((HELD, place), name, lambda: ((HELD, place), finding))


def _lines(taken: Taken) -> tuple[Labelled, ...]:
    label = Label.OWN if taken.own else Label.USED
    place = taken.own or taken.place
    return (Labelled(label, str(place)),) if place else ()


def check_pool(app: App, pool: object, name: str) -> None:
    """Report a pool that is nearly empty, because of what nothing returns."""
    mine = [taken for taken in list(strays) if taken.pool() is pool]
    size, more = usage(pool)
    if size is not None and size - more <= 1 and 2 * len(mine) >= more:
        what = f"{more} of {size} connections are out of the pool, {len(mine)} for good"
        key = POOL, _pools[id(pool)][1]
        app.findings.add(
            key, name, lambda: (key, Finding(POOL, what, name, details=listed()))
        )


def usage(pool: object) -> tuple[int | None, int]:
    """Return how many connections a pool can give, and how many it has given.

    The first is ``None`` if there is no limit.
    """
    overflow = getattr(pool, "_max_overflow", None)
    if not isinstance(pool, sa.pool.QueuePool) or overflow is None or overflow < 0:
        return None, 0
    return pool.size() + overflow, pool.checkedout()


def holding() -> list[Holding]:
    """Return the connections that are out of their pools, the oldest first."""
    now = state.clock()
    open_now = sorted(taken_now.values(), key=lambda taken: taken.since)
    return [Holding.of(taken, session_of(taken), now) for taken in open_now]


def listed() -> tuple[str, ...]:
    """Return what holds connections, as lines of a log record."""
    return tuple(str(each) for each in holding())


def pools() -> dict[int, Pool]:
    """Return the pools that have given a connection, by their numbers."""
    known = [(number, pool()) for pool, number in list(_pools.values())]
    return {number: pool for number, pool in known if pool is not None}


def _draw(
    request: Request, taken: Taken, life: Life | None, ended: float | None
) -> None:
    """Keep how long a request held a connection."""
    kind = SpanKind.CONNECTION if life is None else SpanKind.SESSION
    span = Span(kind, taken.since, ended, taken.own or taken.place)
    if ended is not None and request.ended is not None:  # it is returned after all
        still_open = span._replace(ended=None)
        request.spans = tuple(each for each in request.spans if each != still_open)
    if len(request.spans) < SPANS:
        request.spans += (span,)
