"""Edits a row by the edit form: as it is, and with a change."""

import typing as t
from dataclasses import dataclass

from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.forms import Field
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.forms import Page
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.drive.write.mapping import enumerated
from session_scoping.drive.write.mapping import is_discriminator
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request

EDIT = Operation(OperationKind.EDIT)
EDIT_CHANGED = Operation(OperationKind.EDIT, variant="changed")
EDIT_FORM = Operation(OperationKind.EDIT_FORM)


@dataclass
class Editing:
    """Edits an own row of a view."""

    driver: ViewDriver
    filler: FormFiller
    creation: Creation

    def edit(self, fail_at: int) -> Request | None:
        """Post exactly what the form shows."""
        return self._post(EDIT, lambda form: form.shown, fail_at)

    def edit_changed(self, fail_at: int) -> Request | None:
        """Post what the form shows, but for a new value of the first plain field."""
        return self._post(EDIT_CHANGED, self._change, fail_at)

    def _change(self, form: Form) -> FormData | None:
        hints = self.creation.hints
        values = self.filler.new_values(hints)
        for field in form.fields:
            if field.is_plain and self._takes_any_value(field):
                value = self.filler.plain_value(field, values, hints)
                return {**form.shown, field.name: [value]}
        why = "the form has no text and no number to change"
        self.driver.unseen(EDIT_CHANGED, why)
        return None

    def _takes_any_value(self, field: Field) -> bool:
        """Is the field for a column that any value can be written to?"""
        column = self.driver.mapper.columns.get(field.name)
        if column is None or column.primary_key or column.foreign_keys:
            return False
        if is_discriminator(self.driver.mapper, column) or enumerated(column):
            return False
        return not field.offers_choices and field.kind != "checkbox"

    def _post(
        self,
        operation: Operation,
        change: t.Callable[[Form], FormData | None],
        fail_at: int,
    ) -> Request | None:
        """Post what ``change`` makes of the form, and check that the row has changed.

        Returns ``None`` if that cannot be done, or if the form refuses it.
        """
        row = self.creation.row()
        if row is None:
            return None
        form = open_edit_form(self.driver, row)
        data = change(form) if form else None
        if form is None or data is None:
            return None
        ledger = self.driver.ledger
        before = ledger.content(row)
        request, html, _ = self.driver.post(operation, form.action, data, fail_at)
        if request.injected or request.exception:
            return request
        if request.status == 200:
            self.driver.unseen(operation, Page(html).refusal)
            return None
        after = ledger.content(row)
        if not after:
            request.unexpected = f"answers {request.status}, but the row is gone"
        elif data != form.shown and after == before:
            request.unexpected = f"answers {request.status}, but the row is as it was"
        return request


def open_edit_form(driver: ViewDriver, row: OwnRow) -> Form | None:
    """Return the edit form of a row, or ``None``."""
    return driver.open_form(EDIT_FORM, driver.url("edit_view", row.key))
