"""What outlives its request, and keeps a session, or what was loaded by one."""

import typing as t

import flask
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader

from tests.mutants import around
from tests.mutants import mutant
from tests.mutants import real

View: t.Any = ModelView
KEPT: list[t.Any] = []


def _keep_result(owner: t.Any, name: str) -> None:
    @around(owner, name)
    def keep(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(*args, **more)
        KEPT.append(result)
        return result


@mutant("released")
def the_rows_of_a_list_are_kept() -> None:
    """ModelView.get_list keeps what it returned."""
    _keep_result(ModelView, "get_list")


@mutant("released")
def the_row_of_a_form_is_kept() -> None:
    """ModelView.get_one keeps what it returned."""
    _keep_result(ModelView, "get_one")


@mutant("released")
def a_query_is_kept() -> None:
    """ModelView.get_query keeps what it returned, and with it the session."""
    _keep_result(ModelView, "get_query")


@mutant("released")
def a_created_row_is_kept() -> None:
    """ModelView.create_model keeps what it made."""
    _keep_result(ModelView, "create_model")


@mutant("released")
def what_a_lookup_found_is_kept() -> None:
    """QueryAjaxModelLoader.get_list keeps what it returned."""
    _keep_result(QueryAjaxModelLoader, "get_list")


@mutant("released")
def a_form_is_kept() -> None:
    """ModelView.edit_form keeps the form, which has the row in it."""
    _keep_result(ModelView, "edit_form")


@mutant("released")
def a_view_keeps_its_last_row() -> None:
    """ModelView.get_one leaves the row on the view."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        self._last = original(self, *args)
        return self._last


@mutant("released")
def the_rows_of_an_export_are_kept() -> None:
    """ModelView._export_data keeps what it returned."""
    _keep_result(ModelView, "_export_data")


@mutant("released")
def a_transaction_is_kept() -> None:
    """ModelView.get_list keeps the transaction, and with it the session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        KEPT.append(real(self.session).get_transaction())
        return result


@mutant("released")
def a_session_is_kept_and_left_alone() -> None:
    """ModelView.get_list keeps the session, closed or not, and never uses it again."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        KEPT.append(real(self.session))
        return original(self, *args, **more)


@mutant("recovers", "released")
def an_exception_is_kept() -> None:
    """ModelView.handle_view_exception keeps what went wrong, with all its frames."""

    @around(ModelView, "handle_view_exception")
    def handle(original: t.Any, self: t.Any, error: t.Any) -> t.Any:
        KEPT.append(error)
        return original(self, error)


@mutant("recovers", "released")
def a_session_is_kept_after_an_error() -> None:
    """ModelView.create_model keeps the session when it has failed."""

    @around(ModelView, "create_model")
    def create(original: t.Any, self: t.Any, form: t.Any) -> t.Any:
        result = original(self, form)
        if not result:
            KEPT.append(real(self.session))
        return result


@mutant("single", "fresh")
def a_session_is_kept_in_the_apps_extensions() -> None:
    """ModelView.get_list reads with the session that it has put there first."""

    @around(ModelView, "get_query")
    def get_query(original: t.Any, self: t.Any) -> t.Any:
        extensions = flask.current_app.extensions
        session = extensions.setdefault("mutant", real(self.session))
        return session.query(self.model)
