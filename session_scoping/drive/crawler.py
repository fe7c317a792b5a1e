"""Drives the admin of an app as a person does, while a recorder watches."""

import gc
import re
import typing as t
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextlib import nullcontext
from itertools import islice
from urllib.parse import urlsplit

import flask
import sqlalchemy as sa
from flask.testing import FlaskClient
from sqlalchemy.pool import QueuePool

import session_scoping.interrupts as interrupts
from session_scoping.drive.client import checked
from session_scoping.drive.client import MakeClient
from session_scoping.drive.driven import Driven
from session_scoping.drive.driven import Failing
from session_scoping.drive.driven import Overtaken
from session_scoping.drive.driven import Writing
from session_scoping.drive.dry_run import DryRun
from session_scoping.drive.faults import fail_at_each_step
from session_scoping.drive.faults import Faults
from session_scoping.drive.operations import Task
from session_scoping.drive.skip import Skip
from session_scoping.errors import CannotTell
from session_scoping.recording import Fault
from session_scoping.recording import LIST
from session_scoping.recording import Obstacle
from session_scoping.recording import OperationKind
from session_scoping.recording import Request
from session_scoping.recording import Unseen
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder
from session_scoping.watch.running import DRIVE

OF_A_ROW = re.compile(r"/(edit|details|new)/$")


class Reference(t.Protocol):
    """What is known of a throwaway app: more operations, and what they have to show.

    Its pages are allowed to write to its database.
    """

    def tasks(self, views: dict[str, int]) -> t.Iterable[Task]:
        """Yield operations that the crawler does not find.

        ``views``: the numbers of the views by endpoint.
        """

    def fails(self, endpoint: str) -> bool:
        """Are faults injected into the operations of a view?"""

    def changing(self) -> t.ContextManager[None]:
        """Change the database past all sessions, as long as a ``with`` block runs."""

    def check(self, endpoint: str, driven: Driven, request: Request, page: str) -> None:
        """Check a request that is over, and record in it what it has done wrong."""


class Crawler:
    """Drives the operations that a client of an app can see."""

    def __init__(
        self,
        app: flask.Flask,
        recorder: Recorder,
        make_client: MakeClient | None,
        faults: t.Collection[Fault] = (),
        reference: "Reference | None" = None,
        skip: t.Sequence[str] = (),
    ) -> None:
        """``faults``: the kinds of faults to inject at each step of an operation.

        ``skip``: patterns of endpoints that are not requested. Raises ``CannotTell`` if
        no endpoint matches one of them.
        """
        self.app = app
        self.faults = faults
        self.reference = reference
        self.recorder = recorder
        self.skip = Skip(app, skip)
        self.dry_run = DryRun(recorder)
        self.make_client: MakeClient = flask.Flask.test_client
        if make_client is not None:
            self.make_client = checked(make_client, "client")
        # The writer reads an app's messages in the next response of its own client.
        self.renew_clients()
        self.pages: dict[int, str] = {}  # the list of each view
        self.leads_to = ""  # where the last response redirects to
        self.refused: dict[int, str] = {}  # why the list of a view does not open
        self.collecting = True  # does a garbage collection return connections?

    def renew_clients(self) -> None:
        """Make new clients: a page may have ended the login of those there are."""
        with self.dry_run.suspended():  # a login may write
            self.client = self.make_client(self.app)
            self.other_client = self.make_client(self.app)
        self.may_be_logged_out = False

    @contextmanager
    def clients_of_its_own(self) -> t.Iterator[None]:
        """Use new clients in a ``with`` block, and the earlier clients after it."""
        before = self.client, self.other_client
        self.renew_clients()
        try:
            yield
        finally:
            self.client, self.other_client = before
            self.may_be_logged_out = True  # where an app ends all logins of a user

    def reading(self) -> t.ContextManager[None]:
        """Undo all that the app writes in a ``with`` block, also on its threads.

        A throwaway app is allowed to write.
        """
        return self.dry_run if self.reference is None else nullcontext()

    def drive(self, task: Task) -> None:
        """Do an operation twice. The second time concurrent requests overtake it."""
        with (
            self.clients_of_its_own() if task.ends_login else nullcontext(),
            self.reading(),
        ):
            self._drive(task)

    def _drive(self, task: Task) -> None:
        if task.view in self.refused:
            return
        if why := self.skip.why(task.url):
            self.unseen(task, why, Obstacle.PATTERN)
            return
        resolved = task.resolve(self.pages.get(task.view, ""))
        if resolved is None:
            opens = task.view in self.pages
            why = "the list shows no row to do it with"
            self.unseen(task, why if opens else "the list does not open")
            return
        first, page = self.send(resolved)
        if self.may_be_logged_out and not resolved.absent and self.refusal(first):
            self.renew_clients()
            first, page = self.send(resolved)
        self.may_be_logged_out |= task.operation.kind == OperationKind.PAGE
        if task.operation == LIST and first.status == 200:
            self.pages[task.view] = page
        if resolved.absent and first.exception:
            self.unseen(task, first.exception)
        elif not (resolved.absent or resolved.data) and (why := self.refusal(first)):
            self.unseen(task, why, self.obstacle(first))
            if task.operation == LIST:
                self.refused[task.view] = why
            return
        self.send_overtaken(resolved, first)
        if self.fails(task.view):
            fail_at_each_step(lambda step: self.send(resolved, step)[0])

    def read_changed(self, reference: Reference, tasks: t.Iterable[Task]) -> None:
        """Read everything again while the database is changed past all sessions."""
        pages: dict[int, str] = {}  # the list of each view
        with reference.changing():
            for task in tasks:
                resolved = task.resolve(pages.get(task.view, ""))
                if resolved is None or resolved.data is not None:
                    continue
                _, page = self.send(resolved)
                if task.operation == LIST:
                    pages[task.view] = page

    def fails(self, view: int) -> bool:
        """Are faults injected into the operations of a view?"""
        endpoint = self.recorder.recording.views[view].endpoint
        return bool(self.faults) and (
            self.reference is None or self.reference.fails(endpoint)
        )

    def unseen(self, task: Task, why: str, obstacle: Obstacle | None = None) -> None:
        unseen = Unseen(task.view, task.operation, why, obstacle)
        self.recorder.recording.unseen.append(unseen)

    def refusal(self, request: Request) -> str:
        """Return why the client is not allowed to see this, or an empty string."""
        if request.exception or request.unexpected or request.status == 200:
            return ""
        where = f" and leads to {self.leads_to}" if self.leads_to else ""
        return f"answers {request.status}{where}"

    def obstacle(self, request: Request) -> Obstacle | None:
        """Return what keeps the client from what the last request has asked for.

        A list that leads to a form of its own view asks for no login: settings may have
        one row.
        """
        leads_away = request.status in range(301, 309) and not OF_A_ROW.search(
            urlsplit(self.leads_to).path
        )
        return Obstacle.CLIENT if leads_away or request.status in {401, 403} else None

    def in_memory(self, request: Request) -> bool:
        recording = self.recorder.recording
        used = {
            engine
            for use in request.uses
            for engine in recording.sessions[use.session].engines
        } or range(len(recording.engines))
        found = any(engine in recording.in_memory for engine in used)
        if found:
            self.note(
                "two requests at the same time were not tried: SQLite in memory has "
                "one connection, and with it one transaction, for all"
            )
        return found

    def note(self, note: str) -> None:
        notes = self.recorder.recording.notes
        if note not in notes:
            notes.append(note)

    def send(self, task: Task, fail_at: int = 0) -> tuple[Request, str]:
        """Make a request, outside of any app context. Returns it and its page."""
        client = self.other_client if task.absent else self.client
        with interrupts.request():
            return self._send(self._driven(task), client, fail_at)

    def send_overtaken(self, task: Task, first: Request) -> tuple[Request, str]:
        """Make a request, and a concurrent request before each of its statements.

        The concurrent requests do the same. Where the request writes, they fail before
        they write. ``first`` is an earlier request, which shows where the database is.
        """
        if self.in_memory(first):
            return self.send(task)
        driven = self._driven(task)
        with ThreadPoolExecutor(1) as pool:

            def overtake(number: int) -> "Future[object] | None":
                if any(map(is_exhausted, self.recorder.engines)):
                    return None
                other = self._driven(task, number)
                return pool.submit(self._send, other, self.other_client)

            driven.overtaken = Overtaken(overtake)
            with interrupts.request():
                answer = self._send(driven, self.client)
        self.refill()
        if driven.overtaken.impossible:
            view = self.recorder.recording.views[driven.view].name
            self.note(
                f"{view}: {driven.operation}: it was not overtaken to the end, because "
                "the second request waits for a connection or a lock of the first"
            )
        return answer

    def _driven(self, task: Task, overtakes: int | None = None) -> Driven:
        if task.data is not None:
            kind = Writing if overtakes is None else Failing
            return kind(task, overtakes)
        return Driven(task, overtakes)

    def _send(
        self, driven: Driven, client: FlaskClient, fail_at: int = 0
    ) -> tuple[Request, str]:
        task = driven.task
        engines = self.recorder.engines
        driven.disturbed = bool(fail_at) or driven.overtaken is not None
        page = b""
        with (
            self.reading() if task.data is None else nullcontext(),
            Faults(driven, fail_at, self.faults, engines) if fail_at else nullcontext(),
        ):
            try:
                response = client.open(
                    task.url,
                    method=task.method,
                    headers=task.headers,
                    data=task.data,
                    environ_overrides={DRIVE: driven},
                )
                self.leads_to = response.headers.get("Location", "")
                try:
                    page = b"".join(islice(response.iter_encoded(), task.chunks))
                finally:
                    response.close()
            except Exception as error:
                # The recorder sees the exceptions of requests that reach the app, and
                # not those of a response that is closed. They are not kept here: their
                # frames hold sessions.
                if driven.request is None:
                    message = f"the test client fails: {where(error)}"
                    raise CannotTell(message) from error
                if not driven.request.failure:
                    driven.request.stream_exception = where(error)
        if driven.overtakes is None and driven.overtaken is None:
            self.recorder.set_aside()
            self.refill()
        if driven.request is None:
            raise CannotTell(
                f"the test client does not reach {self.app.import_name}: it has to "
                "call the app itself, as app.test_client() does"
            )
        text = page.decode(errors="replace")
        if self.reference is not None:
            endpoint = self.recorder.recording.views[driven.view].endpoint
            self.reference.check(endpoint, driven, driven.request, text)
        return driven.request, text

    def refill(self) -> None:
        """Replace a pool if leaked sessions hold its connections.

        The app would wait half a minute for each connection.
        """
        for engine in self.recorder.engines:
            if is_drained(engine) and self.collecting:
                gc.collect()
                self.collecting = not is_drained(engine)
            if is_drained(engine):
                engine.dispose(close=False)


def is_drained(engine: sa.engine.Engine) -> bool:
    """Is more than half of the pool checked out, while no request is running?"""
    pool = engine.pool
    return isinstance(pool, QueuePool) and 2 * pool.checkedout() > pool.size()


def is_exhausted(engine: sa.engine.Engine) -> bool:
    """Is the pool used up? Another request would wait half a minute for it."""
    pool = engine.pool
    return isinstance(pool, QueuePool) and 0 < pool.size() <= pool.checkedout()
