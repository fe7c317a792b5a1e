"""Inserts a row by a form: posts it, with other values if need be, until it accepts."""

import typing as t
from dataclasses import replace

from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.filling import CannotFill
from session_scoping.drive.write.filling import Hints
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.forms import Page
from session_scoping.drive.write.mapping import Mapper
from session_scoping.recording import Operation
from session_scoping.recording import Request


class Insertion:
    """Inserts rows by a form, and remembers what the form accepts."""

    def __init__(
        self,
        driver: ViewDriver,
        operation: Operation,
        form_operation: Operation,
        mapper: Mapper,
        fill: t.Callable[[Form, Hints], FormData],
    ) -> None:
        """Describe the rows to insert.

        ``operation`` inserts a row, ``form_operation`` opens the form. ``mapper``: of
        the row. ``fill``: returns what to post, or raises ``CannotFill``.
        """
        self.driver = driver
        self.operation = operation
        self.form_operation = form_operation
        self.mapper = mapper
        self.fill = fill
        self.hints = Hints()
        self.accepted: FormData = {}  # what the last row was inserted with
        self.has_inserted = False

    def insert(self, url: str, fail_at: int) -> Request | None:
        """Insert a row by the form at a URL.

        Returns the last request. If there is no row, and no injected fault, it records
        why, and returns ``None``.
        """
        began = replace(self.hints)
        while True:
            form = self.driver.open_form(self.form_operation, url)
            if form is None:
                return None
            try:
                data = self.fill(form, self.hints)
            except CannotFill as error:
                self.driver.unseen(self.operation, str(error))
                return None
            request, html, row = self.driver.post(
                self.operation, form.action, data, fail_at, self.mapper
            )
            if request.injected:
                return request
            if row is not None:
                if request.status == 200:
                    request.unexpected = "the form is shown again, but the row is there"
                self.accepted, self.has_inserted = data, True
                return request
            if request.exception or request.status != 200:
                if not request.exception:
                    request.unexpected = (
                        f"answers {request.status}, but the row is not there"
                    )
                why = request.exception or request.unexpected
                self.driver.unseen(self.operation, why)
                return None
            page = Page(html)
            if self.hints.last_attempt:
                self.driver.unseen(self.operation, page.refusal)
                self.hints = began
                return None
            self.hints.learn(page.form)
