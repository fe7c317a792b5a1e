"""Changes beside each break that break no rule: neither instrument may report them."""

import logging
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from weakref import WeakSet

import flask
import sqlalchemy as sa
from flask_sqlalchemy import extension as fsa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import _extension as lite

from flask_admin.base import BaseView
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla import tools
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tools.mutants import around
from tools.mutants import refactoring
from tools.mutants import session_of

Lite: t.Any = lite.SQLAlchemy

# ----------------------------------------------------------------------------- reading


@refactoring
def a_row_is_read_by_a_select() -> None:
    """ModelView.get_one sends a SELECT, and does not ask for an identity."""

    def get_one(self: t.Any, key: t.Any) -> t.Any:
        columns = sa.inspect(self.model).primary_key
        values = tools.iterdecode(key)
        values = values if isinstance(values, tuple) else (values,)
        where = [column == value for column, value in zip(columns, values, strict=True)]
        rows = session_of(self.session).execute(sa.select(self.model).where(*where))
        return rows.unique().scalar_one_or_none()

    t.cast(t.Any, ModelView).get_one = get_one


@refactoring
def a_lookup_reads_in_batches() -> None:
    """QueryAjaxModelLoader.get_list reads two rows at a time."""

    @around(QueryAjaxModelLoader, "get_list")
    def get_list(
        original: t.Any, self: t.Any, term: str, offset: t.Any, limit: int
    ) -> t.Any:
        rows: list[t.Any] = []
        while len(rows) < limit:
            size = min(2, limit - len(rows))
            batch = original(self, term, (offset or 0) + len(rows), size)
            rows += batch
            if len(batch) < size:
                break
        return rows


@refactoring
def the_list_reads_by_the_connection_of_its_session() -> None:
    """ModelView.get_list sends a SELECT by the connection of its session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        connection = session_of(self.session).connection()
        connection.execute(sa.select(self.model.__table__).limit(1)).all()
        return original(self, *args, **more)


@refactoring
def the_list_is_read_only_for_a_while() -> None:
    """ModelView.get_list makes its connection read only, and then writable again."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        connection = session_of(self.session).connection().connection
        connection.dbapi_connection.execute("PRAGMA query_only = ON")
        try:
            return original(self, *args, **more)
        finally:
            connection.dbapi_connection.execute("PRAGMA query_only = OFF")


@refactoring
def the_handle_is_behind_a_property() -> None:
    """ModelView.session is a property, which returns the handle."""

    def get(self: t.Any) -> t.Any:
        return self._handle

    def set_(self: t.Any, handle: t.Any) -> None:
        self._handle = handle

    t.cast(t.Any, ModelView).session = property(get, set_)


# ----------------------------------------------------------------------------- keeping


@refactoring
def a_row_is_remembered_in_g() -> None:
    """ModelView.get_one leaves the row in ``g``, which ends with the context."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, key: t.Any) -> t.Any:
        flask.g.row = original(self, key)
        return flask.g.row


@refactoring
def texts_are_remembered_in_g() -> None:
    """ModelView.get_list_value keeps its texts until the context ends."""

    @around(ModelView, "get_list_value")
    def value(
        original: t.Any, self: t.Any, context: t.Any, row: t.Any, name: str
    ) -> t.Any:
        texts = flask.g.setdefault("texts", {})
        key = self.endpoint, self.get_pk_value(row), name
        if key not in texts:
            texts[key] = original(self, context, row, name)
        return texts[key]


@refactoring
def the_rows_are_in_a_cycle() -> None:
    """ModelView.get_list leaves its rows in a cycle, which the collector frees."""

    class Page:
        def __init__(self, rows: t.Any) -> None:
            self.page = self
            self.rows = rows

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        count, rows = original(self, *args, **more)
        return count, Page(rows).rows


@refactoring
def sessions_are_referred_to_weakly() -> None:
    """ModelView.get_list refers to its sessions and rows weakly."""
    known: WeakSet[t.Any] = WeakSet()

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        count, rows = original(self, *args, **more)
        known.add(session_of(self.session))
        known.update(rows)
        return count, rows


@refactoring
def a_view_counts_its_pages() -> None:
    """BaseView.render keeps how often a URL was asked for: no page shows that."""

    @around(BaseView, "render")
    def render(original: t.Any, self: t.Any, template: str, **more: t.Any) -> t.Any:
        counts = self.__dict__.setdefault("_counts", {})
        counts[flask.request.url] = counts.get(flask.request.url, 0) + 1
        return original(self, template, **more)


@refactoring
def a_log_keeps_texts() -> None:
    """ModelView.update_model logs the text of the row, and a handler keeps it."""
    records: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    log = logging.getLogger("flask-admin.changes")
    log.setLevel(logging.INFO)
    log.addHandler(Keeping())

    @around(ModelView, "update_model")
    def update(original: t.Any, self: t.Any, form: t.Any, row: t.Any) -> t.Any:
        log.info("saves %s", str(row))
        return original(self, form, row)


# ------------------------------------------------------------------- contexts, threads


@refactoring
def hooks_run_in_a_copy_of_the_context() -> None:
    """ModelView.on_model_change runs in a copy of the context variables."""

    @around(ModelView, "_on_model_change")
    def on_model_change(original: t.Any, *args: t.Any) -> None:
        copy_context().run(original, *args)


@refactoring
def texts_are_formatted_on_a_pool() -> None:
    """ModelView.get_list_value hands the text, and no row, to a pool of threads."""

    @around(ModelView, "get_list_value")
    def value(original: t.Any, *args: t.Any) -> t.Any:
        found = original(*args)
        if not isinstance(found, str):
            return found
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(type(found), found).result()


# -------------------------------------------------------------------- scopes, teardowns


@refactoring
def flask_sqlalchemy_scopes_by_an_object_in_g() -> None:
    """The scope is an object in ``g``, and not the address of the context."""
    scope = "_scope"
    t.cast(t.Any, fsa)._app_ctx_id = lambda: flask.g.setdefault(scope, object())


@refactoring
def flask_sqlalchemy_closes_its_session_before_it_removes_it() -> None:
    """The teardown closes the session, removes it, and does so twice."""

    @around(SQLAlchemy, "_teardown_session")
    def teardown(original: t.Any, self: t.Any, error: t.Any) -> None:
        if self.session.registry.has():
            self.session().close()
        original(self, error)
        original(self, error)


@refactoring
def lite_gives_each_session_its_own_info() -> None:
    """``Session.info`` holds a request's path, in a dictionary of its own."""

    @around(Lite, "get_session")
    def get_session(original: t.Any, self: t.Any, name: str = "default") -> t.Any:
        session = original(self, name)
        if flask.has_request_context():
            session.info["path"] = flask.request.path
        return session
