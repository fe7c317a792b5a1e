"""Edits the cells of a list that can be edited in place."""

from dataclasses import dataclass
from dataclasses import field
from functools import partial

from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.forms import BLANK
from session_scoping.drive.write.forms import EditableCell
from session_scoping.drive.write.forms import Field
from session_scoping.drive.write.forms import json_choices
from session_scoping.drive.write.ledger import OwnRow
from session_scoping.drive.write.mapping import changes_chosen_row
from session_scoping.drive.write.mapping import enumerated
from session_scoping.drive.write.mapping import is_discriminator
from session_scoping.drive.write.mapping import type_name
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request

INLINE_EDIT = Operation(OperationKind.INLINE_EDIT)  # of any cell


@dataclass
class CellEditing:
    """Edits the cells of an own row."""

    driver: ViewDriver
    filler: FormFiller
    creation: Creation
    # The last value of each cell.
    set_to: dict[tuple[OwnRow, str], str] = field(default_factory=dict)

    def drive(self) -> None:
        """Edit a cell of each column that can be edited."""
        page = self.driver.open_list()
        cells = {cell.name: cell for cell in page.cells} if page else {}
        if not cells:
            why = "the list shows no cell that can be edited"
            self.driver.unseen(INLINE_EDIT, why)
        for cell in cells.values():
            self.driver.repeat(partial(self.edit, cell))

    def edit(self, cell: EditableCell, fail_at: int) -> Request | None:
        """Set a cell to a new value, and check that the row has changed.

        Returns ``None`` if that cannot be done.
        """
        row = self.creation.row()
        url = self.driver.url("ajax_update")
        if row is None or self.driver.skips(INLINE_EDIT, url):
            return None
        operation = Operation(OperationKind.INLINE_EDIT, cell.name)
        ledger = self.driver.ledger
        before = ledger.content(row)
        value = self.value(cell, before)
        if value is None:
            self.driver.unseen(operation, "nothing to set it to")
            return None
        data = {"list_form_pk": [row.key], cell.name: [value]}
        if cell.csrf:
            data["csrf_token"] = [cell.csrf]
        request, html, _ = self.driver.post(operation, url, data, fail_at)
        if request.injected or request.exception:
            return request
        if request.status != 200:
            self.driver.unseen(operation, html[:200])
            return None
        is_new = value not in self._known_values(row, cell, before)
        if is_new and cell.kind != "select2" and ledger.content(row) == before:
            request.unexpected = f"answers 200, but {cell.name} is as it was"
        self.set_to[row, cell.name] = value
        return request

    def _known_values(
        self, row: OwnRow, cell: EditableCell, content: dict[str, str]
    ) -> list[str | None]:
        """Return what the cell may hold already: to set it to that changes nothing.

        The database may hold a value otherwise than a form has it.
        """
        column = self.driver.mapper.columns.get(cell.name)
        created = self.creation.insertion.accepted.get(cell.name, [])
        return [content.get(str(column)), self.set_to.get((row, cell.name)), *created]

    def value(self, cell: EditableCell, content: dict[str, str]) -> str | None:
        """Return a new value for a cell, or ``None`` if there is none.

        ``content``: what the database holds of the row, by column.
        """
        hints = self.creation.hints
        values = self.filler.new_values(hints)
        mapper = self.driver.mapper
        column = mapper.columns.get(cell.name)
        if cell.kind == "boolean":
            is_set = content.get(str(column)) not in {None, "0", "False", "None"}
            return "" if is_set else "1"
        if cell.kind == "combodate":
            return values.moment(type_name(column) or "date", cell.format)
        if is_discriminator(mapper, column):
            return None
        if cell.kind in {"text", "textarea", "number"} and not enumerated(column):
            length = getattr(getattr(column, "type", None), "length", 0) or 0
            asked = Field(cell.name, cell.kind, maxlength=length)
            return self.filler.plain_value(asked, values, hints)
        if cell.kind != "select2":
            return None
        relationship = mapper.relationships.get(cell.name)
        if relationship is not None and changes_chosen_row(relationship):
            return None
        options = json_choices(cell.source, "value") or []
        choices = [option for option in options if option not in BLANK]
        return choices[values.row % len(choices)] if choices else None
