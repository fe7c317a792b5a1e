"""What notifies the recorder that watches: SQLAlchemy's events, and patches.

One recorder is notified at a time. Without a recorder nothing is patched, but for
``Session.__init__`` where a monitor watches production.

The first recorder of a process listens to the events, for as long as the process runs.
SQLAlchemy raises an error in a thread that is in an event while a listener is added or
removed.

Everything else is seen through Flask's signals. The patched methods have no signal and
no event that says the same:

- ``Flask.__call__``: Flask's documented place for middleware is ``app.wsgi_app``. That
  needs the app, and a recorder watches all apps of the process, also those that are
  made later. Flask's signals do not see the end of a streamed response.
- ``Session.__init__``: no event says that a session is made, or by which line.
- ``Session.close``, ``invalidate`` and ``reset``: ``after_transaction_end`` and
  ``persistent_to_detached`` see the end of a transaction and the instances. A session
  that is closed after a commit may have neither. No event sees that a close fails.
"""

import typing as t
from functools import partial

import flask
from sqlalchemy import event
from sqlalchemy.orm import Session as SASession

from session_scoping.watch.own_context import answer_apart
from session_scoping.watch.requests import Requests
from session_scoping.watch.running import DRIVE
from session_scoping.watch.running import RUNNING
from session_scoping.watch.running import Running
from session_scoping.watch.sessions import Sessions

Event = tuple[object, str]  # of SQLAlchemy: a class, and the name of the event


class Watcher(t.NamedTuple):
    """The parts of a recorder that are notified."""

    requests: Requests
    sessions: Sessions
    listeners: dict[Event, t.Callable[..., None]]


watcher: Watcher | None = None
listening: set[Event] = set()  # to which this process listens
births: list[t.Callable[[SASession], None]] = []  # notified of each new session


def set_watcher(new: Watcher | None) -> None:
    """Notify this watcher from now on. ``None`` removes the patches."""
    global watcher
    watcher = new
    for patch in PATCHES:
        if new is not None:
            patch.do()
        elif not (patch is INIT and births):
            patch.undo()
    for each in new.listeners if new is not None else ():
        if each not in listening:
            listening.add(each)
            event.listen(*each, partial(notify_watcher, each))


def notify_watcher(of: Event, *arguments: t.Any) -> None:
    """Notify the recorder that watches, if there is one, of an event of SQLAlchemy."""
    if active := watcher:
        active.listeners[of](*arguments)


def notify_of_births(notify: t.Callable[[SASession], None]) -> None:
    """Call ``notify`` with each new session of this process, for as long as it runs."""
    births.append(notify)
    INIT.do()


class Patch:
    """A method that is replaced while a recorder watches."""

    def __init__(self, owner: type, name: str, make: t.Callable[..., t.Any]) -> None:
        self.owner = owner
        self.name = name
        self.original = getattr(owner, name)
        self.replacement = make(self.original)

    def do(self) -> None:
        if getattr(self.owner, self.name) is self.original:
            setattr(self.owner, self.name, self.replacement)

    def undo(self) -> None:
        """Restore the method, unless other code has replaced it since."""
        if getattr(self.owner, self.name) is self.replacement:
            setattr(self.owner, self.name, self.original)


class Body:
    """A response: the request is over when the stream ends, or when it is closed.

    Of a response to HEAD nothing is streamed. What it would stream ends when the server
    closes the response. So does what a middleware does at the end.
    """

    def __init__(
        self, requests: Requests, running: Running, body: t.Iterable[bytes]
    ) -> None:
        self.requests = requests
        self.running = running
        self.body = body
        self.chunks = iter(body)
        is_head = running.request.method == "HEAD"
        self.ends_when_read = running.streams and not is_head

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        token = RUNNING.set(self.running)
        try:
            return next(self.chunks)
        except BaseException as error:
            over = isinstance(error, StopIteration | GeneratorExit)
            if not over or self.ends_when_read:
                self.requests.end(self.running, None if over else error)
            raise
        finally:
            RUNNING.reset(token)

    def close(self) -> None:
        token = RUNNING.set(self.running)
        try:
            close = getattr(self.body, "close", None)
            if close is not None:
                close()
        finally:
            self.requests.end(self.running)
            RUNNING.reset(token)


def call(
    app: flask.Flask, environ: dict[str, t.Any], start_response: t.Callable[..., t.Any]
) -> t.Iterable[bytes]:
    """Replaces ``Flask.__call__``, and notifies of the request."""
    active = watcher
    if active is None:  # it has stopped since another thread looked up this method
        return t.cast(t.Iterable[bytes], CALL.original(app, environ, start_response))
    answer = partial(_answer, active)
    if active.requests.own_contexts and RUNNING.get() is None:
        return answer_apart(answer, app, environ, start_response)
    return answer(app, environ, start_response)


def _answer(
    active: Watcher,
    app: flask.Flask,
    environ: dict[str, t.Any],
    start_response: t.Callable[..., t.Any],
) -> t.Iterable[bytes]:
    """Call the app, and notify of the request."""
    running = active.requests.begin(app, environ)
    token = RUNNING.set(running)
    try:
        body = CALL.original(app, environ, start_response)
    except BaseException as error:
        active.requests.end(running, error)
        raise
    finally:
        RUNNING.reset(token)
    if running.streams or (DRIVE in environ and "wsgi_app" in vars(app)):
        return Body(active.requests, running, body)
    active.requests.end(running)
    return t.cast(t.Iterable[bytes], body)


def watched_init(original: t.Callable[..., None]) -> t.Callable[..., None]:
    """Return a replacement of ``Session.__init__``, which notifies of the session."""

    def init(session: SASession, *args: t.Any, **options: t.Any) -> None:
        original(session, *args, **options)
        if active := watcher:
            active.sessions.born(session)
        for notify in births:
            notify(session)

    return init


def watched_close(original: t.Callable[..., None]) -> t.Callable[..., None]:
    """Return a replacement of a method that closes a session. It notifies of that."""

    def close(session: SASession, *args: t.Any, **options: t.Any) -> None:
        if active := watcher:
            active.sessions.closing(session)
        error: BaseException | None = None
        try:
            original(session, *args, **options)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if active:
                active.sessions.closed(session, error)

    return close


CALL = Patch(flask.Flask, "__call__", lambda original: call)
INIT = Patch(SASession, "__init__", watched_init)
PATCHES = [
    CALL,
    INIT,
    *(
        Patch(SASession, name, watched_close)
        for name in ("close", "invalidate", "reset")
        if hasattr(SASession, name)
    ),
]
