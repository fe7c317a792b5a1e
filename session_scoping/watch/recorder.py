"""The recorder: what watches all apps of this process."""

import typing as t
from contextlib import contextmanager
from contextlib import suppress

import flask
import sqlalchemy as sa
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Recording
from session_scoping.watch.connections import Connections
from session_scoping.watch.contexts import Contexts
from session_scoping.watch.errors import Errors
from session_scoping.watch.hooks import call
from session_scoping.watch.hooks import Event
from session_scoping.watch.hooks import set_watcher
from session_scoping.watch.hooks import Watcher
from session_scoping.watch.kept import Kept
from session_scoping.watch.kinds import patterns
from session_scoping.watch.places import Places
from session_scoping.watch.requests import Requests
from session_scoping.watch.sessions import Sessions
from session_scoping.watch.statements import Statements
from session_scoping.watch.tape import Tape
from session_scoping.watch.views import AdminView
from session_scoping.watch.views import Views


class Recorder:
    """Records the requests and sessions of all apps in this process.

    ``leave_alone`` holds shell-style patterns for ``file:line in function``. A session
    that is made at such a line is recorded, but breaks no rule. With ``own_contexts``
    each request runs in a context of its own, also where it is made inside an app
    context.

    ``start`` and ``stop`` begin and end the recording, as does a ``with`` block. Only
    the code that has started a recorder should stop it. ``recording`` is what was seen
    so far. One recorder watches at a time: starting another recorder pauses this one
    until the other one is stopped.
    """

    started: "t.ClassVar[list[Recorder]]" = []  # the last of them watches

    def __init__(
        self, leave_alone: t.Sequence[str] = (), own_contexts: bool = False
    ) -> None:
        self.places = Places(call.__code__)
        self._tape = Tape()
        self._kept = Kept(self._tape)
        alone = patterns(leave_alone, "leave_alone")
        self._sessions = Sessions(self._tape, self.places, self._kept, alone)
        self._views = Views(self._tape, self._sessions)
        self._requests = Requests(self._tape, self._views, own_contexts)
        self._contexts = Contexts(self._tape, self.places)
        self._statements = Statements(self._tape, self.places, self._sessions)
        self._errors = Errors(self._tape)
        connections = Connections(self._tape, self.places)
        self._listeners: dict[Event, t.Callable[..., None]] = {
            (SASession, "do_orm_execute"): self._sessions.on_orm_execute,
            (SASession, "after_attach"): self._sessions.on_attach,
            (SASession, "after_begin"): self._sessions.on_begin,
            (SASession, "before_commit"): self._statements.on_session_commit,
            (SASession, "after_soft_rollback"): self._statements.on_soft_rollback,
            (sa.engine.Engine, "before_cursor_execute"): self._statements.on_statement,
            (sa.engine.Engine, "do_execute"): self._statements.on_execute,
            (sa.engine.Engine, "do_executemany"): self._statements.on_execute,
            (sa.engine.Engine, "do_execute_no_params"): self._statements.on_execute,
            (sa.engine.Engine, "commit"): self._statements.on_commit,
            (sa.engine.Engine, "handle_error"): self._statements.on_error,
            (sa.pool.Pool, "checkout"): connections.on_checkout,
            (sa.pool.Pool, "checkin"): connections.on_checkin,
        }

        self._receivers: list[tuple[t.Any, t.Callable[..., None]]] = [
            (flask.request_finished, self._requests.on_answer),
            (flask.got_request_exception, self._requests.on_exception),
            (flask.message_flashed, self._errors.on_flash),
            (flask.appcontext_pushed, self._contexts.on_pushed),
            (flask.appcontext_popped, self._contexts.on_popped),
        ]

    @property
    def recording(self) -> Recording:
        """What was seen so far. It is complete when the recorder has stopped."""
        return self._tape.recording

    def clear(self) -> None:
        """Begin a new, empty recording.

        Of a session that is still alive only its origin stays known.
        """
        with self._tape.lock:
            self._tape.clear()
            self._kept.clear()
            self._sessions.clear()
            self._views.clear()
            self._requests.clear()

    # -------------------------------------------------------------- beginning and end

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to watch, or continue after ``stop``.

        Pauses the recorder that watches, if there is one. Raises ``RuntimeError`` if
        this recorder was started already.
        """
        if self in Recorder.started:
            raise RuntimeError("the recorder was started already: stop it first")
        if Recorder.started:
            Recorder.started[-1]._unhook()
        Recorder.started.append(self)
        self._hook()

    def stop(self) -> Recording:
        """Stop watching, find out what is still alive, and return the recording.

        Calling it again returns the same recording. The recorder that this one has
        paused watches again.
        """
        if self not in Recorder.started:
            return self.recording
        watches = Recorder.started[-1] is self
        self._sessions.find_threads_at_work()
        Recorder.started.remove(self)
        if watches:
            self._unhook()
            if Recorder.started:
                Recorder.started[-1]._hook()
        self.find_kept()
        self._views.check_handles()
        return self.recording

    def _hook(self) -> None:
        set_watcher(Watcher(self._requests, self._sessions, self._listeners))
        for signal, receiver in self._receivers:
            signal.connect(receiver)
        self._errors.start()

    def _unhook(self) -> None:
        set_watcher(None)
        self._errors.stop()
        for signal, receiver in self._receivers:
            signal.disconnect(receiver)

    # ------------------------------------------- for those who build and drive an app

    @contextmanager
    def building(self) -> t.Iterator[None]:
        """Mark the sessions that are made in a ``with`` block: an app is built there.

        Such a session breaks a rule if it is still open at the end.
        """
        self._sessions.building = True
        try:
            yield
        finally:
            self._sessions.building = False

    def learn(self, app: flask.Flask) -> dict[str, int]:
        """Record an app's admin views. Returns their numbers by endpoint."""
        return self._views.learn(app)

    def view(self, number: int) -> AdminView:
        """Return the view that has a number which ``learn`` gave."""
        return self._views.known[number]

    @property
    def engines(self) -> list[sa.engine.Engine]:
        """The engines that sessions have used so far."""
        return list(self._sessions.engines)

    def find_kept(self) -> None:
        """Record which sessions and instances are still alive, and what keeps them.

        Collects garbage first. What was found is not looked for again.
        """
        self._kept.find(self._views.known)

    def set_aside(self) -> None:
        """Keep later requests from getting the sessions that could not be closed.

        Whether they would get one is a matter of chance: see ``Sessions.set_aside``.
        """
        self._sessions.set_aside()

    def close_living(self) -> None:
        """Close the sessions that are still alive, unrecorded: they may hold locks.

        Records before that what keeps them. The recorder has to be the one that
        watches.
        """
        living = [reference for _, reference in self._kept.living]
        self.find_kept()
        self._unhook()
        for reference in living:
            session = reference()
            if session is not None:
                with suppress(Exception):  # of the app's own session class, or database
                    session.close()
        self._hook()
