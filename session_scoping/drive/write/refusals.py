"""Posts what the create form, or the database, has to refuse."""

import re
import typing as t
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.creating import expect_form_again
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.filling import CannotFill
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.forms import Field
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.mapping import Mapper
from session_scoping.drive.write.mapping import type_name
from session_scoping.drive.write.values import NUMBERS
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request

INVALID = Operation(OperationKind.CREATE, variant="invalid")
AGAINST = Operation(OperationKind.CREATE, variant="against a constraint")


@dataclass
class Refusals:
    """Posts the create form with values that have to be refused."""

    driver: ViewDriver
    filler: FormFiller
    creation: Creation

    def drive(self) -> None:
        """Post each wrong value that the form offers a field for."""
        form = self.creation.open_form()
        wrong = list(wrong_values(form, self.driver.mapper)) if form else []
        if not any(operation == INVALID for operation, _ in wrong):
            self.driver.unseen(INVALID, "the form has nothing to refuse")
        for operation, values in wrong:
            self.driver.repeat(partial(self.post, operation, values))

    def post(
        self, operation: Operation, wrong: FormData, fail_at: int
    ) -> Request | None:
        """Post the form with wrong values for some fields.

        Returns ``None`` if the form does not open, if the other fields cannot be filled
        in, or if the values are not refused.
        """
        form = self.creation.open_form()
        if form is None:
            return None
        try:
            data = self.filler.fill(form.fields, self.creation.hints)
        except CannotFill as error:
            self.driver.unseen(operation, str(error))
            return None
        request, _, row = self.driver.post(
            operation, form.action, {**data, **wrong}, fail_at, self.driver.mapper
        )
        if row is not None:
            what = ", ".join(f"{name} = {value}" for name, value in wrong.items())
            self.driver.unseen(operation, f"it is not refused: {what}")
            return None
        expect_form_again(request)
        return request


def wrong_values(form: Form, mapper: Mapper) -> t.Iterator[tuple[Operation, FormData]]:
    """Yield wrong values, each with the operation that posts it.

    ``INVALID``: for the first field of each kind that a form checks. ``AGAINST``: for
    each field that only the database checks.
    """
    plain = [field for field in form.fields if field.is_plain]
    for field in plain:
        if field.required and field.kind != "checkbox":
            yield INVALID, {field.name: []}
            break
    for field in plain:
        if is_number(field, mapper):
            yield INVALID, {field.name: ["ss, not a number"]}
            break
    for field in plain:
        if field.maxlength:
            yield INVALID, {field.name: ["s" * (field.maxlength + 1)]}
            break
    for field in plain:
        if not field.required and needs_row(field, mapper):
            nothing = "__None" if field.kind == "select" else ""
            yield AGAINST, {field.name: [nothing]}
    for field in plain:
        if is_number(field, mapper) and is_checked(field, mapper):
            yield AGAINST, {field.name: ["-7000"]}


def is_number(field: Field, mapper: Mapper) -> bool:
    """Is the field for a column of numbers that are no foreign keys?"""
    column = mapper.columns.get(field.name)
    if column is None or field.offers_choices or field.kind == "checkbox":
        return False
    return type_name(column) in NUMBERS and not column.foreign_keys


def is_checked(field: Field, mapper: Mapper) -> bool:
    """Is the field's column in a CHECK constraint?"""
    column = mapper.columns[field.name]
    word = re.compile(rf"\b{re.escape(column.name)}\b")
    return any(
        word.search(str(constraint.sqltext))
        for table in mapper.tables
        for constraint in getattr(table, "constraints", ())
        if isinstance(constraint, sa.CheckConstraint)
    )


def needs_row(field: Field, mapper: Mapper) -> bool:
    """Would an empty field send NULL to a foreign key that must not be NULL?"""
    relationship = mapper.relationships.get(field.name)
    if relationship is None or relationship.direction.name != "MANYTOONE":
        return False
    return not any(column.nullable for column in relationship.local_columns)
