"""Visits: requests that do not end as usual, and clients that an app may tell apart.

A visit uses the handle on a page outside of the admin, in a job, or in a task. What it
leaves is seen by the recorder, as what the operations of the admin leave.
"""

import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from contextvars import copy_context

import flask
from flask.testing import FlaskClient

from session_scoping.bookshop.handles import session_of
from session_scoping.bookshop.models import Person
from session_scoping.drive.crawler import is_drained
from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Recording
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder

PATH = "/visit/"
SHOWS = "Herbert, Le Guin"
NOTE = "what another request has noted"
Do = t.Callable[[], object]


def nothing() -> None:
    """Do nothing."""


def on_a_thread(do: Do) -> None:
    """Do something on another thread, in a new context, and wait for it."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(do).result()


class Visits:
    """The page that is visited, and the visits to it."""

    def __init__(self, app: flask.Flask, handle: t.Any) -> None:
        """Add the page, and a teardown that uses the session after it."""
        self.app, self.handle = app, handle
        self.in_the_middle: Do = nothing
        self.recording = Recording()
        self.second = second_app(app)
        for visited in app, self.second:
            if visited:
                visited.add_url_rule(PATH, view_func=self.page, endpoint="visit")
                visited.teardown_appcontext(self.teardown)

    def page(self) -> str:
        """Show two people, and what a session knows. In between, do what is wanted."""
        session = session_of(self.handle)
        known = session.info.get("note", "")
        session.info["note"] = NOTE
        flask.g.reads = True
        first = session.get(Person, 1)
        do, self.in_the_middle = self.in_the_middle, nothing
        do()
        return f"{known} {first}, {session.get(Person, 2)}"

    def teardown(self, error: BaseException | None) -> None:
        """Read once more, as code would that logs who was there."""
        if flask.g.pop("reads", False):
            session_of(self.handle).get(Person, 1)

    def job(self) -> None:
        """Read in an app context, without a request."""
        with self.app.app_context():
            session_of(self.handle).get(Person, 1)

    # -------------------------------------------------------------------------- visits

    def visit(self, recorder: Recorder, scoped_by_context: bool) -> None:
        """Make each visit. ``scoped_by_context``: is a session that of an app context?

        Otherwise it is that of a thread, and the end of any context removes it.
        """
        self.recording = recorder.recording
        visits = [
            self.without_a_body,
            self.killed,
            self.propagated,
            lambda: on_a_thread(self.entered_again),
            lambda: on_a_thread(self.job),
            self.outlived_by_a_task,
            self.closed_by_another_thread,
            self.on_a_worker,
            self.two_of_a_user,
            self.two_of_an_address,
            self.two_of_a_second_app,
        ]
        if scoped_by_context:
            visits.append(self.around_another_context)
        for visit in visits:
            visit()
            for engine in filter(is_drained, recorder.engines):
                engine.dispose(close=False)

    def without_a_body(self) -> None:
        """Make a request whose response has no body, which a server would close."""
        self.ask(method="HEAD", shows="")

    def killed(self) -> None:
        """End requests as a server does that stops its worker."""
        for error in SystemExit, KeyboardInterrupt:
            self.ask(do=raising(error), raises=error)

    def propagated(self) -> None:
        """Let an error reach the server."""
        before = self.app.config["PROPAGATE_EXCEPTIONS"]
        self.app.config["PROPAGATE_EXCEPTIONS"] = True
        self.ask(do=raising(RuntimeError), raises=RuntimeError)
        self.app.config["PROPAGATE_EXCEPTIONS"] = before

    def around_another_context(self) -> None:
        """Enter an app context in a request, and use no session in it."""
        self.ask(do=self.enter_and_leave)

    def enter_and_leave(self) -> None:
        with self.app.app_context():
            pass

    def entered_again(self) -> None:
        """Use the session in a context that is entered again, as a debugger does."""
        with self.app.test_client() as client:
            self.ask(client)
            session_of(self.handle).get(Person, 1)

    def outlived_by_a_task(self) -> None:
        """Start a task that inherits the context, and runs when the request is over."""
        tasks: list[Context] = []
        self.ask(do=lambda: tasks.append(copy_context()))
        on_a_thread(lambda: tasks.pop().run(self.job))

    def closed_by_another_thread(self) -> None:
        """Close a response late, on another thread, as a server does."""
        self.ask(close=on_a_thread)

    def on_a_worker(self) -> None:
        """Make two requests on one thread of a server."""
        with ThreadPoolExecutor(1) as pool:
            for _ in range(2):
                pool.submit(self.ask).result()

    def two_of_a_user(self) -> None:
        """Make two requests of one user, one by one, and then at the same time."""
        clients = [self.app.test_client() for _ in range(2)]
        for client in clients:
            with client.session_transaction() as session:
                session["user"] = "ann"
        first, second = clients
        self.ask(first)
        self.ask(second, do=lambda: on_a_thread(lambda: self.ask(first)))

    def two_of_an_address(self) -> None:
        """Make the same requests from one address, behind a proxy."""
        of = {"X-Forwarded-For": "203.0.113.7"}
        self.ask(headers=of)
        self.ask(headers=of, do=lambda: on_a_thread(lambda: self.ask(headers=of)))

    def two_of_a_second_app(self) -> None:
        """Make two requests to the second app, in the middle of other requests."""
        if self.second:
            client = self.second.test_client()
            for _ in range(2):
                self.ask(do=lambda: on_a_thread(lambda: self.ask(client)))

    def ask(
        self,
        client: FlaskClient | None = None,
        *,
        do: Do = nothing,
        method: str = "GET",
        headers: t.Mapping[str, str] | None = None,
        shows: str = SHOWS,
        raises: type[BaseException] | None = None,
        close: t.Callable[[Do], object] = lambda close: close(),
    ) -> None:
        """Make a request, and note in it what is wrong with its answer.

        ``do``: in the middle of it. ``raises``: what ends it. ``close``: closes it.
        """
        client = client or self.app.test_client()
        number = len(self.recording.requests)
        self.in_the_middle = do
        try:
            response = client.open(PATH, method=method, headers=headers)
        except BaseException as error:
            request = self.recording.requests[number]
            if raises is not None and type(error) is raises:
                request.injected = Injected(Fault.KILLED, raises.__name__)
            elif isinstance(error, Exception):
                request.unexpected = f"raises {where(error)}"
            else:  # Ctrl-C
                raise
            return
        text = response.get_data(as_text=True)
        close(response.close)
        request = self.recording.requests[number]
        request.dirty_read = NOTE in text
        if shows not in text:
            request.unexpected = f"does not show {shows!r}"


def second_app(app: flask.Flask) -> flask.Flask | None:
    """Set up a second app with the extension object of an app, if there is one."""
    extension = app.extensions.get("sqlalchemy")
    if extension is None:
        return None
    second = flask.Flask("second")
    second.config.update(app.config)
    extension.init_app(second)
    return second


def raising(error: type[BaseException]) -> Do:
    """Return a function that raises an error."""

    def do() -> None:
        raise error

    return do
