"""Values that outlive their request: texts, keys, pages, pickled or detached rows.

They are no instances of a session, or no session knows them any longer. What shows them
is that the next request does not show what another request has committed.
"""

import logging
import pickle
import typing as t
from functools import partial

import flask
import sqlalchemy as sa

from flask_admin.base import BaseView
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.contrib.sqla.fields import QuerySelectField
from tools.mutants import add
from tools.mutants import around
from tools.mutants import mutant
from tools.mutants import session_of

STALE = ("fresh",)
Key = t.Callable[..., object]
Convert = t.Callable[..., t.Any]


def _remember(
    owner: t.Any,
    name: str,
    key: Key,
    store: Convert = lambda result: result,
    load: Convert = lambda kept, *args: kept,
) -> None:
    """Let a function return what it has returned at first, stored in another form.

    ``key``, ``load``: take the arguments of the function, too.
    """
    kept: dict[object, t.Any] = {}

    @around(owner, name)
    def remembered(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        at = key(*args, **more)
        if at not in kept:
            kept[at] = store(original(*args, **more))
        return load(kept[at], *args)


def _text(value: t.Any) -> str:
    return value if isinstance(value, str) else str(value)


def _merged(pickled: bytes, view: t.Any, *args: t.Any) -> t.Any:
    """Return a row that was pickled, in the session of this request."""
    row = pickle.loads(pickled)
    return row and session_of(view.session).merge(row, load=False)


REMEMBERED: dict[str, tuple[str, t.Callable[[], None]]] = {
    "list: keeps the texts of its cells": (
        "ModelView.get_list_value keeps its texts, by the key of the row.",
        partial(
            _remember,
            *(ModelView, "get_list_value"),
            lambda view, context, row, name: (
                view.endpoint,
                view.get_pk_value(row),
                name,
            ),
            _text,
        ),
    ),
    "export: keeps the texts of its cells": (
        "ModelView.get_export_value keeps its texts, by the key of the row.",
        partial(
            _remember,
            *(ModelView, "get_export_value"),
            lambda view, row, name: (view.endpoint, view.get_pk_value(row), name),
            _text,
        ),
    ),
    "lookup: keeps its labels": (
        "QueryAjaxModelLoader.format keeps its labels, by the key of the row.",
        partial(
            _remember,
            *(QueryAjaxModelLoader, "format"),
            lambda loader, row: row and (loader, getattr(row, loader.pk)),
        ),
    ),
    "row: kept as a pickle": (
        "ModelView.get_one keeps pickled rows, and merges them without a query.",
        partial(
            _remember,
            *(ModelView, "get_one"),
            lambda view, key: (view.endpoint, str(key)),
            pickle.dumps,
            _merged,
        ),
    ),
    "view: keeps its pages": (
        "BaseView.render keeps the text of each page, by its URL.",
        partial(
            _remember,
            *(BaseView, "render"),
            lambda view, template, **more: (view.endpoint, flask.request.url),
        ),
    ),
}
for name, (sentence, apply) in REMEMBERED.items():
    add(name, sentence, STALE, apply)


@mutant(*STALE)
def a_lookup_keeps_rows_that_it_has_taken_out_of_the_session() -> None:
    """QueryAjaxModelLoader.get_list searches in detached rows, which it keeps."""
    kept: dict[t.Any, list[t.Any]] = {}

    @around(QueryAjaxModelLoader, "get_list")
    def get_list(
        original: t.Any, self: t.Any, term: str, offset: t.Any, limit: int
    ) -> t.Any:
        if self not in kept:
            kept[self] = self.get_query().all()
            for row in kept[self]:
                sa.inspect(row).session.expunge(row)
        found = [row for row in kept[self] if term.lower() in str(row).lower()]
        return found[offset or 0 :][:limit]


@mutant(*STALE)
def choices_are_kept_as_texts() -> None:
    """QuerySelectField.iter_choices keeps its choices as keys and texts."""
    kept: dict[t.Any, list[t.Any]] = {}

    @around(QuerySelectField, "iter_choices")
    def choices(original: t.Any, self: t.Any) -> t.Iterator[t.Any]:
        factory = self.query_factory
        if factory not in kept:
            kept[factory] = [(key, str(row)) for key, row in self._get_object_list()]
        labels = dict(kept[factory])
        for key, label, *rest in original(self):
            yield key, labels.get(key, label), *rest


@mutant(*STALE)
def the_list_keeps_the_keys_of_its_rows() -> None:
    """ModelView.get_list keeps the keys that it has found at first, and their count."""
    kept: dict[object, t.Any] = {}

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        at = self.endpoint, repr(args), repr(more)
        if at not in kept:
            count, rows = original(self, *args, **more)
            kept[at] = count, [sa.inspect(row).identity_key[:2] for row in rows]
            return count, rows
        count, keys = kept[at]
        session = session_of(self.session)
        rows = [session.get(*key) for key in keys]
        return count, [row for row in rows if row is not None]


@mutant(*STALE, "released")
def a_form_class_keeps_what_a_field_has_loaded() -> None:
    """QuerySelectField keeps its first list of rows for all forms of its class."""
    kept: dict[t.Any, list[t.Any]] = {}

    @around(QuerySelectField, "_get_object_list")
    def get_object_list(original: t.Any, self: t.Any) -> t.Any:
        if self.query_factory not in kept:
            kept[self.query_factory] = original(self)
        return kept[self.query_factory]


@mutant("released")
def a_view_keeps_the_arguments_of_its_template() -> None:
    """BaseView.render keeps the arguments of its last template on the view."""

    @around(BaseView, "render")
    def render(original: t.Any, self: t.Any, template: str, **more: t.Any) -> t.Any:
        self._last_arguments = more
        return original(self, template, **more)


@mutant("released")
def a_log_keeps_its_records() -> None:
    """ModelView.update_model logs the row, and a handler keeps the records."""

    class Keeping(logging.Handler):
        def __init__(self) -> None:
            super().__init__()
            self.records: list[logging.LogRecord] = []

        def emit(self, record: logging.LogRecord) -> None:
            self.records.append(record)

    log = logging.getLogger("flask-admin.changes")
    log.setLevel(logging.INFO)
    log.addHandler(Keeping())

    @around(ModelView, "update_model")
    def update(original: t.Any, self: t.Any, form: t.Any, row: t.Any) -> t.Any:
        log.info("saves %s", row)
        return original(self, form, row)
