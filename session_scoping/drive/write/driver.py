"""Sends the requests of a view: opens its pages, posts its forms, and repeats them."""

import typing as t
from urllib.parse import quote
from urllib.parse import urljoin

import sqlalchemy as sa

from session_scoping.drive.crawler import Crawler
from session_scoping.drive.faults import Do
from session_scoping.drive.faults import fail_at_each_step
from session_scoping.drive.operations import Task
from session_scoping.drive.write.forms import Field
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.forms import json_choices
from session_scoping.drive.write.forms import Page
from session_scoping.drive.write.ledger import Expected
from session_scoping.drive.write.ledger import Ledger
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.drive.write.mapping import find_attribute
from session_scoping.drive.write.mapping import Mapper
from session_scoping.recording import LIST
from session_scoping.recording import Obstacle
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Unseen
from session_scoping.watch.places import NOISE


class Posted(t.NamedTuple):
    """What came of a posted form."""

    request: Request
    html: str  # of the page that answers
    row: OwnRow | None  # that was inserted


class ViewDriver:
    """Sends the requests of a view."""

    def __init__(self, crawler: Crawler, ledger: Ledger, number: int) -> None:
        """``number``: the number of the view in the recording."""
        self.crawler = crawler
        self.ledger = ledger
        self.number = number
        self.view: t.Any = crawler.recorder.view(number)
        self.mapper: Mapper = sa.inspect(self.view.model)
        self.urls = crawler.app.url_map.bind("localhost")
        # While an operation is overtaken: an earlier request that did the same.
        self.earlier: Request | None = None

    def unseen(
        self, operation: Operation, why: str, obstacle: Obstacle | None = None
    ) -> None:
        """Record that an operation could not be driven, and why."""
        recording = self.crawler.recorder.recording
        add_unseen(recording, self.number, operation, why, obstacle)

    # ------------------------------------------------------------------ repeating

    def repeat(self, do: Do) -> bool:
        """Do an operation twice, the second time overtaken by concurrent requests.

        Then inject a fault at each step in turn, and repeat the operation after each.
        Returns whether the operation could be done.
        """
        first = do(0)
        if first is None:
            return False
        self.earlier = first
        second = do(0)
        self.earlier = None
        if second is None:
            return False
        if self.crawler.fails(self.number):
            fail_at_each_step(do)
        return True

    def skips(self, operation: Operation, url: str) -> bool:
        """Must a URL not be requested? Records that."""
        why = self.crawler.skip.why(url)
        if why:
            self.unseen(operation, why, Obstacle.PATTERN)
        return bool(why)

    def list_overtaken(self) -> None:
        """Show the list to both clients, with the messages that the app has for them.

        The view is left with what it keeps after reading.
        """
        task = Task(self.number, LIST, self.url("index_view"))
        if not self.skips(LIST, task.url):
            request, _ = self.crawler.send(task)
            self.crawler.send_overtaken(task, request)

    # -------------------------------------------------------------------- opening

    def url(self, endpoint: str, key: str = "") -> str:
        """Return the URL of a page of the view, for the row with a primary key."""
        url = self.urls.build(f"{self.view.endpoint}.{endpoint}")
        return f"{url}?id={quote(key)}" if key else url

    def open(self, operation: Operation, url: str) -> Page | None:
        """Return a page, or record why it does not open, and return ``None``."""
        if self.skips(operation, url):
            return None
        request, html = self.crawler.send(Task(self.number, operation, url))
        if request.status != 200:
            why = request.exception or f"answers {request.status}"
            self.unseen(operation, why, self.crawler.obstacle(request))
            return None
        recording = self.crawler.recorder.recording
        # Before the first row was created, there was none to open the page for.
        recording.unseen[:] = [
            unseen
            for unseen in recording.unseen
            if (unseen.view, unseen.operation) != (self.number, operation)
        ]
        return Page(html)

    def open_list(self) -> Page | None:
        """Return the list, or ``None``."""
        return self.open(LIST, self.url("index_view"))

    def open_form(self, operation: Operation, url: str) -> Form | None:
        """Return the main form of a page, or record why there is none."""
        page = self.open(operation, url)
        if page is None:
            return None
        if page.form is None:
            self.unseen(operation, "the page has no form to post")
            return None
        page.form.action = urljoin(url, page.form.action)
        return page.form

    def look_up(self, field: Field) -> list[str]:
        """Return the choices that a field asks the app for."""
        _, attribute = find_attribute(self.mapper, field.name)
        operation = Operation(OperationKind.LOOK_UP, attribute)
        page = self.open(operation, f"{field.url}&query=")
        if page is None:
            return []
        choices = json_choices(page.html, 0)
        if choices is None:
            self.unseen(operation, "it answers with no JSON list of choices")
        return choices or []

    # -------------------------------------------------------------------- posting

    def post(
        self,
        operation: Operation,
        url: str,
        data: FormData,
        fail_at: int,
        inserts: Mapper | None = None,
    ) -> Posted:
        """Post a form.

        ``fail_at``: the step to inject a fault at, or 0. ``inserts``: the mapper of the
        row that the form should insert.
        """
        task = Task(self.number, operation, url, data=data, method="POST")
        expected = None if inserts is None else self._expect(data, inserts)
        with self.ledger.expecting(expected):
            if self.earlier is not None:
                request, html = self.crawler.send_overtaken(task, self.earlier)
            else:
                request, html = self.crawler.send(task, fail_at)
        self.ledger.forget_gone()
        row = None if expected is None else self.ledger.first_own(expected)
        return Posted(request, html, row)

    def _expect(self, data: FormData, inserts: Mapper) -> Expected:
        """Return what a form should insert: a row, and children by inline forms."""
        mappers = {find_attribute(self.mapper, name)[0] for name in data}
        return Expected(
            view=self.number,
            mapper=inserts,
            children=mappers - {self.mapper, inserts},
            make_key=self.view.get_pk_value if inserts is self.mapper else None,
            most=1 if self.earlier is None else 2,
        )


def add_unseen(
    recording: Recording,
    view: int,
    operation: Operation,
    why: str,
    obstacle: Obstacle | None = None,
) -> None:
    """Record once that an operation of a view could not be driven, and why."""
    # The SQL that SQLAlchemy appends to an error is long, and differs each time.
    why = NOISE.sub("", why).partition(" [SQL: ")[0][:200]
    unseen = Unseen(view, operation, why, obstacle)
    if unseen not in recording.unseen:
        recording.unseen.append(unseen)
