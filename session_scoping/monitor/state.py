"""What the monitor keeps of a request, a session and a connection while they last.

None of these refers to a session, a connection or an instance of the app but weakly.
"""

import sys
import threading
import typing as t
from collections import deque
from contextvars import ContextVar
from time import monotonic
from types import CodeType
from types import FrameType
from weakref import ref

import flask
from sqlalchemy.orm import Session

from session_scoping.monitor.findings import Findings
from session_scoping.monitor.findings import Source
from session_scoping.monitor.settings import Settings
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Word
from session_scoping.watch.places import Places
from session_scoping.watch.places import runs_for_a_task

MARK = "_session_scoping_monitor"  # on sessions, and in the info of connections
RECENT = 100  # requests to draw
SPANS = 40  # connections of a request to draw

clock = monotonic


def call(
    app: t.Callable[..., t.Iterable[bytes]],
    environ: dict[str, t.Any],
    start_response: t.Callable[..., t.Any],
) -> t.Iterable[bytes]:
    """Call the app. The frames above do not count where a line is searched."""
    return app(environ, start_response)


places = Places(call.__code__)


class SpanKind(Word):
    """Does a session hold a connection, or does code of the app hold it by hand?"""

    SESSION = "session"
    CONNECTION = "connection"


class Span(t.NamedTuple):
    """How long a request held a connection. ``ended`` is ``None`` if it never did."""

    kind: SpanKind
    began: float
    ended: float | None
    place: Place | None


class App:
    """A watched app: its settings, its last requests and its findings."""

    def __init__(
        self, app: flask.Flask, settings: Settings, findings: Findings
    ) -> None:
        self.flask = ref(app)
        self.name = app.import_name
        self.settings = settings
        self.findings = findings
        self.recent: deque[Request] = deque(maxlen=RECENT)
        self.requests = 0
        self.removes = False  # has a request of it removed its `scoped_session`?
        self.checked = False  # was it checked that there is something to watch?


class Request:
    """A request of a watched app, until its response is complete."""

    __slots__ = (
        "app",
        "method",
        "outer",
        "sampled",
        "ident",
        "began",
        "ended",
        "inside",
        "answered",
        "streams",
        "closes",
        "status",
        "in_context",
        "pushed_at",
        "failed",
        "failed_at",
        "lives",
        "spans",
        "findings",
        "_environ",
        "_endpoint",
    )

    def __init__(
        self,
        app: "App",
        environ: dict[str, t.Any],
        outer: "Request | None",
        sampled: bool,
    ) -> None:
        self.app = app
        self.method: str = environ.get("REQUEST_METHOD", "")
        self._environ: dict[str, t.Any] | None = environ  # until it is answered
        self._endpoint = ""
        self.outer = outer  # the request that made this one
        self.sampled = sampled  # are its sessions watched?
        self.ident = threading.get_ident()
        self.began = clock()
        self.ended: float | None = None
        self.inside = True  # does the app still work on the answer?
        self.answered = False  # has the view answered?
        self.streams = False
        self.closes = False  # does the server say when it has sent the response?
        self.status = 0
        self.in_context = False  # was it made inside an app context?
        self.pushed_at: Place | None = None  # where that was pushed, if it is to stay
        self.failed = False  # did an exception end its view?
        self.failed_at: Place | None = None  # the line of the app that raised it
        # Tuples: of the last requests, the garbage collector would visit each list.
        self.lives: tuple[Life, ...] = ()  # the sessions that it uses
        self.spans: tuple[Span, ...] = ()
        self.findings: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        """The endpoint, or an empty string. Werkzeug's request has it meanwhile."""
        if self._environ is None:
            return self._endpoint
        return getattr(self._environ.get("werkzeug.request"), "endpoint", None) or ""

    def answer(self) -> None:
        """Note that its view has answered."""
        self.answered = True
        self._endpoint, self._environ = self.endpoint, None

    def finish(self, now: float) -> None:
        """Note that its response is complete, whether its view has answered or not."""
        self.ended = now
        if self._environ is not None:
            self._endpoint, self._environ = self.endpoint, None

    @property
    def name(self) -> str:
        """What was requested, without any value."""
        return f"{self.method} {self.endpoint or 'an unknown endpoint'}"

    def outermost(self) -> "Request":
        request = self
        while request.outer is not None:
            request = request.outer
        return request


CURRENT: "ContextVar[Request | None]" = ContextVar("CURRENT", default=None)


def current() -> Request | None:
    """Return the request that runs here. What it has started may outlive it."""
    request = CURRENT.get()
    return None if request is None or request.ended is not None else request


class Life:
    """A session: what made it, and the request that used it last."""

    __slots__ = (
        "session",
        "maker",
        "place",
        "own",
        "born_in",
        "in_stream",
        "request",
        "ident",
        "changed",
        "unsaved",
        "taken",
        "source",
    )

    def __init__(
        self,
        session: Session,
        maker: Maker | None,
        place: Place | None,
        own: Place | None,
        born_in: Request | None,
    ) -> None:
        self.session = ref(session)
        self.maker = maker
        self.place = place
        self.own = own
        self.born_in = born_in
        self.in_stream = born_in is not None and born_in.answered and born_in.streams
        self.request: Request | None = None
        self.ident = 0  # of the thread on which that request has used it
        self.changed = False  # has it written what is not committed?
        self.unsaved = False  # had it changes to save when the view had answered?
        self.taken: Taken | None = None
        self.source: Source | None = None  # of the finding that it was reported with


class Worker:
    """The thread, and the greenlet, that runs some code."""

    __slots__ = ("ident", "name", "thread", "greenlet", "awaited")

    def __init__(self) -> None:
        thread = threading.current_thread()
        self.ident = threading.get_ident()
        self.name = thread.name  # the thread may have ended when it is asked for
        self.thread = ref(thread)
        self.greenlet: ref[t.Any] | None = None
        self.awaited = False  # did a task of asyncio wait for it?
        if known := sys.modules.get("greenlet"):
            now = known.getcurrent()
            # Such a greenlet ends when the call returns. Its task is unknown.
            self.awaited = runs_for_a_task(now)
            if now.parent is not None and not self.awaited:
                self.greenlet = ref(now)

    @property
    def greenlet_name(self) -> str:
        """The name of the greenlet, or an empty string if there is none."""
        greenlet = self.greenlet() if self.greenlet is not None else None
        if greenlet is None:
            return ""
        return str(getattr(greenlet, "name", "") or f"greenlet {id(greenlet):#x}")

    def alive(self) -> bool:
        """Is it still there? It may be at work, or idle."""
        if self.greenlet is not None:
            greenlet = self.greenlet()
            return greenlet is not None and not greenlet.dead
        thread = self.thread()
        return thread is not None and thread.is_alive()

    def runs_elsewhere(self) -> bool:
        """Does its greenlet run now, on another thread? It has no frame to look at."""
        greenlet = self.greenlet() if self.greenlet is not None else None
        if greenlet is None or greenlet.gr_frame is not None:
            return False
        return greenlet is not sys.modules["greenlet"].getcurrent()

    def frame(self) -> FrameType | None:
        """Return the frame in which it waits or runs, or ``None``."""
        if self.greenlet is not None:
            return getattr(self.greenlet(), "gr_frame", None)
        return sys._current_frames().get(self.ident)


class OfThread(threading.local):
    """What is remembered of the thread that runs."""

    worker: Worker | None = None


_of_thread = OfThread()


def worker(request: Request | None) -> Worker:
    """Return what runs. To ask for the greenlet takes long: a request runs in its own.

    gevent says the number of the greenlet as that of the thread. On the request's own
    thread nothing asks what a task has awaited.
    """
    known = _of_thread.worker
    expected = request.ident if request is not None else None
    if known is not None and known.ident == expected == threading.get_ident():
        return known
    found = Worker()
    if found.greenlet is None and not found.awaited:
        _of_thread.worker = found
    return found


class Taken:
    """A connection that is out of its pool: since when, and what has taken it."""

    __slots__ = (
        "since",
        "request",
        "place",
        "own",
        "worker",
        "proxy",
        "pool",
        "in_context",
        "at_start",
        "callers",
        "life",
        "stray",
        "idle_since",
        "too_long",
    )

    def __init__(
        self,
        request: Request | None,
        place: Place | None,
        own: Place | None,
        proxy: object,
        pool: object,
    ) -> None:
        self.since = clock()
        self.request = request
        self.place = place
        self.own = own
        self.worker = worker(request)
        self.proxy = ref(proxy)
        self.pool = ref(pool)
        self.in_context = False  # was it taken in an app context, but no request?
        self.at_start = False  # was it taken before the first request?
        # What of the app's code ran, if it was not the thread of a request.
        self.callers: frozenset[CodeType] = frozenset()
        self.life: Life | None = None  # of the session that it was taken for
        self.stray = False  # was it reported that nothing returns it?
        self.idle_since: float | None = None  # when did nothing use it, first?
        self.too_long = False  # was it reported that it is held too long?
