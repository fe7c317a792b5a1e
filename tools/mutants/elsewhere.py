"""Work that goes elsewhere: another context, thread, time or connection."""

import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial

import flask
import sqlalchemy as sa
from flask_sqlalchemy.session import Session as FSASession

from flask_admin.contrib.sqla import ModelView
from tools.mutants import add
from tools.mutants import around
from tools.mutants import mutant
from tools.mutants import session_of


@mutant("single", "alive")
def hooks_run_in_a_context_of_their_own() -> None:
    """ModelView.on_model_change runs in an app context of its own."""

    @around(ModelView, "_on_model_change")
    def on_model_change(original: t.Any, self: t.Any, *args: t.Any) -> None:
        with flask.current_app.app_context():
            original(self, *args)


@mutant("single", "alive", "released", beyond=True)
def hooks_run_when_the_response_is_closed() -> None:
    """ModelView.on_model_change runs when the client has its response."""

    @around(ModelView, "_on_model_change")
    def on_model_change(original: t.Any, self: t.Any, *args: t.Any) -> None:
        app = flask.current_app._get_current_object()  # type: ignore[attr-defined]

        def work() -> None:
            with app.app_context():
                original(self, *args)

        @flask.after_this_request
        def later(response: flask.Response) -> flask.Response:
            response.call_on_close(work)
            return response


def _on_a_pool(owner: t.Any, name: str) -> None:
    """Run a function on a thread of a pool, in the context of the request."""

    @around(owner, name)
    def work(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        run = partial(copy_context().run, original, *args, **more)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()


for name, what in (
    ("create_model", "create: adds its row"),
    ("update_model", "update: saves its row"),
    ("delete_model", "delete: deletes its row"),
    ("get_list_value", "list: formats its cells"),
):
    add(
        f"{what} on a thread of a pool",
        f"ModelView.{name} runs on a thread of a pool.",
        ("single", "released"),
        partial(_on_a_pool, ModelView, name),
        beyond=name == "get_list_value",
    )


@mutant("single", "released")
def the_delete_action_deletes_each_row_on_a_thread() -> None:
    """ModelView.action_delete deletes each row on a thread, with its own context."""

    @around(ModelView, "action_delete")
    def action_delete(original: t.Any, self: t.Any, ids: t.Any) -> None:
        app = flask.current_app._get_current_object()  # type: ignore[attr-defined]

        def delete(key: str) -> None:
            with app.app_context():
                session = session_of(self.session)
                session.delete(session.get(self.model, key))
                session.commit()

        with ThreadPoolExecutor(1) as pool:
            [*pool.map(delete, ids)]


def _autocommits(engine: t.Any) -> t.Any:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@mutant("single")
def the_row_is_read_on_another_connection_in_autocommit() -> None:
    """ModelView.get_one locks nothing: it first reads on a connection in autocommit."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, key: t.Any) -> t.Any:
        engine = session_of(self.session).get_bind()
        with _autocommits(engine).connect() as connection:
            connection.execute(sa.select(self.model.__table__).limit(1)).all()
        return original(self, key)


@mutant("isolated")
def sessions_are_in_autocommit() -> None:
    """The session of Flask-SQLAlchemy saves each statement at once."""

    @around(FSASession, "get_bind")
    def get_bind(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        engine = original(self, *args, **more)
        options = self.__dict__.setdefault("_autocommits", {})
        return options.setdefault(engine, _autocommits(engine))


def _driver(view: t.Any) -> t.Any:
    """Return the connection of the driver that serves the session."""
    return session_of(view.session).connection().connection.dbapi_connection


@mutant("isolated", "released")
def the_list_leaves_its_connection_in_autocommit() -> None:
    """ModelView.get_list reads in autocommit, and so does who gets the connection."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        _driver(self).isolation_level = None
        return result


@mutant("released", "recovers")
def the_list_leaves_its_connection_read_only() -> None:
    """ModelView.get_list makes its connection read only, and never writable again."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        _driver(self).execute("PRAGMA query_only = ON")
        return result
