"""Sessions, from their birth to their end, and the requests that use them."""

import sys
import threading
import typing as t
from fnmatch import fnmatch
from itertools import count
from types import FrameType
from weakref import ref
from weakref import WeakKeyDictionary

import flask
import sqlalchemy as sa
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.watch.connections import in_memory
from session_scoping.watch.contexts import current_context
from session_scoping.watch.kept import Kept
from session_scoping.watch.kinds import is_a
from session_scoping.watch.places import Places
from session_scoping.watch.places import where
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape

REMOVE = scoped_session.remove.__code__
Scope = tuple[dict[t.Any, t.Any], int]  # a registry of sessions, and a key of it
MOST_ASKED = 100  # statements of a transaction to remember
MARK = "_session_scoping"  # an attribute of sessions and of their connections


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
        "outside",
        "asked",
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
        self.outside: Place | None = None  # where it was used outside of any request
        # What another thread has asked in this transaction, outside of any request, and
        # how many requests there were then.
        self.asked: dict[int, int] = {}
        self.late = False  # was it first used when the view had answered?


class Sessions:
    """Records each session: what made it, which requests use it, and when it closes."""

    def __init__(
        self, tape: Tape, places: Places, kept: Kept, leave_alone: t.Sequence[str]
    ) -> None:
        """``leave_alone``: patterns of sessions that break no rule."""
        self.tape = tape
        self.places = places
        self.kept = kept
        self.leave_alone = leave_alone
        self.building = False  # is an app being built?
        self.thread = threading.get_ident()
        self._registries: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._numbers = count()
        self.clear()

    def clear(self) -> None:
        """Forget the engines. A session that is alive is recorded when it is used."""
        self.handles: list[t.Callable[[], object]] = []  # of the views, by number
        self.engines: dict[sa.engine.Engine, int] = {}
        self._bound: list[tuple[int, ...]] = []  # shared by all sessions of an engine
        self._stuck: list[Scope] = []  # that have a session which could not be closed
        self._threads: list[tuple[Outside, ref[threading.Thread]]] = []

    def is_at_startup(self) -> bool:
        """Is an app being built on this thread?"""
        return self.building and threading.get_ident() == self.thread

    # ----------------------------------------------------------------- birth and end

    def number(self, session: SASession) -> int:
        """Return the number of a session in the recording."""
        return self.watched(session).session.number

    def marked(self, session: SASession) -> Watched | None:
        """Return what is known of a session, which an earlier recording may know."""
        return session.__dict__.get(MARK)

    def watched(self, session: SASession) -> Watched:
        """Return what is known of a session. Records it if it is older."""
        watched = self.marked(session)
        if watched is None or watched.recording is not self.tape.recording:
            watched = self._adopt(session, watched)
        return watched

    def born(self, session: SASession) -> None:
        """Record a session that is being made."""
        running = self.tape.current()
        maker, place, own = self.places.birth()
        seen = Session(0, maker, place=place, own=own, empty=True)
        seen.registry = self._number_of_registry()
        if running is not None:
            seen.born_in = running.request.number
            seen.in_stream = running.answered and running.streams
            seen.context = running.contexts[-1] if running.contexts else None
        else:
            seen.at_startup = self.is_at_startup()
        if maker == Maker.HAND:
            seen.in_mapper_event = self.places.in_flush()
            seen.handle_of = self._handle_that_runs()
        self._write_down(session, seen)

    def _number_of_registry(self) -> int | None:
        """Return the number of the ``scoped_session`` that makes a session."""
        scoped = self.places.registry()
        if scoped is None:
            return None
        return self._registries.setdefault(scoped, next(self._numbers))

    def _handle_that_runs(self) -> int | None:
        """Return the first view whose handle runs a method of its own."""
        running = [*self.places.running()]
        return next(
            (
                number
                for number, handle in enumerate(self.handles)
                if any(handle() is each for each in running)
            ),
            None,
        )

    def _adopt(self, session: SASession, before: Watched | None) -> Watched:
        """Record a session that is older than the recording.

        What made it is known only if an earlier recording has seen that.
        """
        seen = Session(0, _guess_maker(session), empty=not session.identity_map)
        if before is not None:
            known = before.session
            seen.empty = known.empty and before.use is None
            seen.maker, seen.place, seen.own = known.maker, known.place, known.own
            seen.registry = known.registry
            seen.at_startup = known.at_startup
        return self._write_down(session, seen)

    def _write_down(self, session: SASession, seen: Session) -> Watched:
        if self.leave_alone:
            seen.left_alone = any(
                fnmatch(str(place), pattern)
                for place in (seen.place, seen.own)
                for pattern in self.leave_alone
            )
        recording = self.tape.recording
        watched = Watched(recording, seen)
        with self.tape.lock:
            recording.sessions.append(seen)
            number, requests = len(recording.sessions) - 1, recording.requests
            while recording.sessions[number] is not seen:  # a finalizer has made others
                number -= 1
            # Share equal integers: a long recording holds many of them.
            seen.number = requests[number].number if number < len(requests) else number
            self.kept.add_session(seen.number, session)
        setattr(session, MARK, watched)
        return watched

    def closing(self, session: SASession) -> None:
        """Remember what a session has loaded before it is closed."""
        watched = self.marked(session)
        if watched is None or watched.recording is not self.tape.recording:
            return
        if watched.running is not None or self.building:
            self.kept.add_instances(watched.running, watched.session.number, session)

    def closed(self, session: SASession, error: BaseException | None) -> None:
        """Record that a session was closed, or failed to close."""
        watched = self.marked(session)
        if watched is None or watched.recording is not self.tape.recording:
            return
        close_error = where(error) if error is not None else ""
        if error is not None:
            self._stuck += stuck(session)
        watched.session.close_error = close_error
        running, user, use = self.tape.current(), watched.running, watched.use
        watched.closed = watched.session.closed = True
        watched.closed_in = running
        watched.outside = None
        watched.asked.clear()
        frame = self.places.outside(session)
        watched.closed_at, unsolicited = None, False
        if _is_unanswered(running) or _is_unanswered(user):
            watched.closed_at, unsolicited = self._closed_by(frame)
        if user is not None and use is not None:
            use.close_error = close_error or use.close_error
            use.closed_at = self.places.here(frame)[1]
            if not user.answered:
                use.closed_early = watched.closed_at
                use.closed_unsolicited = unsolicited
                if running is user and watched.session.context is None:
                    use.closed_with = user.contexts[-1] if user.contexts else None
        if user is not None and use is not None and not user.over():
            use.closed = True
        else:
            watched.session.released = self.tape.clock()
        if user is not running:  # a nested request has used it last
            _close_uses(running, watched.session.number)

    def set_aside(self) -> None:
        """Keep later requests from getting the sessions that could not be closed.

        They stay in their registries. The address of a context was their key. A later
        context has the same address at random.
        """
        for registry, key in self._stuck:
            if key in registry:
                registry[object()] = registry.pop(key)
        self._stuck.clear()

    def _closed_by(self, frame: FrameType | None) -> tuple[Place | None, bool]:
        """Return the line that closes a session, and if that is unsolicited."""
        place, own = self.places.here(frame)
        by_admin = place is not None and place.of_flask_admin
        unsolicited = by_admin or not self.places.is_by_other_code(frame)
        return place if unsolicited else own or place, unsolicited

    # -------------------------------------------------------------------------- uses

    def on_orm_execute(self, state: ORMExecuteState) -> None:
        """Record a use of a session that is in a transaction already.

        It may be older than the recording. It may fail before it sends a statement.
        """
        session = state.session
        if not session.in_transaction():
            return
        if MARK not in session.__dict__:
            arguments = dict(state.bind_arguments)
            connection = session.connection(bind_arguments=arguments)
            setattr(connection, MARK, ref(session))
        self.on_attach(session, None)

    def on_attach(self, session: SASession, instance: object) -> None:
        """Record that an instance was added to a session, or loaded by it."""
        bind = session.bind
        if not (is_a(bind, sa.engine.Connection) and self._is_shared(session, bind)):
            self._use(self.watched(session))

    def on_begin(
        self, session: SASession, transaction: object, connection: sa.engine.Connection
    ) -> None:
        """Record that a session begins a transaction."""
        watched = self.watched(session)
        watched.asked.clear()
        if self._joins(session, connection):
            # The connection goes on to work for the other session.
            self.use_connection(session, connection)
            if watched.use is not None:
                watched.use.joined = True
        elif not self._is_shared(session, connection):
            setattr(connection, MARK, ref(session))
            self.use_connection(session, connection)
        elif watched.session.in_mapper_event:
            self._use(watched)  # it should not be there, and has to be closed

    def _is_shared(self, session: SASession, connection: sa.engine.Connection) -> bool:
        """Does a session work in the transaction of another, on its connection?

        It is part of the other session: it sees all that the other has changed, and
        ends with it.
        """
        owner = self.of(connection)
        return (
            owner is not None
            and owner is not session
            and owner.in_transaction()
            and not self.is_foreign(owner)
        )

    def _joins(self, session: SASession, connection: sa.engine.Connection) -> bool:
        """Does a session begin in the transaction of a concurrent request?

        The app has given one connection to the sessions of both requests.
        """
        owner = self.of(connection)
        return (
            owner is not None
            and owner is not session
            and owner.in_transaction()
            and is_a(owner.bind, sa.engine.Connection)
            and self._is_concurrent(owner)
        )

    def _is_concurrent(self, session: SASession) -> bool:
        """Is a session used by a request that runs beside this one?"""
        used_by, running = self.watched(session).running, self.tape.current()
        if used_by is None or running is None or used_by.over():
            return False
        outer: Running | None = running
        while outer is not None and outer is not used_by:
            outer = outer.outer
        return outer is None

    def is_foreign(self, session: SASession) -> bool:
        """Was a session given its connection, and not used by this request before?

        A test may give one connection to all sessions, its own and those of its
        requests, to roll it back at the end. They are not part of each other.
        """
        used_by = self.watched(session).running
        if used_by is self.tape.current():
            return False
        given = is_a(session.bind, sa.engine.Connection)
        left = used_by is not None and session.in_transaction()
        return given and (not left or self._is_concurrent(session))

    def of(self, connection: sa.engine.Connection) -> SASession | None:
        """Return the session that a connection works for."""
        known: ref[SASession] | None = connection.__dict__.get(MARK)
        return known() if known is not None else None

    def use_connection(
        self, session: SASession, connection: sa.engine.Connection
    ) -> None:
        """Record a use of a session, and the engine of its connection."""
        watched = self.watched(session)
        engine = connection.engine
        number = self.engines.get(engine)
        if number is None:
            number = self.engines[engine] = len(self.engines)
            self._bound.append((number,))
            url: sa.engine.URL = engine.url
            self.tape.recording.engines.append(url.render_as_string(hide_password=True))
            if in_memory(url):
                self.tape.recording.in_memory.append(number)
        engines = watched.session.engines
        if number not in engines:
            bound = self._bound[number]
            watched.session.engines = (*engines, number) if engines else bound
        self._use(watched)

    def _use(self, watched: Watched) -> None:
        running = self.tape.current()
        if threading.get_ident() != (running.thread if running else self.thread):
            self._use_outside(watched, running)
        if running is None:
            watched.closed = watched.session.closed = False
            if watched.outside is None:
                place, own = self.places.here()
                watched.outside = own or place
            watched.session.empty &= watched.use is not None
            return
        if watched.running is running and not watched.closed:
            return
        place, own = self.places.here()
        request, number = running.request, watched.session.number
        use = next((known for known in request.uses if known.session == number), None)
        if use is None:
            use = Use(number, place, own, close_error=watched.session.close_error)
            use.outside = watched.outside
            if threading.get_ident() != running.thread:
                use.thread = threading.current_thread().name
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
        if any(outside.thread == name for outside in seen.outside):
            return
        place, own = self.places.here()
        by_admin = place is not None and place.of_flask_admin
        threads = {current.thread for current in list(self.tape.running.values())}
        unsolicited = by_admin and not self.places.is_by_other_thread(threads)
        if running is None or unsolicited:
            context = flask.has_app_context()
            meanwhile = self.tape.meanwhile()
            outside = Outside(place, own, name, meanwhile, unsolicited, context)
            before = watched.running
            if running is None and before is not None and before.over():
                outside.served = before.request.number
            seen.outside = [*seen.outside, outside]
            self._threads.append((outside, ref(threading.current_thread())))

    def ask(self, session: SASession, sql: str, parameters: object) -> None:
        """Record a statement that a thread repeats in the same transaction.

        It counts if a request has ended meanwhile: what that request has committed the
        thread does not see.
        """
        if threading.get_ident() == self.thread:
            return
        watched, requests = self.watched(session), self.tape.recording.requests
        question, now = hash((sql, repr(parameters))), len(requests)
        first = watched.asked.get(question, now)
        if len(watched.asked) < MOST_ASKED:
            watched.asked[question] = first
        if any(request.ended for request in requests[first:]):
            for outside in watched.session.outside:
                outside.repeats = True

    def find_threads_at_work(self) -> None:
        """Record which threads are at work. What they use they may close later."""
        for outside, known in self._threads:
            thread = known()
            outside.at_work = (
                thread is not None
                and thread.is_alive()
                and thread.ident is not None
                and self.places.is_at_work(sys._current_frames().get(thread.ident))
            )


def stuck(session: SASession) -> t.Iterator[Scope]:
    """Yield where a failed ``scoped_session.remove()`` leaves a session.

    Only if the key is the address of a context.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code is not REMOVE:
        frame = frame.f_back
    if frame is None or not flask.has_app_context():
        return
    registry = getattr(frame.f_locals["self"].registry, "registry", None)
    key = id(current_context())
    if isinstance(registry, dict) and registry.get(key) is session:
        yield registry, key


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
