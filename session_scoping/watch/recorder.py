"""Watches every session of an app, from its birth to its end.

It sees requests through ``Flask.__call__`` and Flask's signals, and sessions through
SQLAlchemy's events. It records what it sees, and judges nothing.
"""

import gc
import sys
import threading
import typing as t
from contextlib import suppress
from fnmatch import fnmatch
from time import perf_counter
from types import FrameType
from weakref import ref

import flask
import sqlalchemy as sa
from flask.globals import app_ctx
from sqlalchemy import event
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Deed
from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import STATEMENT
from session_scoping.recording import Unreturned
from session_scoping.recording import Unsolicited
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.watch.hooks import call
from session_scoping.watch.hooks import DRIVE
from session_scoping.watch.hooks import Drive
from session_scoping.watch.hooks import PRESERVE
from session_scoping.watch.hooks import RUNNING
from session_scoping.watch.hooks import Running
from session_scoping.watch.hooks import set_watcher
from session_scoping.watch.keepers import keepers
from session_scoping.watch.places import place_of
from session_scoping.watch.places import Places
from session_scoping.watch.places import where
from session_scoping.watch.stack import stack

MARK = "_session_scoping"  # an attribute of sessions and of their connections
MOST_EXPLAINED = 100  # instances to find the keepers of
SAVES = {"create_model", "update_model", "delete_model"}
ACTIVE, IN_TRANSACTION, IN_ERROR = 1, 2, 3  # of libpq's PQtransactionStatus
DROP_AFTER = 200  # weak references to collect before the dead are dropped


class Watched:
    """A session as it is now: the last request that used it, and how."""

    __slots__ = (
        "recording",
        "session",
        "running",
        "use",
        "closed",
        "closed_in",
        "closed_at",
        "late",
    )

    def __init__(self, recording: Recording, session: Session) -> None:
        self.recording = recording
        self.session = session
        self.running: Running | None = None
        self.use: Use | None = None
        self.closed = False
        self.closed_in: Running | None = None
        self.closed_at: Place | None = None
        self.late = False  # was it first used when the view had answered?


class Loaded(t.NamedTuple):
    """The instances that a session held when it was closed."""

    running: "Running"
    session: int
    instances: list["ref[t.Any]"]


class Recorder:
    """Records the requests and sessions of all apps in this process.

    ``leave_alone`` holds shell-style patterns for ``file:line in function``. A session
    that is made at such a line is recorded, but breaks no rule.

    ``start`` and ``stop`` begin and end the recording, as does a ``with`` block;
    ``recording`` is what was seen so far. One recorder watches at a time: starting
    another recorder pauses this one until the other one is stopped.
    """

    active: "t.ClassVar[Recorder | None]" = None

    def __init__(self, leave_alone: t.Sequence[str] = ()) -> None:
        self.building = False
        self._leave_alone = leave_alone
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self.places = Places(call.__code__)
        self._running = False
        # Takes a statement that no drive sees. May raise, so that it is not sent.
        self.refuse: t.Callable[[str], None] | None = None
        self._outer: Recorder | None = None
        self._listeners: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
            (SASession, "do_orm_execute", self._on_orm_execute),
            (SASession, "after_attach", self._on_attach),
            (SASession, "after_begin", self._on_begin),
            (SASession, "before_commit", self._on_commit),
            (sa.engine.Engine, "before_cursor_execute", self._on_statement),
            (sa.engine.Engine, "commit", self._on_database_commit),
            (sa.pool.Pool, "checkout", self._on_checkout),
            (sa.pool.Pool, "checkin", self._on_checkin),
        ]
        self.clear()

    def clear(self) -> None:
        """Begin a new, empty recording.

        Of a session that is still alive only its origin stays known.
        """
        with self._lock:
            self.recording = Recording(stack=dict(stack()))
            self._began = perf_counter()
            self._engines: dict[t.Any, int] = {}
            self._bound: list[
                tuple[int, ...]
            ] = []  # shared by all sessions of an engine
            self._paths: dict[str, str] = {}
            self._apps: dict[flask.Flask, dict[str, int]] = {}
            self._views: list[t.Any] = []
            self._handles: list[t.Any] = []
            self._living: list[tuple[int, ref[SASession]]] = []
            self._loaded: list[Loaded] = []
            self._now: dict[int, Running] = {}  # by the number of the request

    # -------------------------------------------------------------- beginning and end

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch. Pauses the recorder that is active, if there is one."""
        self._running = True
        self._outer, Recorder.active = Recorder.active, None
        if self._outer:
            self._outer._unhook()
        self._hook()

    def stop(self) -> Recording:
        """Stop watching, find out what is still alive, and return the recording.

        Calling it again returns the same recording.
        """
        if not self._running:
            return self.recording
        self._running = False
        if Recorder.active is self:
            self._unhook()
            if self._outer:
                self._outer._hook()
        else:
            self._leave()
        self._outer = None
        self.find_kept()
        for view, handle, seen in zip(
            self._views, self._handles, self.recording.views, strict=True
        ):
            seen.replaced = _attribute(view, "session") is not handle
            if seen.replaced or seen.session is not None:
                seen.place = place_of(type(view))
        return self.recording

    def _leave(self) -> None:
        """Stop while a recorder that was started later still watches."""
        inner = Recorder.active
        while inner is not None and inner._outer is not self:
            inner = inner._outer
        if inner is not None:
            inner._outer = self._outer

    def _hook(self) -> None:
        Recorder.active = self
        set_watcher(self)
        for listener in self._listeners:
            event.listen(*listener)
        flask.request_finished.connect(self._on_answer)
        flask.got_request_exception.connect(self._on_exception)

    def _unhook(self) -> None:
        Recorder.active = None
        set_watcher(None)
        flask.request_finished.disconnect(self._on_answer)
        flask.got_request_exception.disconnect(self._on_exception)
        for listener in self._listeners:
            event.remove(*listener)

    def find_kept(self) -> None:
        """Record which sessions and instances are still alive, and what keeps them."""
        used = {
            use.session for request in self.recording.requests for use in request.uses
        }
        self._living = [
            entry for entry in self._living if self._may_be_kept(entry[0], used)
        ]
        for generation in range(3):
            self._drop_dead()
            if not self._living and not self._loaded:
                return
            gc.collect(generation)
        self._drop_dead()
        alive = [
            (number, reference)
            for number, reference in self._living
            if reference() is not None
        ]
        loaded = [
            (batch, instance)
            for batch in self._loaded
            for instance in batch.instances
            if instance() is not None
        ][:MOST_EXPLAINED]
        # Nothing here but this list must hold them: the search is for other holders.
        targets = [reference() for _, reference in (*alive, *loaded)]
        names = [type(target).__name__ for target in targets][len(alive) :]
        found = keepers(targets, self._views)
        del targets
        for (number, _), path in zip(alive, found, strict=False):
            session = self.recording.sessions[number]
            session.kept, session.kept_by = True, path
        paths = found[len(alive) :]
        for (batch, _), name, path in zip(loaded, names, paths, strict=True):
            if path != [STATEMENT]:
                request = batch.running.request.number
                kept = KeptInstance(name, batch.session, request, path)
                self.recording.kept_instances.append(kept)
        self._living.clear()
        self._loaded.clear()

    def close_living(self) -> None:
        """Close the sessions that are still alive, unrecorded: they may hold locks."""
        living = [reference for _, reference in self._living]
        self.find_kept()
        self._unhook()
        for reference in living:
            session = reference()
            if session is not None:
                with suppress(Exception):  # of the app's own session class, or database
                    session.close()
        self._hook()

    def _may_be_kept(self, number: int, used: set[int]) -> bool:
        """Does it matter what keeps a session? Not if no request has touched it."""
        session = self.recording.sessions[number]
        return (
            number in used
            or session.born_in is not None
            or session.at_startup
            or bool(session.outside)
        )

    def _drop_dead(self) -> None:
        self._living = [entry for entry in self._living if entry[1]() is not None]
        self._loaded = [
            batch
            for batch in self._loaded
            if any(known() is not None for known in batch.instances)
            and not batch.running.held()
        ]

    # ------------------------------------------------------------------------- views

    def learn(self, app: flask.Flask) -> dict[str, int]:
        """Record an app's admin views. Returns their numbers by endpoint."""
        known = self._apps.get(app)
        if known is None:
            known = self._apps[app] = {}
            self.recording.app = self.recording.app or app.import_name
            for admin in app.extensions.get("admin", []):
                for view in admin._views:
                    known[view.endpoint] = len(self._views)
                    self._views.append(view)
                    handle = _attribute(view, "session")
                    self._handles.append(handle)
                    self.recording.views.append(self._view(admin, view, handle))
        return known

    @property
    def engines(self) -> list[sa.engine.Engine]:
        return list(self._engines)

    def view(self, number: int) -> t.Any:
        """Return the view that has a number which ``learn`` gave."""
        return self._views[number]

    def _view(self, admin: t.Any, view: t.Any, handle: t.Any) -> View:
        kind = type(view)
        seen = View(str(admin.name), kind.__name__, view.endpoint)
        model = _attribute(view, "model")
        if isinstance(model, type) and handle is not None:
            seen.model = model.__name__
            seen.handle = f"{type(handle).__module__}.{type(handle).__qualname__}"
        if isinstance(handle, SASession):
            seen.session = self._watched(handle).session.number
        return seen

    # ---------------------------------------------------------------------- requests

    def _current(self) -> Running | None:
        """Return the running request, if it belongs to this recording."""
        running = RUNNING.get()
        return running if running and running.recording is self.recording else None

    def begin(self, app: flask.Flask, environ: dict[str, t.Any]) -> Running:
        outer = self._current()
        path = environ.get("PATH_INFO", "")
        if query := environ.get("QUERY_STRING"):
            path = f"{path}?{query}"
        drive: Drive | None = environ.get(DRIVE)
        request = Request(
            0,
            environ.get("REQUEST_METHOD", ""),
            self._paths.setdefault(path, path),
            started=perf_counter() - self._began,
            thread=threading.current_thread().name,
        )
        if drive is not None:
            request.view, request.operation = drive.view, drive.operation
            drive.begun(request)
        if outer is not None and outer.request.ended:
            outer = None
        if outer is not None:
            request.parent = outer.request.number
        elif flask.has_app_context():
            current: t.Any = flask.current_app
            request.outer_context = current._get_current_object() is app
        with self._lock:
            request.number = len(self.recording.requests)
            self.recording.requests.append(request)
        if app not in self._apps:
            self.learn(app)
        preserved = bool(environ.get(PRESERVE))
        running = Running(self.recording, request, drive, preserved, outer)
        self._now[request.number] = running
        return running

    def end(self, running: Running, error: BaseException | None = None) -> None:
        """Record that the response is complete, or was given up."""
        request = running.request
        if request.ended:
            return
        request.ended = perf_counter() - self._began
        thread = threading.current_thread().name
        if thread != request.thread:
            request.ended_on = thread
        with self._lock:
            self._now.pop(request.number, None)
        if error is not None:
            if running.answered:
                request.stream_exception = where(error)
            else:
                request.exception, request.status = where(error), 500
        if running.unreturned is not None:
            unreturned = Unreturned(request.number, running.unreturned)
            self.recording.unreturned.append(unreturned)

    def _on_answer(
        self, app: flask.Flask, response: flask.Response, **_: object
    ) -> None:
        running = self._current()
        if running is None:
            return
        request = running.request
        running.answered = True
        running.streams = response.is_streamed and not response.direct_passthrough
        request.streamed = running.streams
        request.status = response.status_code
        if running.preserved:
            context: t.Any = app_ctx
            running.context = ref(context._get_current_object())
        if request.view is None:
            endpoint = flask.request.endpoint or ""
            known = self._apps.get(app, {})
            request.view = known.get(endpoint.rpartition(".")[0])

    def _on_exception(
        self, app: flask.Flask, exception: BaseException, **_: object
    ) -> None:
        running = self._current()
        if running is not None:
            running.request.exception = where(exception)

    # ---------------------------------------------------------------------- sessions

    def _watched(self, session: SASession) -> Watched:
        watched: Watched | None = session.__dict__.get(MARK)
        if watched is None or watched.recording is not self.recording:
            watched = self._adopt(session, watched)
        return watched

    def born(self, session: SASession) -> None:
        """Record a session that is being made."""
        running = self._current()
        maker, place, own = self.places.birth(3)
        seen = Session(0, maker, place=place, own=own)
        if running is not None:
            seen.born_in = running.request.number
        elif self.building:
            seen.at_startup = True
        self._write_down(session, seen)

    def _adopt(self, session: SASession, before: Watched | None) -> Watched:
        """Record a session that is older than the recording.

        What made it is known only if an earlier recording has seen that.
        """
        seen = Session(0, _guess_maker(session))
        if before is not None:
            known = before.session
            seen.maker, seen.place, seen.own = known.maker, known.place, known.own
            seen.at_startup = known.at_startup
        return self._write_down(session, seen)

    def _write_down(self, session: SASession, seen: Session) -> Watched:
        if self._leave_alone:
            seen.left_alone = any(
                fnmatch(str(place), pattern)
                for place in (seen.place, seen.own)
                for pattern in self._leave_alone
            )
        watched = Watched(self.recording, seen)
        with self._lock:
            number, requests = len(self.recording.sessions), self.recording.requests
            # Share equal integers: a long recording holds many of them.
            seen.number = requests[number].number if number < len(requests) else number
            self.recording.sessions.append(seen)
            self._living.append((seen.number, ref(session)))
            if len(self._living) > DROP_AFTER:
                self._drop_dead()
        setattr(session, MARK, watched)
        return watched

    def _use(self, watched: Watched) -> None:
        running = self._current()
        if threading.get_ident() != (running.thread if running else self._thread):
            self._use_outside(watched, running)
        if running is None:
            watched.closed = watched.session.closed = False
            return
        if watched.running is running and not watched.closed:
            return
        place, own = self.places.here(3)
        request, number = running.request, watched.session.number
        use = next((known for known in request.uses if known.session == number), None)
        if use is None:
            use = Use(number, place, own, close_error=watched.session.close_error)
            request.uses = (*request.uses, use)
            watched.late = running.answered
            if watched.closed and watched.closed_in is running:
                use.used_after_close, use.closed_early = place, watched.closed_at
        elif watched.closed:
            use.used_after_close, use.own, use.closed = place, own, False
            use.closed_early = use.closed_early or watched.closed_at
        watched.running, watched.use = running, use
        watched.closed = watched.session.closed = False

    def _use_outside(self, watched: Watched, running: Running | None) -> None:
        """Record a use on a thread that does not serve the request.

        A thread that has the request's context may stream its response: there only a
        use by Flask-Admin itself is recorded.
        """
        name = threading.current_thread().name
        seen = watched.session
        if not any(outside.thread == name for outside in seen.outside):
            now = list(self._now.values())
            alike = (
                len(
                    {
                        (current.request.view, current.request.operation)
                        for current in now
                    }
                )
                == 1
            )
            request = now[0].request.number if alike else None
            place, own = self.places.here(4)
            by_admin = place is not None and place.of_flask_admin
            threads = {current.thread for current in now}
            unsolicited = by_admin and not self.places.is_by_other_thread(4, threads)
            if running is None or unsolicited:
                outside = Outside(place, own, name, request, unsolicited)
                seen.outside = [*seen.outside, outside]

    def closing(self, session: SASession) -> None:
        """Remember what a session has loaded before it is closed."""
        watched: Watched | None = session.__dict__.get(MARK)
        if watched is None or watched.running is None:
            return
        if watched.recording is not self.recording:
            return
        running, number = watched.running, watched.session.number
        instances = [ref(instance) for instance in session.identity_map.values()]
        if instances:
            self._loaded.append(Loaded(running, number, instances))
        if len(self._loaded) > DROP_AFTER:
            self._drop_dead()

    def closed(self, session: SASession, error: BaseException | None) -> None:
        """Record that a session was closed, or failed to close."""
        watched: Watched | None = session.__dict__.get(MARK)
        if watched is None or watched.recording is not self.recording:
            return
        close_error = where(error) if error is not None else ""
        watched.session.close_error = close_error
        running, use = self._current(), watched.use
        if use is not None and close_error:
            use.close_error = close_error
        watched.closed = watched.session.closed = True
        watched.closed_in = running
        watched.closed_at = None
        unsolicited = False
        user = watched.running
        if _is_unanswered(running) or _is_unanswered(user):
            depth = _above_methods_of(session, 3)
            place, own = self.places.here(depth)
            by_admin = place is not None and place.of_flask_admin
            unsolicited = by_admin or not self.places.is_by_other_code(depth)
            watched.closed_at = place if unsolicited else own or place
        if user is not None and use is not None and not user.answered:
            use.closed_early = watched.closed_at
            use.closed_unsolicited = unsolicited
        if use is not None and user is not None and not user.over():
            use.closed = True
        else:
            watched.session.released = perf_counter() - self._began
        if user is not running:  # a nested request has used it last
            _close_uses(running, watched.session.number)

    def _on_orm_execute(self, state: t.Any) -> None:
        """Find a session whose transaction is older than the recording."""
        session = state.session
        if MARK not in session.__dict__ and session.in_transaction():
            arguments = dict(state.bind_arguments)
            connection = session.connection(bind_arguments=arguments)
            setattr(connection, MARK, ref(session))
            self._watched(session)

    def _on_attach(self, session: SASession, instance: object) -> None:
        self._use(self._watched(session))

    def _on_begin(
        self, session: SASession, transaction: object, connection: t.Any
    ) -> None:
        setattr(connection, MARK, ref(session))
        self._use_connection(session, connection)

    def _use_connection(self, session: SASession, connection: t.Any) -> None:
        """Record a use of a session, and the engine of its connection."""
        watched = self._watched(session)
        engine = connection.engine
        number = self._engines.get(engine)
        if number is None:
            number = self._engines[engine] = len(self._engines)
            self._bound.append((number,))
            url: t.Any = engine.url
            self.recording.engines.append(url.render_as_string(hide_password=True))
        engines = watched.session.engines
        if number not in engines:
            bound = self._bound[number]
            watched.session.engines = (*engines, number) if engines else bound
        self._use(watched)

    def _on_commit(self, session: SASession) -> None:
        """Record a commit after the view has answered, and an unsolicited commit."""
        running = self._current()
        watched: Watched | None = session.__dict__.get(MARK)
        if running is not None and watched and not watched.session.left_alone:
            self._check_commit(running)
        if (
            running is not None
            and running.answered
            and not running.request.ended
            and watched is not None
            and watched.running is running
            and not watched.late
            and not running.streams
        ):
            place, own = self.places.here(2)
            late = LateCommit(
                running.request.number, watched.session.number, own or place
            )
            self.recording.late_commits.append(late)

    def _check_commit(self, running: Running) -> None:
        """Record a commit that Flask-Admin makes where it has nothing to save."""
        place = self.places.near(3)
        if place is not None and place.of_flask_admin and not _saving():
            self._note_unsolicited(Deed.COMMIT, running.request, place)

    def _note_unsolicited(self, deed: Deed, request: Request, place: Place) -> None:
        """Record it once: a commit of a session is also a commit of its database."""
        unsolicited = Unsolicited(deed, request.number, place)
        if unsolicited not in self.recording.unsolicited[-1:]:
            self.recording.unsolicited.append(unsolicited)

    def _on_statement(
        self, connection: t.Any, cursor: object, sql: str, *_: object
    ) -> None:
        known: ref[SASession] | None = connection.__dict__.get(MARK)
        session = known() if known is not None else None
        if session is not None:
            self._use_connection(session, connection)
        running = self._current()
        if running is not None:
            running.request.statements += 1
            if session is None:
                place = self.places.near(2)
                if place is not None and place.of_flask_admin:
                    self._note_unsolicited(
                        Deed.PAST_THE_SESSION, running.request, place
                    )
            if running.drive is not None:
                running.drive.step(running.request, sql)
                return
        if self.refuse is not None:
            self.refuse(sql)

    def _on_database_commit(self, connection: t.Any) -> None:
        running = self._current()
        if running is None:
            return
        known: ref[SASession] | None = connection.__dict__.get(MARK)
        session = known() if known is not None else None
        if session is None or not self._watched(session).session.left_alone:
            self._check_commit(running)
        if running.drive is not None:
            running.drive.step(running.request, "COMMIT")

    def _on_checkout(self, _: object, record: t.Any, __: object) -> None:
        running = self._current()
        if running is not None:
            running.request.taken += 1
            if running.unreturned is None:
                running.unreturned = self.places.near(2)
        record.info.setdefault(MARK, []).append(running)

    def _on_checkin(self, connection: t.Any, record: t.Any) -> None:
        taken = record.info.get(MARK)
        if taken:
            running: Running | None = taken.pop()
            if running is not None:
                request = running.request
                if in_transaction(connection):
                    request.left_in_transaction = True
                if running.preserved or not request.ended:
                    request.returned += 1
                if request.taken == request.returned:
                    running.unreturned = None


def in_transaction(connection: t.Any) -> bool:
    """Does the driver say that a transaction is open?

    ``connection`` is the driver's, or ``None`` where it was lost. ``sqlite3`` and the
    drivers of PostgreSQL (https://www.psycopg.org/docs/connection.html) say it.
    """
    if hasattr(connection, "in_transaction"):
        return bool(connection.in_transaction)
    status = getattr(getattr(connection, "info", None), "transaction_status", 0)
    return int(status) in {ACTIVE, IN_TRANSACTION, IN_ERROR}


def _saving() -> bool:
    """Is the caller within a method of a view that saves something?"""
    frame: FrameType | None = sys._getframe(3)
    while frame is not None:
        name = frame.f_code.co_name
        if name in SAVES or name.startswith("action_"):
            return name != "action_view"
        frame = frame.f_back
    return False


def _above_methods_of(session: SASession, depth: int) -> int:
    """Return the depth of the first call outside of the session's own methods."""
    while sys._getframe(depth).f_locals.get("self") is session:
        depth += 1
    return depth


def _attribute(view: t.Any, name: str) -> t.Any:
    """Return an attribute, or ``None`` where it is a property that needs a request."""
    try:
        return getattr(view, name, None)
    except Exception:
        return None


def _close_uses(running: Running | None, session: int) -> None:
    """Mark a session as closed in a request, and in the requests that made it."""
    while running is not None:
        for use in running.request.uses:
            if use.session == session:
                use.closed = True
        running = running.outer


def _is_unanswered(running: Running | None) -> bool:
    """Has the view of this request, or of a request that made it, not answered yet?"""
    while running is not None and running.answered:
        running = running.outer
    return running is not None


def _guess_maker(session: SASession) -> Maker | None:
    """Return what made a session that is older than the recording, if that is known."""
    package = type(session).__module__.partition(".")[0]
    return Maker.FLASK_SQLALCHEMY if package == Maker.FLASK_SQLALCHEMY else None
