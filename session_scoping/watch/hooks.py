"""Patches ``Flask.__call__``, and how a SQLAlchemy session is made and closed.

The patches notify one watcher at a time. Without a watcher nothing is patched.
"""

import threading
import typing as t
from contextvars import ContextVar
from weakref import ref

import flask
from sqlalchemy.orm import Session as SASession

from session_scoping.recording import Operation
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request

DRIVE = "session_scoping.drive"  # in the WSGI environment
PRESERVE = "werkzeug.debug.preserve_context"  # there too: a test keeps its contexts


class Drive(t.Protocol):
    """What drives a request, and follows its steps."""

    view: int
    operation: Operation
    writes: bool

    def begun(self, request: Request) -> None:
        """The request begins, or a request that it is redirected to begins."""

    def step(self, request: Request, sql: str) -> None:
        """A statement or a commit is about to be sent. Raise to prevent that."""


class Running:
    """A request that is running."""

    __slots__ = (
        "recording",
        "request",
        "drive",
        "answered",
        "streams",
        "preserved",
        "context",
        "unreturned",
        "outer",
        "thread",
    )

    def __init__(
        self,
        recording: Recording,
        request: Request,
        drive: Drive | None,
        preserved: bool,
        outer: "Running | None",
    ) -> None:
        self.outer = outer  # the request that made this one
        self.thread = threading.get_ident()
        self.recording = recording
        self.request = request
        self.drive = drive
        self.answered = False
        self.streams = False
        self.preserved = preserved
        self.context: ref[t.Any] | None = None
        self.unreturned: Place | None = None  # where its oldest connection was taken

    def over(self) -> bool:
        """Has the request ended? Not while a test client preserves its context."""
        return bool(self.request.ended) and not self.preserved

    def held(self) -> bool:
        """Does a test client still hold the context? It does until its next request."""
        return self.context is not None and self.context() is not None


RUNNING: "ContextVar[Running | None]" = ContextVar("RUNNING", default=None)


class Watcher(t.Protocol):
    """Is notified of requests and sessions."""

    def begin(self, app: flask.Flask, environ: dict[str, t.Any]) -> Running:
        """A request begins."""

    def end(self, running: Running, error: BaseException | None = None) -> None:
        """The response is complete, or was given up. May be called twice."""

    def born(self, session: SASession) -> None:
        """A session has been made."""

    def closing(self, session: SASession) -> None:
        """A session is about to be closed."""

    def closed(self, session: SASession, error: BaseException | None) -> None:
        """A session has been closed, or could not be."""


watcher: Watcher | None = None


def set_watcher(new: Watcher | None) -> None:
    """Notify this watcher from now on. ``None`` removes the patches."""
    global watcher
    watcher = new
    for patch in PATCHES:
        if new is None:
            patch.undo()
        else:
            patch.do()


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
    """A streamed response: the request is over when it ends, or is closed."""

    def __init__(
        self, watcher: Watcher, running: Running, body: t.Iterable[bytes]
    ) -> None:
        self.watcher = watcher
        self.running = running
        self.body = body
        self.chunks = iter(body)

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        token = RUNNING.set(self.running)
        try:
            return next(self.chunks)
        except BaseException as error:
            over = isinstance(error, StopIteration | GeneratorExit)
            self.watcher.end(self.running, None if over else error)
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
            self.watcher.end(self.running)
            RUNNING.reset(token)


def call(
    app: flask.Flask, environ: dict[str, t.Any], start_response: t.Callable[..., t.Any]
) -> t.Iterable[bytes]:
    active = watcher
    if active is None:  # it has stopped since another thread looked up this method
        return t.cast(t.Iterable[bytes], CALL.original(app, environ, start_response))
    running = active.begin(app, environ)
    token = RUNNING.set(running)
    try:
        body = CALL.original(app, environ, start_response)
    except BaseException as error:
        active.end(running, error)
        raise
    finally:
        RUNNING.reset(token)
    if running.streams:
        return Body(active, running, body)
    active.end(running)
    return t.cast(t.Iterable[bytes], body)


def watched_init(original: t.Callable[..., None]) -> t.Callable[..., None]:
    def init(session: SASession, *args: t.Any, **options: t.Any) -> None:
        original(session, *args, **options)
        if active := watcher:
            active.born(session)

    return init


def watched_close(original: t.Callable[..., None]) -> t.Callable[..., None]:
    def close(session: SASession, *args: t.Any, **options: t.Any) -> None:
        if active := watcher:
            active.closing(session)
        error: BaseException | None = None
        try:
            original(session, *args, **options)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if active:
                active.closed(session, error)

    return close


CALL = Patch(flask.Flask, "__call__", lambda original: call)
PATCHES = [
    CALL,
    Patch(SASession, "__init__", watched_init),
    *(
        Patch(SASession, name, watched_close)
        for name in ("close", "invalidate", "reset")
        if hasattr(SASession, name)
    ),
]
