"""Drives the operations that write, on rows that it makes itself: see ``ledger``."""

import json
import re
import typing as t
from itertools import count
from urllib.parse import quote
from urllib.parse import urljoin

import flask
import sqlalchemy as sa
from sqlalchemy import orm

from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.crawler import Crawler
from session_scoping.drive.forms import BLANK
from session_scoping.drive.forms import Cell
from session_scoping.drive.forms import Field
from session_scoping.drive.forms import Form
from session_scoping.drive.forms import gathered
from session_scoping.drive.forms import Inline
from session_scoping.drive.forms import NUMBERS
from session_scoping.drive.forms import Page
from session_scoping.drive.forms import RowValues
from session_scoping.drive.forms import ValueMaker
from session_scoping.drive.ledger import engines
from session_scoping.drive.ledger import Expected
from session_scoping.drive.ledger import Ledger
from session_scoping.drive.ledger import OwnRow
from session_scoping.drive.operations import allows
from session_scoping.drive.operations import Task
from session_scoping.recording import LIST
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Request
from session_scoping.recording import Unseen
from session_scoping.watch.places import describe

if t.TYPE_CHECKING:
    Mapper = orm.Mapper[t.Any]
else:
    Mapper = orm.Mapper  # SQLAlchemy 1.4 knows no more

# Plain values; small values that follow the form's errors; required fields only.
ATTEMPTS = 3

CREATE = Operation(OperationKind.CREATE)
DUPLICATE = Operation(OperationKind.CREATE, variant="duplicate")
INVALID = Operation(OperationKind.CREATE, variant="invalid")
AGAINST = Operation(OperationKind.CREATE, variant="against a constraint")
CREATE_FORM = Operation(OperationKind.CREATE_FORM)
EDIT = Operation(OperationKind.EDIT)
EDIT_CHANGED = Operation(OperationKind.EDIT, variant="changed")
EDIT_FORM = Operation(OperationKind.EDIT_FORM)
INLINE_EDIT = Operation(OperationKind.INLINE_EDIT)
BULK_DELETE = Operation(OperationKind.BULK, "delete")
DELETE = Operation(OperationKind.DELETE)

Data = dict[str, list[str]]
# Takes the step to inject a fault at. Returns ``None`` if it cannot be done.
Do = t.Callable[[int], "Request | None"]
Relation = t.Any  # a relationship: SQLAlchemy 1.4 and 2 name its class differently


class CannotFill(Exception):
    """A form asks for something that must not be made up."""


class Writer:
    """Drives the operations that write, view by view, and leaves no row of its own."""

    def __init__(self, app: flask.Flask, crawler: Crawler) -> None:
        self.app = app
        self.crawler = crawler
        self.recording = crawler.recorder.recording
        self.values = ValueMaker()
        self.ledger = Ledger(self.recording.views, self.values)
        self.views: list[int] = []

    def __enter__(self) -> "Writer":
        for number in crawled_views(self.crawler):
            view = self.crawler.recorder.view(number)
            mapper: Mapper = sa.inspect(view.model)
            table = mapper.local_table
            if not isinstance(table, sa.Table):
                self.unseen(number, CREATE, "its model is mapped to no single table")
                continue
            try:
                found = engines(self.app, view, table.metadata.tables.values())
            except Exception as error:  # raised by the app's own code
                why = f"there is no engine outside of a request: {describe(error)}"
                self.unseen(number, CREATE, why)
                continue
            self.ledger.tables |= found
            self.views.append(number)
        self.ledger.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.crawler.recorder.close_living()
        self.recording.notes.extend(self.ledger.close())

    def drive(self, number: int) -> None:
        ViewWriter(self, number).drive()

    def unseen(self, number: int, operation: Operation, why: str) -> None:
        # What SQLAlchemy appends to an error is long, and differs each time.
        why = re.split(r" \[SQL: | \(Background on this error", why)[0][:200]
        unseen = Unseen(number, operation, why)
        if unseen not in self.recording.unseen:
            self.recording.unseen.append(unseen)


def crawled_views(crawler: Crawler) -> t.Iterator[int]:
    for number in crawler.recorder.learn(crawler.app).values():
        view = crawler.recorder.view(number)
        if isinstance(view, ModelView) and number not in crawler.refused:
            yield number


class Trial:
    """What is known of how to fill in a form."""

    def __init__(self) -> None:
        self.attempt = 0
        self.said: dict[str, list[str]] = {}  # the errors of the last attempt, by field


class ViewWriter:
    """Drives the operations that write in a view."""

    def __init__(self, writer: Writer, number: int) -> None:
        self.writer = writer
        self.crawler = writer.crawler
        self.ledger = writer.ledger
        self.number = number
        self.view: t.Any = writer.crawler.recorder.view(number)
        self.mapper: Mapper = sa.inspect(self.view.model)
        self.urls = writer.app.url_map.bind("localhost")
        self.trials: dict[Operation, Trial] = {}
        self.created: Data = {}  # what the last row was created with
        self.overtaken: Request | None = None  # the last before it is overtaken

    def drive(self) -> None:
        self.drive_all()
        listed = Task(self.number, LIST, self.url("index_view"))
        # Leave the view with what it keeps after reading, and show both clients the
        # messages of the app.
        last, _ = self.crawler.send(listed)
        self.crawler.send_overtaken(listed, last)

    def drive_all(self) -> None:
        if not allows(self.view, "can_create"):
            self.unseen(CREATE, "can_create is False")
            self.note_no_row()
            return
        if self.mapper.tables[0] not in self.ledger.before:
            self.unseen(CREATE, f"{self.mapper.tables[0]} cannot be read")
            return
        if not self.repeat(self.create):
            self.note_no_row()
            return
        self.repeat(self.duplicate)
        self.create_broken()
        if allows(self.view, "can_edit"):
            self.edit_all()
        else:
            self.unseen(EDIT, "can_edit is False")
        if allows(self.view, "column_editable_list"):
            self.edit_inline()
        if not allows(self.view, "can_delete"):
            self.unseen(DELETE, "can_delete is False")
            return
        self.repeat(self.bulk_delete)
        self.repeat(self.delete)
        for row in self.rows():
            if self.delete_row(row) is None or row in self.ledger.own:
                break

    # ---------------------------------------------------------------------- helpers

    def unseen(self, operation: Operation, why: str) -> None:
        self.writer.unseen(self.number, operation, why)

    def note_no_row(self) -> None:
        for operation, option in (
            (EDIT, "can_edit"),
            (INLINE_EDIT, "column_editable_list"),
            (BULK_DELETE, "can_delete"),
            (DELETE, "can_delete"),
        ):
            if allows(self.view, option):
                self.unseen(operation, "there is no row of its own to do it with")

    def repeat(self, do: Do) -> bool:
        """Do it twice, the second time overtaken by concurrent requests.

        Then inject a fault at each step in turn, and repeat the operation after each.
        Returns whether it could be done.
        """
        first = do(0)
        if first is None:
            return False
        self.overtaken = first
        second = do(0)
        self.overtaken = None
        if second is None:
            return False
        for fail_at in count(1) if self.crawler.fails(self.number) else ():
            request = do(fail_at)
            if request is None or not request.injected:
                break
            do(0)
        return True

    def url(self, endpoint: str, key: str = "") -> str:
        url = self.urls.build(f"{self.view.endpoint}.{endpoint}")
        return f"{url}?id={quote(key)}" if key else url

    def open(self, operation: Operation, url: str) -> Page | None:
        """Return a page, or record why it does not open, and return ``None``."""
        request, page = self.crawler.send(Task(self.number, operation, url))
        if request.status != 200:
            self.unseen(operation, request.exception or f"answers {request.status}")
            return None
        return Page(page)

    def open_form(self, operation: Operation, url: str) -> Form | None:
        page = self.open(operation, url)
        if page is None:
            return None
        if page.form is None:
            self.unseen(operation, "the page has no form to post")
            return None
        page.form.action = urljoin(url, page.form.action)
        return page.form

    def post(
        self,
        operation: Operation,
        url: str,
        data: Data,
        fail_at: int,
        inserts: Mapper | None = None,
    ) -> tuple[Request, str, OwnRow | None]:
        """Post a form. Returns the request, the page, and the row that it inserted.

        ``inserts``: the mapper of the row. Without it, or without a row, the last item
        is ``None``.
        """
        found: list[OwnRow] = []
        if inserts is not None:
            inlines = {self.owner(name)[0] for name in data} - {self.mapper, inserts}
            key = self.view.get_pk_value if inserts is self.mapper else _key
            most = 2 if self.overtaken is not None else 1
            expected = Expected(self.number, key, inserts, tuple(inlines), found, most)
            self.ledger.expected = expected
        try:
            posted = Task(self.number, operation, url, data=data)
            if self.overtaken is not None:
                request, page = self.crawler.send_overtaken(posted, self.overtaken)
            else:
                request, page = self.crawler.send(posted, fail_at)
        finally:
            self.ledger.expected = None
        self.ledger.forget_gone()
        rows = (row for row in found if inserts and row.mapper.isa(inserts))
        row = next((row for row in rows if row in self.ledger.own), None)
        return request, page, row

    def rows(self) -> list[OwnRow]:
        """Return the view's own rows that exist."""
        return [
            row
            for row in self.ledger.own
            if row.view == self.number and row.mapper.isa(self.mapper)
        ]

    def row(self) -> OwnRow | None:
        """Return an own row. Creates a row if none exists."""
        rows = self.rows()
        if not rows and self.create(0) is not None:
            rows = self.rows()
        return rows[0] if rows else None

    # ----------------------------------------------------------------- filling in

    def owner(self, name: str) -> tuple[Mapper, str]:
        """Return the mapper and the attribute that a field is for."""
        mapper = self.mapper
        while found := re.fullmatch(r"(\w+)-(?:\d+-)?(.+)", name):
            relation = mapper.relationships.get(found[1])
            if relation is None:
                break
            mapper, name = relation.mapper, found[2]
        return mapper, name

    def fill(
        self, fields: list[Field], made: RowValues, trial: Trial, prefix: str = ""
    ) -> Data:
        """Fill in the fields with a prefix; other fields only if they are required."""
        pairs = []
        for field in fields:
            field.errors = trial.said.get(field.name, [])
            inner = "-" in field.name.removeprefix(prefix)
            bare = inner or trial.attempt == ATTEMPTS - 1
            pairs.append((field, self.value(field, made, bare, trial.attempt > 0)))
        return gathered(pairs)

    def value(
        self, field: Field, made: RowValues, bare: bool, again: bool
    ) -> list[str]:
        mapper, attribute = self.owner(field.name)
        relation = mapper.relationships.get(attribute)
        column = mapper.columns.get(attribute)
        label = field.label or field.name
        if field.kind == "file" and field.required:
            raise CannotFill(f"{label} asks for a file")
        if field.kind in {"file", "hidden"} or field.fixed:
            return field.shown
        if relation is not None and takes_over(relation):
            if field.required or set(field.shown) - BLANK:
                raise CannotFill(f"{label} would take a row from the one that has it")
            return field.shown
        unknown = relation is None and column is None
        if not field.required and (bare or unknown or field.multiple):
            return field.shown
        if field.kind == "checkbox":
            return field.shown if relation is not None else [field.value]
        if field.chooses:
            return self.choose(field, again)
        if column is not None and column.foreign_keys:
            (key, *_) = column.foreign_keys
            value = self.ledger.some_value(key.column)
            return field.shown if value is None else [str(value)]
        if is_discriminator(mapper, column):
            return [str(mapper.polymorphic_identity or "")]
        return [made.value(field, type_name(column))]

    def choose(self, field: Field, again: bool) -> list[str]:
        choices = field.choices
        if field.kind == "ajax":
            choices = self.look_up(field)
        if choices:
            return [choices[-1 if again else 0]]
        if field.required:
            raise CannotFill(f"{field.label or field.name} has nothing to choose from")
        return field.shown

    def look_up(self, field: Field) -> list[str]:
        page = self.open(
            Operation(OperationKind.LOOK_UP, self.owner(field.name)[1]),
            f"{field.url}&query=",
        )
        return [str(found[0]) for found in json.loads(page.html)] if page else []

    # -------------------------------------------------------------------- creating

    def insert(
        self,
        operation: Operation,
        form_at: tuple[Operation, str],
        fill: t.Callable[[Form, RowValues, Trial], Data],
        mapper: Mapper,
        fail_at: int,
    ) -> Request | None:
        """Post a form until it accepts the values and inserts a row."""
        trial = self.trials.setdefault(operation, Trial())
        while True:
            form = self.open_form(*form_at)
            if form is None:
                return None
            made = self.writer.values.next(modest=trial.attempt > 0)
            try:
                data = fill(form, made, trial)
            except CannotFill as why:
                self.unseen(operation, str(why))
                return None
            request, answer, row = self.post(
                operation, form.action, data, fail_at, mapper
            )
            if request.injected:
                return request
            if row is not None:
                if request.status == 200:
                    request.unexpected = "the form is shown again, but the row is there"
                if operation == CREATE:
                    self.created = data
                return request
            if request.exception or request.status != 200:
                self.not_there(request)
                self.unseen(operation, request.exception or request.unexpected)
                return None
            page = Page(answer)
            if trial.attempt == ATTEMPTS - 1:
                self.unseen(operation, f"the form refuses it: {page.complaints}")
                return None
            trial.attempt += 1
            if page.form is not None:
                trial.said = {field.name: field.errors for field in page.form.fields}

    def not_there(self, request: Request) -> None:
        if not request.exception:
            request.unexpected = f"answers {request.status}, but the row is not there"

    def create(self, fail_at: int) -> Request | None:
        return self.insert(
            CREATE,
            (CREATE_FORM, self.url("create_view")),
            lambda form, made, trial: self.fill(form.fields, made, trial),
            self.mapper,
            fail_at,
        )

    def duplicate(self, fail_at: int) -> Request | None:
        """Post the same again: it is refused, or it inserts a second row."""
        form = self.open_form(CREATE_FORM, self.url("create_view"))
        if form is None:
            return None
        data = {**self.created, **form.hidden}
        name = DUPLICATE
        request, _, row = self.post(name, form.action, data, fail_at, self.mapper)
        if row is None:
            self.should_show_again(request)
        return request

    def should_show_again(self, request: Request) -> None:
        if not request.injected and not request.exception and request.status != 200:
            request.unexpected = (
                f"answers {request.status}, not with the form and its errors"
            )

    def create_broken(self) -> None:
        """Post what the form, or the database, has to refuse."""
        form = self.open_form(CREATE_FORM, self.url("create_view"))
        broken = list(self.breakages(form)) if form else []
        if not any(name == INVALID for name, _ in broken):
            self.unseen(INVALID, "the form has nothing to refuse")
        for name, changes in broken:

            def refuse(
                fail_at: int, name: Operation = name, changes: Data = changes
            ) -> Request | None:
                return self.refuse(name, changes, fail_at)

            self.repeat(refuse)

    def breakages(self, form: Form) -> t.Iterator[tuple[Operation, Data]]:
        plain = [field for field in form.fields if self.is_plain(field)]
        for field in plain:
            if field.required and field.kind != "checkbox":
                yield INVALID, {field.name: []}
                break
        for field in plain:
            if self.is_number(field):
                yield INVALID, {field.name: ["ss, not a number"]}
                break
        for field in plain:
            if field.maxlength:
                yield INVALID, {field.name: ["s" * (field.maxlength + 1)]}
                break
        for field in plain:
            if not field.required and self.needs_value(field):
                yield (
                    AGAINST,
                    {field.name: ["__None"] if field.kind == "select" else [""]},
                )
        for field in plain:
            if self.is_number(field) and self.is_checked(field):
                yield AGAINST, {field.name: ["-7000"]}

    def is_plain(self, field: Field) -> bool:
        hidden = field.kind in {"hidden", "file"} or field.fixed
        return "-" not in field.name and not hidden

    def is_number(self, field: Field) -> bool:
        column = self.mapper.columns.get(field.name)
        if column is None or field.chooses or field.kind == "checkbox":
            return False
        return type_name(column) in NUMBERS and not column.foreign_keys

    def is_checked(self, field: Field) -> bool:
        """Is the column in a CHECK constraint?"""
        column = self.mapper.columns[field.name]
        word = re.compile(rf"\b{re.escape(column.name)}\b")
        return any(
            word.search(str(constraint.sqltext))
            for table in self.mapper.tables
            for constraint in getattr(table, "constraints", ())
            if isinstance(constraint, sa.CheckConstraint)
        )

    def needs_value(self, field: Field) -> bool:
        """Would an empty field send NULL to a foreign key that must not be NULL?"""
        relation = self.mapper.relationships.get(field.name)
        if relation is None or relation.direction.name != "MANYTOONE":
            return False
        return not any(column.nullable for column in relation.local_columns)

    def refuse(
        self, operation: Operation, changes: Data, fail_at: int
    ) -> Request | None:
        form = self.open_form(CREATE_FORM, self.url("create_view"))
        if form is None:
            return None
        trial = self.trials[CREATE]
        made = self.writer.values.next(modest=trial.attempt > 0)
        data = {**self.fill(form.fields, made, trial), **changes}
        request, _, row = self.post(operation, form.action, data, fail_at, self.mapper)
        if row is not None:
            what = ", ".join(f"{name} = {value}" for name, value in changes.items())
            self.unseen(operation, f"it is not refused: {what}")
            return None
        self.should_show_again(request)
        return request

    # --------------------------------------------------------------------- editing

    def edit_all(self) -> None:
        if not self.repeat(self.edit):
            return
        self.repeat(self.edit_changed)
        row = self.row()
        form = (
            self.open_form(EDIT_FORM, self.url("edit_view", row.key)) if row else None
        )
        for inline in form.inlines if form else ():
            if inline.name not in self.mapper.relationships:
                self.unseen(
                    Operation(OperationKind.INLINE_CHILD, inline.name),
                    "it is no relationship",
                )
                continue

            def add(fail_at: int, name: str = inline.name) -> Request | None:
                return self.add_child(name, fail_at)

            def drop(fail_at: int, name: str = inline.name) -> Request | None:
                return self.drop_child(name, fail_at)

            if self.repeat(add):
                self.repeat(drop)

    def edit(self, fail_at: int) -> Request | None:
        """Post exactly what the form shows."""
        return self.edit_with(EDIT, lambda form: form.shown, fail_at)

    def edit_changed(self, fail_at: int) -> Request | None:
        def change(form: Form) -> Data | None:
            made = self.writer.values.next(self.trials[CREATE].attempt > 0)
            for field in form.fields:
                if self.is_plain(field) and self.is_free(field):
                    field.errors = self.trials[CREATE].said.get(field.name, [])
                    column = self.mapper.columns[field.name]
                    return {
                        **form.shown,
                        field.name: [made.value(field, type_name(column))],
                    }
            self.unseen(EDIT_CHANGED, "the form has no text and no number to change")
            return None

        return self.edit_with(EDIT_CHANGED, change, fail_at)

    def is_free(self, field: Field) -> bool:
        """Is it a column that any value can be written to?"""
        column = self.mapper.columns.get(field.name)
        if column is None or column.primary_key or column.foreign_keys:
            return False
        if is_discriminator(self.mapper, column):
            return False
        return not field.chooses and field.kind != "checkbox"

    def edit_with(
        self,
        operation: Operation,
        change: t.Callable[[Form], Data | None],
        fail_at: int,
    ) -> Request | None:
        row = self.row()
        if row is None:
            return None
        form = self.open_form(EDIT_FORM, self.url("edit_view", row.key))
        data = change(form) if form else None
        if form is None or data is None:
            return None
        before = self.ledger.content(row)
        request, answer, _ = self.post(operation, form.action, data, fail_at)
        if request.injected or request.exception:
            return request
        if request.status == 200:
            self.unseen(operation, f"the form refuses it: {Page(answer).complaints}")
            return None
        after = self.ledger.content(row)
        if not after:
            request.unexpected = f"answers {request.status}, but the row is gone"
        elif data != form.shown and after == before:
            request.unexpected = f"answers {request.status}, but the row is as it was"
        return request

    def add_child(self, name: str, fail_at: int) -> Request | None:
        row = self.row()
        if row is None:
            return None
        # Each child adds steps to the form. Each try has to have the same number of
        # steps to inject a fault at.
        for child in self.children(name)[1:]:
            self.ledger.remove(child)
        self.ledger.forget_gone()

        def fill(form: Form, made: RowValues, trial: Trial) -> Data:
            fields = _inline(form, name).new(form)
            prefix = "-".join([*fields[0].name.split("-")[:2], ""]) if fields else ""
            return {**form.shown, **self.fill(fields, made, trial, prefix)}

        return self.insert(
            Operation(OperationKind.INLINE_CHILD, name),
            (EDIT_FORM, self.url("edit_view", row.key)),
            fill,
            self.mapper.relationships[name].mapper,
            fail_at,
        )

    def drop_child(self, name: str, fail_at: int) -> Request | None:
        """Tick the box that removes a child. The child is the guard's own."""
        operation = Operation(OperationKind.INLINE_CHILD, name, "removed")
        if not self.children(name):
            self.add_child(name, 0)
        row = self.row()
        child = next(iter(self.children(name)), None)
        if child is None or row is None:
            return None
        form = self.open_form(EDIT_FORM, self.url("edit_view", row.key))
        box = _box(form, name, child) if form else ""
        if form is None or not box:
            self.unseen(operation, "the form does not show the child")
            return None
        data = {**form.shown, box: ["on"]}
        request, _, _ = self.post(operation, form.action, data, fail_at)
        if not request.injected and not request.exception and child in self.ledger.own:
            request.unexpected = (
                f"answers {request.status}, but the child is still there"
            )
        return request

    def children(self, name: str) -> list[OwnRow]:
        """Return the children that the guard has added."""
        mapper, parent = self.mapper.relationships[name].mapper, self.row()
        return [
            row
            for row in self.ledger.own
            if row.view == self.number and row.mapper.isa(mapper) and row != parent
        ]

    def edit_inline(self) -> None:
        page = self.open(LIST, self.url("index_view"))
        cells = {cell.name: cell for cell in page.cells} if page else {}
        if not cells:
            self.unseen(INLINE_EDIT, "the list shows no cell that can be edited")
        for cell in cells.values():

            def edit(fail_at: int, cell: Cell = cell) -> Request | None:
                return self.edit_cell(cell, fail_at)

            self.repeat(edit)

    def edit_cell(self, cell: Cell, fail_at: int) -> Request | None:
        row = self.row()
        if row is None:
            return None
        before = self.ledger.content(row)
        value = self.cell_value(cell, before)
        if value is None:
            self.unseen(INLINE_EDIT, f"{cell.name}: nothing to set it to")
            return None
        data = {"list_form_pk": [row.key], cell.name: [value]}
        if cell.csrf:
            data["csrf_token"] = [cell.csrf]
        url = self.url("ajax_update")
        request, answer, _ = self.post(INLINE_EDIT, url, data, fail_at)
        if request.injected or request.exception:
            return request
        if request.status != 200:
            self.unseen(INLINE_EDIT, f"{cell.name}: {answer[:200]}")
            return None
        if cell.kind != "select2" and self.ledger.content(row) == before:
            request.unexpected = f"answers 200, but {cell.name} is as it was"
        return request

    def cell_value(self, cell: Cell, content: dict[str, str]) -> str | None:
        made = self.writer.values.next(self.trials[CREATE].attempt > 0)
        column = self.mapper.columns.get(cell.name)
        relation = self.mapper.relationships.get(cell.name)
        if cell.kind == "boolean":
            is_set = content.get(str(column)) not in {None, "0", "False", "None"}
            return "" if is_set else "1"
        if cell.kind == "combodate":
            return made.moment(type_name(column) or "date", cell.format)
        if is_discriminator(self.mapper, column):
            return None
        if cell.kind in {"text", "textarea", "number"}:
            length = getattr(getattr(column, "type", None), "length", 0) or 0
            field = Field(cell.name, cell.kind, maxlength=length)
            field.errors = self.trials[CREATE].said.get(cell.name, [])
            return made.value(field, type_name(column))
        if cell.kind != "select2" or (relation is not None and takes_over(relation)):
            return None
        values = [str(choice["value"]) for choice in json.loads(cell.source or "[]")]
        choices = [value for value in values if value not in BLANK]
        return choices[made.row % len(choices)] if choices else None

    # -------------------------------------------------------------------- deleting

    def bulk_delete(self, fail_at: int) -> Request | None:
        row = self.row()
        page = self.open(LIST, self.url("index_view"))
        if row is None or page is None:
            return None
        for name in page.actions:
            if name != "delete":
                why = "an action of its own: it may do more than write rows"
                self.unseen(Operation(OperationKind.BULK, name), why)
        form = next((form for form in page.forms if form.id == "action_form"), None)
        if form is None or "delete" not in page.actions:
            self.unseen(BULK_DELETE, "the list does not offer it")
            return None
        data = {**form.hidden, "action": ["delete"], "rowid": [row.key]}
        url = self.url("action_view")
        request, _, _ = self.post(BULK_DELETE, url, data, fail_at)
        self.should_be_gone(request, row)
        return request

    def delete(self, fail_at: int) -> Request | None:
        row = self.row()
        return self.delete_row(row, fail_at) if row else None

    def delete_row(self, row: OwnRow, fail_at: int = 0) -> Request | None:
        page = self.open(LIST, self.url("index_view"))
        if page is None:
            return None
        url = self.url("delete_view")
        forms = (form for form in page.forms if urljoin(url, form.action) == url)
        form = next(forms, Form())
        data = {**form.hidden, "id": [row.key]}
        request, _, _ = self.post(DELETE, url, data, fail_at)
        self.should_be_gone(request, row)
        return request

    def should_be_gone(self, request: Request, row: OwnRow) -> None:
        if request.injected or request.exception or row not in self.ledger.own:
            return
        page = self.open(LIST, self.url("index_view"))
        complaints = f": {page.complaints}" if page and page.complaints else ""
        request.unexpected = (
            f"answers {request.status}, but the row is still there{complaints}"
        )


def is_discriminator(mapper: Mapper, column: t.Any) -> bool:
    """Is it the column that holds the class of a row?

    A value that names no class breaks every list that shows the row.
    """
    return column is not None and column is mapper.polymorphic_on


def takes_over(relation: Relation) -> bool:
    """Would choosing a row change it, or delete it together with the own row?"""
    if relation.direction.name == "ONETOMANY":
        return True
    if relation.cascade.delete or relation.cascade.delete_orphan:
        return True
    return any(
        not other.uselist
        and relation.parent.isa(other.mapper)
        and (
            other.back_populates == relation.key or relation.back_populates == other.key
        )
        for other in relation.mapper.relationships
    )


def type_name(column: t.Any) -> str:
    """Return the name of a column's Python type, or an empty string."""
    try:
        return str(column.type.python_type.__name__)
    except (AttributeError, NotImplementedError):
        return ""


def _key(instance: t.Any) -> str:
    return ",".join(
        map(str, sa.inspect(instance).mapper.primary_key_from_instance(instance))
    )


def _box(form: Form, inline: str, child: OwnRow) -> str:
    """Return the name of the box that removes a child, or an empty string."""
    pattern = re.compile(rf"({re.escape(inline)}-\d+)-\w+")
    for field in form.fields:
        found = pattern.fullmatch(field.name)
        if found and field.kind == "hidden" and field.value == child.key:
            return f"del-{found[1]}"
    return ""


def _inline(form: Form, name: str) -> Inline:
    return next(
        (inline for inline in form.inlines if inline.name == name), Inline(name)
    )
