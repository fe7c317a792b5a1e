"""Sessions, from their birth to their end, and the requests that use them."""

import threading
import typing as t
from fnmatch import fnmatch
from weakref import ref

import sqlalchemy as sa
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.watch.kept import Kept
from session_scoping.watch.places import Places
from session_scoping.watch.places import where
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape

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
        self.clear()

    def clear(self) -> None:
        """Forget the engines. A session that is alive is recorded when it is used."""
        self.engines: dict[sa.engine.Engine, int] = {}
        self._bound: list[tuple[int, ...]] = []  # shared by all sessions of an engine

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
        if self.leave_alone:
            seen.left_alone = any(
                fnmatch(str(place), pattern)
                for place in (seen.place, seen.own)
                for pattern in self.leave_alone
            )
        recording = self.tape.recording
        watched = Watched(recording, seen)
        with self.tape.lock:
            number, requests = len(recording.sessions), recording.requests
            # Share equal integers: a long recording holds many of them.
            seen.number = requests[number].number if number < len(requests) else number
            recording.sessions.append(seen)
            self.kept.add_session(seen.number, session)
        setattr(session, MARK, watched)
        return watched

    def closing(self, session: SASession) -> None:
        """Remember what a session has loaded before it is closed."""
        watched = self.marked(session)
        if watched is None or watched.recording is not self.tape.recording:
            return
        if watched.running is not None:
            self.kept.add_instances(watched.running, watched.session.number, session)

    def closed(self, session: SASession, error: BaseException | None) -> None:
        """Record that a session was closed, or failed to close."""
        watched = self.marked(session)
        if watched is None or watched.recording is not self.tape.recording:
            return
        close_error = where(error) if error is not None else ""
        watched.session.close_error = close_error
        running, user, use = self.tape.current(), watched.running, watched.use
        watched.closed = watched.session.closed = True
        watched.closed_in = running
        watched.closed_at, unsolicited = None, False
        if _is_unanswered(running) or _is_unanswered(user):
            watched.closed_at, unsolicited = self._closed_by(session)
        if user is not None and use is not None:
            use.close_error = close_error or use.close_error
            if not user.answered:
                use.closed_early = watched.closed_at
                use.closed_unsolicited = unsolicited
        if user is not None and use is not None and not user.over():
            use.closed = True
        else:
            watched.session.released = self.tape.clock()
        if user is not running:  # a nested request has used it last
            _close_uses(running, watched.session.number)

    def _closed_by(self, session: SASession) -> tuple[Place | None, bool]:
        """Return the line that closes a session, and if that is unsolicited."""
        frame = self.places.outside(session)
        place, own = self.places.here(frame)
        by_admin = place is not None and place.of_flask_admin
        unsolicited = by_admin or not self.places.is_by_other_code(frame)
        return place if unsolicited else own or place, unsolicited

    # -------------------------------------------------------------------------- uses

    def on_orm_execute(self, state: ORMExecuteState) -> None:
        """Find a session whose transaction is older than the recording."""
        session = state.session
        if MARK not in session.__dict__ and session.in_transaction():
            arguments = dict(state.bind_arguments)
            connection = session.connection(bind_arguments=arguments)
            setattr(connection, MARK, ref(session))
            self.watched(session)

    def on_attach(self, session: SASession, instance: object) -> None:
        """Record that an instance was added to a session, or loaded by it."""
        self._use(self.watched(session))

    def on_begin(
        self, session: SASession, transaction: object, connection: sa.engine.Connection
    ) -> None:
        """Record that a session begins a transaction."""
        setattr(connection, MARK, ref(session))
        self.use_connection(session, connection)

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
            return
        if watched.running is running and not watched.closed:
            return
        place, own = self.places.here()
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
        if any(outside.thread == name for outside in seen.outside):
            return
        now = [current.request for current in list(self.tape.running.values())]
        alike = len({(request.view, request.operation) for request in now}) == 1
        place, own = self.places.here()
        by_admin = place is not None and place.of_flask_admin
        threads = {current.thread for current in list(self.tape.running.values())}
        unsolicited = by_admin and not self.places.is_by_other_thread(threads)
        if running is None or unsolicited:
            request = now[0].number if alike else None
            seen.outside = [
                *seen.outside,
                Outside(place, own, name, request, unsolicited),
            ]


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
