"""Drives the operations that write: which of them in a view, and in which order."""

import typing as t

import sqlalchemy as sa

from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.crawler import Crawler
from session_scoping.drive.operations import allows
from session_scoping.drive.write.cells import CellEditing
from session_scoping.drive.write.cells import INLINE_EDIT
from session_scoping.drive.write.children import drive_children
from session_scoping.drive.write.creating import CREATE
from session_scoping.drive.write.creating import Creation
from session_scoping.drive.write.databases import engines
from session_scoping.drive.write.deleting import BULK_DELETE
from session_scoping.drive.write.deleting import DELETE
from session_scoping.drive.write.deleting import Deletion
from session_scoping.drive.write.driver import add_unseen
from session_scoping.drive.write.driver import ViewDriver
from session_scoping.drive.write.editing import EDIT
from session_scoping.drive.write.editing import Editing
from session_scoping.drive.write.filling import FormFiller
from session_scoping.drive.write.ledger import Ledger
from session_scoping.drive.write.mapping import chosen_tables
from session_scoping.drive.write.mapping import Mapper
from session_scoping.drive.write.refusals import Refusals
from session_scoping.drive.write.values import ValueMaker
from session_scoping.watch.places import describe


class Writer:
    """A context manager that drives the views, and leaves no row of its own."""

    def __init__(self, crawler: Crawler) -> None:
        """``crawler``: it has read the app."""
        self.crawler = crawler
        self.recording = crawler.recorder.recording
        self.maker = ValueMaker()
        self.ledger = Ledger(self.recording.views, self.maker)
        self.views: list[ViewWriter] = []  # the views to drive, parents first

    def __enter__(self) -> "Writer":
        for number in crawled_views(self.crawler):
            view = self.crawler.recorder.view(number)
            mapper: Mapper = sa.inspect(view.model)
            table = mapper.local_table
            if not isinstance(table, sa.Table):
                why = "its model is mapped to no single table"
                add_unseen(self.recording, number, CREATE, why)
                continue
            tables = table.metadata.tables.values()
            try:
                found = engines(self.crawler.app, view, tables)
            except Exception as error:  # raised by the app's own code
                why = f"there is no engine outside of a request: {describe(error)}"
                add_unseen(self.recording, number, CREATE, why)
                continue
            self.ledger.tables |= found
            driver = ViewDriver(self.crawler, self.ledger, number)
            self.views.append(ViewWriter(driver, self.maker))
        self.views = parents_first(self.views)
        self.ledger.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.crawler.recorder.close_living()
        self.recording.notes.extend(self.ledger.close())

    def drive(self, writer: "ViewWriter") -> None:
        """Drive the operations that write in a view.

        Leaves a row for the views that choose from its rows, if there is none.
        """
        writer.drive()
        later = self.views[self.views.index(writer) + 1 :]
        if any(writer.table in chosen_tables(other.mapper) for other in later):
            writer.provide()

    def finish(self) -> None:
        """Delete the rows that were left, and record which views have created rows."""
        for writer in reversed(self.views):
            writer.delete_rest()
        for writer in self.views:
            view = self.recording.views[writer.driver.number]
            view.row_made = writer.has_created


class ViewWriter:
    """Drives the operations that write in a view."""

    def __init__(self, driver: ViewDriver, maker: ValueMaker) -> None:
        self.driver = driver
        self.mapper = driver.mapper
        self.table: t.Any = driver.mapper.tables[0]
        self.filler = FormFiller(self.mapper, driver.ledger, maker, driver.look_up)
        self.creation = Creation(driver, self.filler)
        self.deletion = Deletion(driver, self.creation)

    @property
    def can_create(self) -> bool:
        """Does the view allow it?"""
        return allows(self.driver.view, "can_create")

    @property
    def can_delete(self) -> bool:
        """Does the view allow it?"""
        return allows(self.driver.view, "can_delete")

    @property
    def has_created(self) -> bool:
        """Has the create form made a row?"""
        return self.creation.insertion.has_inserted

    def drive(self) -> None:
        """Do all that the view allows, and show its list."""
        self._drive()
        self.driver.list_overtaken()

    def _drive(self) -> None:
        """Create, edit and delete own rows, as far as the view allows it."""
        driver, view, creation = self.driver, self.driver.view, self.creation
        if not self.can_create:
            driver.unseen(CREATE, "can_create is False")
            unseen_without_row(driver)
            return
        if self.table not in driver.ledger.before:
            driver.unseen(CREATE, f"{self.table} cannot be read")
            return
        if not driver.repeat(creation.create) and not creation.rows():
            unseen_without_row(driver)
            return
        driver.repeat(creation.duplicate)
        Refusals(driver, self.filler, creation).drive()
        if allows(view, "can_edit"):
            editing = Editing(driver, self.filler, creation)
            if driver.repeat(editing.edit):
                driver.repeat(editing.edit_changed)
                drive_children(driver, self.filler, creation)
        else:
            driver.unseen(EDIT, "can_edit is False")
        if allows(view, "column_editable_list"):
            CellEditing(driver, self.filler, creation).drive()
        if not self.can_delete:
            driver.unseen(DELETE, "can_delete is False")
            return
        driver.repeat(self.deletion.bulk_delete)
        driver.repeat(self.deletion.delete)
        self.deletion.delete_rest()

    def provide(self) -> None:
        """Leave a row for other views, if the table was empty."""
        before = self.driver.ledger.before.get(self.table)
        if self.has_created and before is not None and not before.number:
            self.creation.row()

    def delete_rest(self) -> None:
        """Delete the rows that were left for other views."""
        if self.can_delete and self.creation.rows():
            self.deletion.delete_rest()


def crawled_views(crawler: Crawler) -> t.Iterator[int]:
    """Yield the numbers of the SQLAlchemy views whose list has been read."""
    for number in crawler.recorder.learn(crawler.app).values():
        view = crawler.recorder.view(number)
        if isinstance(view, ModelView) and number not in crawler.refused:
            yield number


def parents_first(views: t.Iterable[ViewWriter]) -> list[ViewWriter]:
    """Return the views, each after the views of the rows that its forms choose from."""
    ordered: dict[ViewWriter, None] = {}
    visited: set[ViewWriter] = set()
    views = list(views)

    def visit(view: ViewWriter) -> None:
        if view not in visited:
            visited.add(view)
            chosen = chosen_tables(view.mapper)
            for other in views:
                if other.table in chosen:
                    visit(other)
            ordered[view] = None

    for view in views:
        visit(view)
    return list(ordered)


def unseen_without_row(driver: ViewDriver) -> None:
    """Record that what needs an own row was not driven."""
    for operation, option in (
        (EDIT, "can_edit"),
        (INLINE_EDIT, "column_editable_list"),
        (BULK_DELETE, "can_delete"),
        (DELETE, "can_delete"),
    ):
        if allows(driver.view, option):
            driver.unseen(operation, "there is no row of its own to do it with")
