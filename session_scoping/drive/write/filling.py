"""What is filled into each field of a form.

- A text, a number or a date: a value that no other row of the run has (``values``).
- A choice, a foreign key, a many-to-one relationship: a row or an option that exists.
  So it is with a text for a column that takes the values of an enumeration only.
- A many-to-many relationship: a row that exists.
- A relationship that would take a row away from its owner: nothing is changed. A form
  that requires it is not posted.
- A field that is hidden or read-only: nothing is changed.
- A file: none is sent. A form that requires a file is not posted.
- A field that is for no attribute of the model: nothing is changed, unless the form
  requires a value.

A form that refuses the values is filled in again: see ``ATTEMPTS``.
"""

import typing as t
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from session_scoping.drive.write.forms import BLANK
from session_scoping.drive.write.forms import Field
from session_scoping.drive.write.forms import Form
from session_scoping.drive.write.forms import FormData
from session_scoping.drive.write.forms import gather
from session_scoping.drive.write.ledger import Ledger
from session_scoping.drive.write.mapping import changes_chosen_row
from session_scoping.drive.write.mapping import enumerated
from session_scoping.drive.write.mapping import find_attribute
from session_scoping.drive.write.mapping import is_discriminator
from session_scoping.drive.write.mapping import is_many_to_many
from session_scoping.drive.write.mapping import Mapper
from session_scoping.drive.write.mapping import type_name
from session_scoping.drive.write.values import RowValues
from session_scoping.drive.write.values import ValueMaker

# Plain values; small values that follow the form's errors; required fields only.
ATTEMPTS = 3


class CannotFill(Exception):
    """A form requires something that must not be made up."""


@dataclass
class Hints:
    """What a form has shown when it refused values."""

    attempt: int = 0
    errors: dict[str, list[str]] = dataclass_field(default_factory=dict)  # by field

    @property
    def refused(self) -> bool:
        return self.attempt > 0

    @property
    def last_attempt(self) -> bool:
        """Are only the required fields filled in?"""
        return self.attempt == ATTEMPTS - 1

    def learn(self, form: Form | None) -> None:
        """Go on to the next attempt. ``form``: it refused the last attempt."""
        self.attempt += 1
        if form is not None:
            self.errors = {field.name: field.errors for field in form.fields}


class FormFiller:
    """Decides what goes into the fields of a view's forms. Makes no request itself."""

    def __init__(
        self,
        mapper: Mapper,
        ledger: Ledger,
        maker: ValueMaker,
        look_up: t.Callable[[Field], list[str]],
    ) -> None:
        """``look_up``: returns the choices that the form asks the app for."""
        self.mapper = mapper
        self.ledger = ledger
        self.maker = maker
        self.look_up = look_up

    def new_values(self, hints: Hints) -> RowValues:
        """Return values that no other row has."""
        return self.maker.next(modest=hints.refused)

    def plain_value(self, field: Field, values: RowValues, hints: Hints) -> str:
        """Return a value for a field that holds a text, a number or a date."""
        field.errors = hints.errors.get(field.name, [])
        return values.value(field, type_name(self.mapper.columns.get(field.name)))

    def fill(self, fields: list[Field], hints: Hints, prefix: str = "") -> FormData:
        """Return what to post for a new row.

        ``prefix``: the names of the fields of an inline child begin with it. Fields
        that are nested deeper are filled in only if they are required.

        Raises ``CannotFill``.
        """
        values = self.new_values(hints)
        pairs = []
        for field in fields:
            field.errors = hints.errors.get(field.name, [])
            nested = "-" in field.name.removeprefix(prefix)
            required_only = nested or hints.last_attempt
            pairs.append((field, self._value(field, values, required_only)))
        return gather(pairs)

    def _value(self, field: Field, values: RowValues, required_only: bool) -> list[str]:
        mapper, attribute = find_attribute(self.mapper, field.name)
        relationship = mapper.relationships.get(attribute)
        column = mapper.columns.get(attribute)
        label = field.label or field.name
        if field.kind == "file" and field.required:
            raise CannotFill(f"{label} asks for a file")
        if field.kind in {"file", "hidden"} or field.read_only:
            return field.shown
        if relationship is not None and changes_chosen_row(relationship):
            if field.required or set(field.shown) - BLANK:
                raise CannotFill(f"{label} would take a row from its owner")
            return field.shown
        known = column is not None and not field.multiple
        if relationship is not None:
            known = not field.multiple or is_many_to_many(relationship)
        if not field.required and (required_only or not known):
            return field.shown
        if field.kind == "checkbox":
            return field.shown if relationship is not None else [field.value]
        if field.offers_choices:
            return self._choose(field, values)
        if column is not None and column.foreign_keys:
            (key, *_) = column.foreign_keys
            value = self.ledger.some_value(key.column)
            return field.shown if value is None else [str(value)]
        if is_discriminator(mapper, column):
            return [str(mapper.polymorphic_identity or "")]
        if names := enumerated(column):
            return [names[-1 if field.errors else 0]]
        return [values.value(field, type_name(column))]

    def _choose(self, field: Field, values: RowValues) -> list[str]:
        """Choose the first option, after a refusal the last."""
        choices = self.look_up(field) if field.kind == "ajax" else field.choices
        if choices:
            return [choices[-1 if values.modest else 0]]
        if field.required:
            raise CannotFill(f"{field.label or field.name} has nothing to choose from")
        return field.shown
