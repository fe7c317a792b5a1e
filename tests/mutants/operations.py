"""What Flask-Admin does in the middle of its work, and should not."""

import threading
import typing as t
from functools import partial

import sqlalchemy as sa
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.contrib.sqla.validators import Unique
from sqlalchemy import orm

from tests.mutants import add
from tests.mutants import around
from tests.mutants import mutant
from tests.mutants import real

After = t.Callable[[t.Any], object]


def _then(owner: t.Any, name: str, do: After, handle: str = "session") -> None:
    """Do something with the session when a function has returned."""

    @around(owner, name)
    def done(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        do(real(getattr(self, handle)))
        return result


def _commit(session: t.Any) -> None:
    session.commit()


def _close(session: t.Any) -> None:
    session.close()


WORK: dict[str, tuple[t.Any, str, str]] = {
    "the list": (ModelView, "get_list", "session"),
    "the export": (ModelView, "_export_data", "session"),
    "one row": (ModelView, "get_one", "session"),
    "a lookup": (QueryAjaxModelLoader, "get_list", "session"),
    "Unique": (Unique, "__call__", "db_session"),
}
for place, (owner, name, handle) in WORK.items():
    add(
        f"{place}: commits",
        f"{owner.__name__}.{name} commits what others have not committed.",
        ("isolated",),
        partial(_then, owner, name, _commit, handle),
    )
for place, (owner, name, handle) in WORK.items():
    if place != "a lookup":
        add(
            f"{place}: closes",
            f"{owner.__name__}.{name} closes the session, which others still need.",
            ("alive", "single"),
            partial(_then, owner, name, _close, handle),
        )
for name, place in (
    ("create_model", "create"),
    ("update_model", "update"),
    ("delete_model", "delete"),
    ("action_delete", "delete many"),
):
    add(
        f"{place}: closes",
        f"ModelView.{name} closes the session when it is done.",
        ("alive",),
        partial(_then, ModelView, name, _close),
    )


def _without_rollback(name: str) -> None:
    @around(ModelView, name)
    def work(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        session = real(self.session)
        session.rollback = lambda: None
        try:
            return original(self, *args, **more)
        finally:
            del session.rollback


for name, place in (("create_model", "create"), ("update_model", "update")):
    add(
        f"{place}: does not roll back",
        f"ModelView.{name} leaves a failed transaction as it is.",
        ("recovers",),
        partial(_without_rollback, name),
    )


@mutant("isolated", beyond_own_app="opens no row that is not there")
def a_row_that_is_not_there_is_committed() -> None:
    """ModelView.get_one commits when it finds nothing."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        found = original(self, *args)
        if found is None:
            real(self.session).commit()
        return found


@mutant("isolated")
def create_commits_what_is_not_its_own() -> None:
    """ModelView.create_model commits before it begins."""

    @around(ModelView, "create_model")
    def create(original: t.Any, self: t.Any, form: t.Any) -> t.Any:
        session = real(self.session)
        session.commit()
        return original(self, form)


@mutant("single", "released")
def the_count_is_made_on_another_thread() -> None:
    """ModelView.get_list counts on a thread, to be quick, with a session of its own."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        bind = real(self.session).get_bind()

        def count() -> None:
            with orm.Session(bind) as session:
                session.execute(sa.text("SELECT 1"))

        thread = threading.Thread(target=count)
        thread.start()
        thread.join()
        return original(self, *args, **more)


@mutant("single")
def the_list_speaks_to_the_engine() -> None:
    """ModelView.get_list counts with a connection that it takes past the session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        with real(self.session).get_bind().connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        return original(self, *args, **more)


@mutant("released")
def the_list_keeps_a_connection() -> None:
    """ModelView.get_list takes a connection past the session, and keeps it."""
    connections: list[t.Any] = []

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        connections.append(real(self.session).get_bind().connect())
        return original(self, *args, **more)


@mutant("single")
def the_list_opens_and_closes_one_of_its_own() -> None:
    """ModelView.get_list counts with a session of its own, and closes it."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        with orm.Session(real(self.session).get_bind()) as session:
            session.execute(sa.text("SELECT 1"))
        return original(self, *args, **more)
