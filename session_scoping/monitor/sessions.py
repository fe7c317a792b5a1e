"""Sessions: what made each, and which requests use it."""

import threading
from weakref import ref

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.orm import SessionTransaction

from session_scoping.monitor import connections
from session_scoping.monitor.causes import diagnose
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import Part
from session_scoping.monitor.state import current
from session_scoping.monitor.state import Life
from session_scoping.monitor.state import MARK
from session_scoping.monitor.state import places
from session_scoping.monitor.state import Request
from session_scoping.monitor.state import Taken
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.rules.sight import ViolationKind
from session_scoping.watch import hooks

MANY = 64  # sessions of a request, after which those that are gone are forgotten


@guarded(Part.SESSIONS)
def on_birth(session: Session) -> None:
    """Keep the line that makes a session."""
    request = current()
    if hooks.watcher is None and (request is None or request.sampled):
        life = Life(session, *places.birth(), request)
        setattr(session, MARK, life)


@guarded(Part.SESSIONS)
def on_begin(
    session: Session, transaction: object, connection: sa.engine.Connection
) -> None:
    """Check that a session begins its transaction in the request that it belongs to."""
    if hooks.watcher is not None:
        return
    owner = _owner(connection)
    if owner is not None and owner is not session and owner.in_transaction():
        return  # it works in the transaction of the other session
    setattr(connection, MARK, ref(session))
    taken: Taken | None = connection.info.get(MARK)
    life: Life | None = getattr(session, MARK, None)
    if life is None:  # it is older than the monitor
        life = Life(session, None, None, None, None)
        setattr(session, MARK, life)
    life.taken = taken
    if taken is not None:
        taken.life = life
    request = current()
    if request is None:
        _begin_outside(life, connection)
    elif request.sampled:
        _use(life, request)


@guarded(Part.SESSIONS)
def on_end(session: Session, transaction: SessionTransaction) -> None:
    """Note that a session no longer works with its connection.

    A connection that the session was given stays out of its pool.
    """
    life: Life | None = getattr(session, MARK, None)
    if transaction.parent is None and life is not None:
        life.changed = life.unsaved = False
        if life.taken is not None:
            life.taken.life = None


@guarded(Part.SESSIONS)
def on_flush(session: Session, context: object) -> None:
    """Note that a session has written something."""
    life: Life | None = getattr(session, MARK, None)
    if life is not None and not life.changed:
        life.changed = _has_changes(session)


@guarded(Part.SESSIONS)
def on_rollback(session: Session, transaction: SessionTransaction) -> None:
    """Note that what a session has written is undone, in a savepoint too."""
    life: Life | None = getattr(session, MARK, None)
    if life is not None:
        life.changed = life.unsaved = False


@guarded(Part.SESSIONS)
def note_unsaved(request: Request) -> None:
    """Note which sessions have changes to save when the view has answered."""
    for life in request.lives:
        session = life.session()
        if session is not None:
            clean = session._is_clean()  # a shortcut: most sessions have only read
            life.unsaved = life.changed or (not clean and _has_changes(session))


def _has_changes(session: Session) -> bool:
    """Does a flush write something? A row that was set to what it was is no change.

    It is not known while another thread changes rows of the session.
    """
    try:
        return bool(
            session.new
            or session.deleted
            or any(session.is_modified(row) for row in session.dirty)
        )
    except RuntimeError:  # a set has changed during the iteration
        return False


def _owner(connection: sa.engine.Connection) -> Session | None:
    """Return the session that a connection works for.

    A pool may give one connection of the driver to several sessions.
    """
    known: ref[Session] | None = getattr(connection, MARK, None)
    return known() if known is not None else None


def _use(life: Life, request: Request) -> None:
    """Note that a request uses a session."""
    before = life.request
    if before is request:
        return
    if (
        before is not None
        and before.outermost() is not request.outermost()
        and not _is_excused(request)
    ):
        if before.ended is None and before.inside:
            what = "a session serves two requests at the same time"
            find(ViolationKind.OVERLAP, what, request, life)
        else:
            what = f"a session of an earlier request ({before.name}) is used again"
            find(ViolationKind.AGAIN, what, request, life)
    life.request, life.ident = request, threading.get_ident()
    request.lives += (life,)
    if len(request.lives) % MANY == 0:
        _forget_dropped(request)


def _forget_dropped(request: Request) -> None:
    """Forget the sessions that are gone. A stream may make them without end."""
    kept = []
    for life in request.lives:
        if life.session() is not None:
            kept.append(life)
        else:
            _note_dropped(life, request)
    request.lives = tuple(kept)


def _note_dropped(life: Life, request: Request) -> None:
    """Note that a session is gone: its `scoped_session` was removed."""
    if life.maker is Maker.SCOPED_SESSION and life.born_in is request:
        request.app.removes = True


def _is_excused(request: Request) -> bool:
    """Was it made inside of an app context on purpose, as a test does?

    The requests in such a context share its session.
    """
    return request.in_context and request.pushed_at is None


def _begin_outside(life: Life, connection: sa.engine.Connection) -> None:
    """Check a session that begins a transaction where no request runs.

    Until that transaction ends, no event of the session says that a request uses it,
    but each of its statements does.
    """
    served = life.request
    if served is not None and served.ended is not None:
        if threading.get_ident() not in {served.ident, life.ident}:
            name = threading.current_thread().name
            what = f"its session is used on thread {name} after the request"
            find(ViolationKind.AGAIN, what, served, life)
    else:
        event.listen(connection, "before_cursor_execute", on_statement)


@guarded(Part.SESSIONS)
def on_statement(connection: sa.engine.Connection, *_: object) -> None:
    """Check that no request uses a transaction that is older than the request."""
    request, session = current(), _owner(connection)
    if request is None or session is None or hooks.watcher is not None:
        return
    life: Life | None = getattr(session, MARK, None)
    if life is None or life.request is request or _is_excused(request):
        return
    what = "a session that was opened outside of any request is used"
    find(ViolationKind.STARTUP, what, request, life)
    life.request, life.ident = request, threading.get_ident()


@guarded(Part.SESSIONS)
def on_commit(session: Session) -> None:
    """Check that no change of the view is committed when it has answered.

    The end of a savepoint is no commit. What a teardown has added itself, as for an
    audit, it may commit.
    """
    request = current()
    if request is None or not request.answered or request.streams:
        return
    life: Life | None = getattr(session, MARK, None)
    if (
        life is None
        or life.request is not request
        or not life.unsaved
        or session.in_nested_transaction()
        or hooks.watcher is not None
        or life.ident == threading.get_ident() != request.ident  # a thread's own
    ):
        return
    place, own = places.here()
    what = "a session commits after the view has answered"
    find(ViolationKind.LATE_COMMIT, what, request, life, own or place)


@guarded(Part.SESSIONS)
def check_closed(request: Request) -> None:
    """Find the sessions that a request has not closed."""
    for life in request.lives:
        session = life.session()
        if session is None:
            _note_dropped(life, request)
            continue
        if life.request is not request:
            continue
        taken = life.taken
        if taken is not None and connections.belongs_elsewhere(taken, request):
            continue  # ``connections.sweep`` looks at it again
        if not session.in_transaction():  # last: its thread may end meanwhile
            continue
        what = "a session is still open after the response"
        find(ViolationKind.OPEN, what, request, life)


def find(
    kind: ViolationKind,
    what: str,
    request: Request,
    life: Life,
    line: Place | None = None,
) -> None:
    """Report a session. What it does later belongs to the same finding."""
    taken = life.taken
    if kind is ViolationKind.OPEN and taken is not None:
        connections.note_stray(taken)
    request.findings += (what,)
    if life.source is not None:
        request.app.findings.count(life.source, request.name)
        return
    at = life.own or life.place, taken and (taken.own or taken.place), line
    life.source = request.app.findings.add(
        (kind, life.maker, at),
        request.name,
        lambda: diagnose(kind, what, request, life, taken, line),
    )
