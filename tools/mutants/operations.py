"""Operations that do more than Flask-Admin's: commit, close, use a thread …"""

import threading
import typing as t
from contextvars import copy_context
from functools import partial

import flask
import sqlalchemy as sa
from sqlalchemy import orm

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.contrib.sqla.validators import Unique
from tools.mutants import add
from tools.mutants import around
from tools.mutants import given_by
from tools.mutants import mutant
from tools.mutants import session_of

After = t.Callable[[t.Any], object]


def _do_afterwards(owner: t.Any, name: str, do: After, handle: str = "session") -> None:
    """Do something with the session after a function has returned."""

    @around(owner, name)
    def done(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        do(session_of(getattr(self, handle)))
        return result


def _commit(session: t.Any) -> None:
    session.commit()


def _close(session: t.Any) -> None:
    session.close()


def _reset(session: t.Any) -> None:
    session.reset()


def _remove(owner: t.Any, name: str) -> None:
    """Remove the handle's session after a function has returned."""

    @around(owner, name)
    def done(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        given = given_by(self.session)
        given.remove() if isinstance(given, orm.scoped_session) else given.close()
        return result


WORK: dict[str, tuple[t.Any, str, str]] = {
    "list": (ModelView, "get_list", "session"),
    "export": (ModelView, "_export_data", "session"),
    "row": (ModelView, "get_one", "session"),
    "lookup": (QueryAjaxModelLoader, "get_list", "session"),
    "Unique": (Unique, "__call__", "db_session"),
}
for place, (owner, name, handle) in WORK.items():
    add(
        f"{place}: commits",
        f"{owner.__name__}.{name} commits the changes of other code.",
        ("isolated",),
        partial(_do_afterwards, owner, name, _commit, handle),
    )
for place, (owner, name, handle) in WORK.items():
    if place != "lookup":
        add(
            f"{place}: closes",
            f"{owner.__name__}.{name} closes the session, which is still needed.",
            ("alive", "single"),
            partial(_do_afterwards, owner, name, _close, handle),
        )
for name, place in (
    ("create_model", "create"),
    ("update_model", "update"),
    ("delete_model", "delete"),
    ("action_delete", "delete many"),
):
    add(
        f"{place}: closes",
        f"ModelView.{name} closes the session at its end.",
        ("alive",),
        partial(_do_afterwards, ModelView, name, _close),
    )
for place in ("list", "export", "row"):
    owner, name, _ = WORK[place]
    add(
        f"{place}: resets",
        f"{owner.__name__}.{name} resets the session, which is still needed.",
        ("alive",),
        partial(_do_afterwards, owner, name, _reset),
    )
add(
    "create: resets",
    "ModelView.create_model resets the session at its end.",
    ("alive",),
    partial(_do_afterwards, ModelView, "create_model", _reset),
)
for name, place in (
    ("get_list", "list"),
    ("get_one", "row"),
    ("update_model", "update"),
):
    add(
        f"{place}: removes",
        f"ModelView.{name} removes the session at its end.",
        ("alive", "single"),
        partial(_remove, ModelView, name),
    )


def _in_a_new_context(owner: t.Any, name: str) -> None:
    @around(owner, name)
    def work(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        with flask.current_app.app_context():
            return original(*args, **more)


for place in ("list", "lookup"):
    owner, name, _ = WORK[place]
    add(
        f"{place}: runs in a new app context",
        f"{owner.__name__}.{name} runs in a new app context, which closes the session.",
        ("alive", "single"),
        partial(_in_a_new_context, owner, name),
    )


def _without_rollback(name: str) -> None:
    @around(ModelView, name)
    def work(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        session = session_of(self.session)
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


@mutant("isolated")
def finding_no_row_commits() -> None:
    """ModelView.get_one commits when it finds nothing."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        found = original(self, *args)
        if found is None:
            session_of(self.session).commit()
        return found


@mutant("isolated")
def create_commits_before_it_begins() -> None:
    """ModelView.create_model commits before it begins."""

    @around(ModelView, "create_model")
    def create(original: t.Any, self: t.Any, form: t.Any) -> t.Any:
        session = session_of(self.session)
        session.commit()
        return original(self, form)


def _on_a_thread(work: t.Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@mutant("single", "released")
def the_list_counts_on_a_thread_with_a_new_session() -> None:
    """ModelView.get_list counts on a thread, with a new session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        bind = session_of(self.session).get_bind()

        def count() -> None:
            with orm.Session(bind) as session:
                session.execute(sa.text("SELECT 1"))

        _on_a_thread(count)
        return original(self, *args, **more)


def _counts_on_a_thread(take_along: t.Callable[..., t.Any]) -> None:
    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        session = session_of(self.session)
        connection = session.connection()  # Flask-SQLAlchemy needs a context for it

        def count() -> None:
            session.execute(sa.select(self.model)).first()

        _on_a_thread(take_along(count))
        assert connection is session.connection()
        return original(self, *args, **more)


@mutant("single", "released")
def the_list_counts_on_a_thread_with_its_session() -> None:
    """ModelView.get_list counts on a thread, with the session of the request."""
    _counts_on_a_thread(flask.copy_current_request_context)


@mutant("single", "released")
def the_list_counts_on_a_thread_with_its_session_and_context() -> None:
    """ModelView.get_list does so, and its context variables are copied."""
    _counts_on_a_thread(lambda count: partial(copy_context().run, count))


@mutant("single", "released")
def the_list_counts_on_a_thread_with_the_handle() -> None:
    """ModelView.get_list counts on a thread, with the session that the handle gives."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        @flask.copy_current_request_context
        def count() -> None:
            session_of(self.session).execute(sa.text("SELECT 1"))

        _on_a_thread(count)
        return original(self, *args, **more)


@mutant("recovers")
def a_failed_list_empties_the_next_list() -> None:
    """ModelView.get_list returns nothing once after it has failed."""
    failed: list[Exception] = []

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        try:
            count, rows = original(self, *args, **more)
        except Exception as error:
            failed.append(error.with_traceback(None))
            raise
        return (0, []) if failed and failed.pop() else (count, rows)


@mutant("released", "alive", "single")
def a_view_reads_at_the_teardown() -> None:
    """A view reads again at the teardown of the app context."""

    @around(ModelView, "create_blueprint")
    def create(original: t.Any, self: t.Any, admin: t.Any) -> t.Any:
        def end(sender: object, **more: object) -> None:
            session_of(self.session).execute(sa.text("SELECT 1"))

        self._at_the_end = end  # or nothing keeps it alive
        flask.appcontext_tearing_down.connect(end, admin.app)
        return original(self, admin)


@mutant("released", "alive", "single")
def a_view_reads_after_the_response() -> None:
    """A view reads again after the client has its response."""

    @around(ModelView, "create_blueprint")
    def create(original: t.Any, self: t.Any, admin: t.Any) -> t.Any:
        def read() -> None:
            with admin.app.app_context():
                session_of(self.session).execute(sa.text("SELECT 1"))

        def end(response: flask.Response) -> flask.Response:
            response.call_on_close(read)
            return response

        blueprint = original(self, admin)
        blueprint.after_request(end)
        return blueprint


@mutant("isolated")
def the_list_commits_by_the_connection() -> None:
    """ModelView.get_list commits the connection, and not the session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        session_of(self.session).connection().commit()
        return result


@mutant("isolated")
def the_list_commits_by_the_driver() -> None:
    """ModelView.get_list commits the connection of the driver."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        result = original(self, *args, **more)
        session_of(self.session).connection().connection.dbapi_connection.commit()
        return result


@mutant("single")
def the_list_counts_past_the_session() -> None:
    """ModelView.get_list counts with a connection that it takes past the session."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        with session_of(self.session).get_bind().connect() as connection:
            connection.execute(sa.text("SELECT 1"))
        return original(self, *args, **more)


@mutant("released")
def the_list_keeps_a_connection() -> None:
    """ModelView.get_list takes a connection past the session, and keeps it."""
    connections: list[t.Any] = []

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        connections.append(session_of(self.session).get_bind().connect())
        return original(self, *args, **more)


@mutant("single")
def the_list_counts_with_a_new_session() -> None:
    """ModelView.get_list counts with a new session, and closes it."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        with orm.Session(session_of(self.session).get_bind()) as session:
            session.execute(sa.text("SELECT 1"))
        return original(self, *args, **more)
