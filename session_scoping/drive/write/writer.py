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
        self.views: list[int] = []  # the numbers of the views to drive

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
            self.views.append(number)
        self.ledger.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.crawler.recorder.close_living()
        self.recording.notes.extend(self.ledger.close())

    def drive(self, number: int) -> None:
        """Drive the operations that write in a view."""
        driver = ViewDriver(self.crawler, self.ledger, number)
        mapper, look_up = driver.mapper, driver.look_up
        drive_view(driver, FormFiller(mapper, self.ledger, self.maker, look_up))
        driver.list_overtaken()


def crawled_views(crawler: Crawler) -> t.Iterator[int]:
    """Yield the numbers of the SQLAlchemy views whose list has been read."""
    for number in crawler.recorder.learn(crawler.app).values():
        view = crawler.recorder.view(number)
        if isinstance(view, ModelView) and number not in crawler.refused:
            yield number


def drive_view(driver: ViewDriver, filler: FormFiller) -> None:
    """Create, edit and delete own rows, as far as the view allows it."""
    view, table = driver.view, driver.mapper.tables[0]
    creation = Creation(driver, filler)
    if not allows(view, "can_create"):
        driver.unseen(CREATE, "can_create is False")
        unseen_without_row(driver)
        return
    if table not in driver.ledger.before:
        driver.unseen(CREATE, f"{table} cannot be read")
        return
    if not driver.repeat(creation.create):
        unseen_without_row(driver)
        return
    driver.repeat(creation.duplicate)
    Refusals(driver, filler, creation).drive()
    if allows(view, "can_edit"):
        editing = Editing(driver, filler, creation)
        if driver.repeat(editing.edit):
            driver.repeat(editing.edit_changed)
            drive_children(driver, filler, creation)
    else:
        driver.unseen(EDIT, "can_edit is False")
    if allows(view, "column_editable_list"):
        CellEditing(driver, filler, creation).drive()
    if not allows(view, "can_delete"):
        driver.unseen(DELETE, "can_delete is False")
        return
    deletion = Deletion(driver, creation)
    driver.repeat(deletion.bulk_delete)
    driver.repeat(deletion.delete)
    deletion.delete_rest()


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
