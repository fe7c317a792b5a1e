"""A request while it runs, and what drives it."""

import threading
import typing as t
from contextvars import ContextVar
from weakref import ref

from flask.ctx import AppContext
from sqlalchemy.engine import Dialect

from session_scoping.recording import Operation
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Unreturned

DRIVE = "session_scoping.drive"  # in the WSGI environment: what drives the request


class Drive(t.Protocol):
    """What drives a request, and follows its steps.

    It is a protocol because ``session_scoping.drive`` imports this package, and this
    package must not import it.
    """

    view: int
    operation: Operation
    writes: bool

    def begun(self, request: Request) -> None:
        """The request begins, or a request that it is redirected to begins."""

    def step(self, request: Request, sql: str, dialect: Dialect) -> None:
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
        "contexts",
        "taken",
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
        self.context: ref[AppContext] | None = None
        self.contexts: list[Place] = []  # where the app opened those inside of it
        self.taken: list[Unreturned] = []  # the connections that it has not returned

    def over(self) -> bool:
        """Has the request ended? Not while a test client preserves its context."""
        return bool(self.request.ended) and not self.preserved

    def held(self) -> bool:
        """Does a test client still hold the context? It does until its next request."""
        return self.context is not None and self.context() is not None


RUNNING: "ContextVar[Running | None]" = ContextVar("RUNNING", default=None)
