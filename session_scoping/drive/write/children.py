"""Adds inline children to a row by its edit form, and removes them."""

import re

from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.editing import EDIT_FORM
from session_scoping.drive.write.editing import open_edit_form
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.filling import Hints
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.forms import Inline
from session_scoping.drive.write.inserting import Insertion
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request


def drive_children(driver: ViewDriver, filler: FormFiller, creation: Creation) -> None:
    """Add and remove children by each inline form of the edit form."""
    row = creation.row()
    form = open_edit_form(driver, row) if row else None
    for inline in form.inlines if form else ():
        if inline.name not in driver.mapper.relationships:
            operation = Operation(OperationKind.INLINE_CHILD, inline.name)
            driver.unseen(operation, "it is no relationship")
            continue
        children = InlineChildren(driver, filler, creation, inline.name)
        if driver.repeat(children.add):
            driver.repeat(children.remove)


class InlineChildren:
    """Adds and removes the children of a relationship."""

    def __init__(
        self,
        driver: ViewDriver,
        filler: FormFiller,
        creation: Creation,
        relationship: str,
    ) -> None:
        """``relationship``: its name, which is also the name of the inline form."""
        self.driver = driver
        self.filler = filler
        self.creation = creation
        self.name = relationship
        self.mapper = driver.mapper.relationships[relationship].mapper
        self.insertion = Insertion(
            driver,
            Operation(OperationKind.INLINE_CHILD, relationship),
            EDIT_FORM,
            self.mapper,
            self._fill,
        )

    def add(self, fail_at: int) -> Request | None:
        """Add a child to an own row. Returns ``None`` if that cannot be done."""
        row = self.creation.row()
        if row is None:
            return None
        # Each child adds steps to the form. Each try has to have the same number of
        # steps to inject a fault at.
        for child in self._own()[1:]:
            self.driver.ledger.remove(child)
        self.driver.ledger.forget_gone()
        return self.insertion.insert(self.driver.url("edit_view", row.key), fail_at)

    def _fill(self, form: Form, hints: Hints) -> FormData:
        """Return what the form shows, and a new child. Raises ``CannotFill``."""
        inlines = (inline for inline in form.inlines if inline.name == self.name)
        inline = next(inlines, Inline(self.name))
        fields, prefix = inline.new(form), inline.next_prefix(form)
        return {**form.shown, **self.filler.fill(fields, hints, prefix)}

    def remove(self, fail_at: int) -> Request | None:
        """Tick the box that removes a child, which the guard has added."""
        if not self._own():
            self.add(0)
        row = self.creation.row()
        child = next(iter(self._own()), None)
        if child is None or row is None:
            return None
        form = open_edit_form(self.driver, row)
        box = box_that_removes(child, self.name, form) if form else ""
        operation = Operation(OperationKind.INLINE_CHILD, self.name, "removed")
        if form is None or not box:
            self.driver.unseen(operation, "the form does not show the child")
            return None
        data = {**form.shown, box: ["on"]}
        request, _, _ = self.driver.post(operation, form.action, data, fail_at)
        failed = request.injected or request.exception
        if not failed and child in self.driver.ledger.own:
            request.unexpected = (
                f"answers {request.status}, but the child is still there"
            )
        return request

    def _own(self) -> list[OwnRow]:
        """Return the children that the guard has added."""
        parent = self.creation.row()
        rows = self.driver.ledger.rows(self.driver.number, self.mapper)
        return [row for row in rows if row != parent]


def box_that_removes(child: OwnRow, inline: str, form: Form) -> str:
    """Return the name of a box of an inline form, or an empty string."""
    pattern = re.compile(rf"({re.escape(inline)}-\d+)-\w+")
    for field in form.fields:
        found = pattern.fullmatch(field.name)
        if found and field.kind == "hidden" and field.value == child.key:
            return f"del-{found[1]}"
    return ""
