"""Objects that outlive their request, and keep a session or loaded rows alive."""

import typing as t
from functools import partial

import flask
import sqlalchemy as sa

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tools.mutants import add
from tools.mutants import around
from tools.mutants import mutant
from tools.mutants import session_of

KEPT: list[t.Any] = []


def _keep_result(owner: t.Any, name: str) -> None:
    @around(owner, name)
    def keep(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(*args, **more)
        KEPT.append(result)
        return result


RESULTS: dict[str, tuple[t.Any, str]] = {
    "the rows of a list": (ModelView, "get_list"),
    "the row of a form": (ModelView, "get_one"),
    "a query": (ModelView, "get_query"),
    "a created row": (ModelView, "create_model"),
    "a form": (ModelView, "edit_form"),
    "the rows of an export": (ModelView, "_export_data"),
    "the rows of a lookup": (QueryAjaxModelLoader, "get_list"),
}
for what, (owner, name) in RESULTS.items():
    add(
        f"kept: {what}",
        f"{owner.__name__}.{name} keeps what it returned.",
        ("released",),
        partial(_keep_result, owner, name),
    )


@mutant("released")
def a_view_keeps_its_last_row() -> None:
    """ModelView.get_one leaves the row on the view."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        self._last = original(self, *args)
        return self._last


@mutant("released")
def the_list_keeps_its_transaction() -> None:
    """ModelView.get_list keeps the transaction, and with it the session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        KEPT.append(session_of(self.session).get_transaction())
        return result


@mutant("released")
def the_list_keeps_an_unread_result() -> None:
    """ModelView.get_list keeps a result that is never read to its end."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        KEPT.append(session_of(self.session).execute(sa.select(self.model)))
        return result


@mutant("released")
def the_list_keeps_its_session() -> None:
    """ModelView.get_list keeps the session, closed or not, and never uses it again."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        KEPT.append(session_of(self.session))
        return original(self, *args, **more)


@mutant("recovers", "released")
def the_error_handler_keeps_the_exception() -> None:
    """ModelView.handle_view_exception keeps the exception, with all its frames."""

    @around(ModelView, "handle_view_exception")
    def handle(original: t.Any, self: t.Any, error: t.Any) -> t.Any:
        KEPT.append(error)
        return original(self, error)


@mutant("recovers", "released")
def create_keeps_its_session_after_an_error() -> None:
    """ModelView.create_model keeps the session when it has failed."""

    @around(ModelView, "create_model")
    def create(original: t.Any, self: t.Any, form: t.Any) -> t.Any:
        result = original(self, form)
        if not result:
            KEPT.append(session_of(self.session))
        return result


@mutant("single", "fresh")
def the_list_keeps_a_session_in_the_app() -> None:
    """ModelView.get_query puts its first session into app.extensions, and uses it."""

    @around(ModelView, "get_query")
    def get_query(original: t.Any, self: t.Any) -> t.Any:
        extensions = flask.current_app.extensions
        session = extensions.setdefault("mutant", session_of(self.session))
        return session.query(self.model)
