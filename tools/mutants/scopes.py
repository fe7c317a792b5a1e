"""Handles that give the wrong session, and teardowns that do not close it."""

import itertools
import threading
import typing as t
from functools import partial

import flask
from flask_sqlalchemy import extension as fsa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy_lite import _extension as lite
from sqlalchemy import orm
from sqlalchemy.orm import Session

from tools.mutants import add
from tools.mutants import around
from tools.mutants import mutant

Lite: t.Any = lite.SQLAlchemy
CALLS = itertools.count()

# ------------------------------------------------------------------------------ scopes


def _scope(key: t.Callable[[], t.Any]) -> None:
    t.cast(t.Any, fsa)._app_ctx_id = key


@mutant("fresh", "isolated", "released")
def flask_sqlalchemy_shares_a_session_until_a_context_ends() -> None:
    """All app contexts share a session, until a context ends."""
    _scope(lambda: 1)


@mutant("isolated", "fresh", "released", "single")
def flask_sqlalchemy_shares_a_session_and_never_removes_it() -> None:
    """All app contexts share a session, which is never removed."""
    _scope(lambda: 1)
    t.cast(t.Any, SQLAlchemy)._teardown_session = lambda self, error: None


@mutant("single", "released")
def flask_sqlalchemy_makes_a_session_at_each_call() -> None:
    """Each call gets a new session."""
    _scope(lambda: next(CALLS))


@mutant("single", "released")
def flask_sqlalchemy_makes_a_session_at_every_third_call() -> None:
    """Every third call gets a new session, and so does every context."""
    _scope(lambda: (id(flask.g._get_current_object()), next(CALLS) // 3))


def _lite_sessions(store: t.Callable[[], dict[t.Any, t.Any]]) -> None:
    def get_session(self: t.Any, name: str = "default") -> t.Any:
        sessions = store()
        key = name, flask.current_app._get_current_object()  # type: ignore[attr-defined]
        if key not in sessions:
            sessions[key] = self.sessionmaker()
        return sessions[key]

    Lite.get_session = get_session


@mutant("fresh", "isolated", "released")
def lite_shares_a_session() -> None:
    """The session is kept in the extension, and not in ``g``."""
    sessions: dict[t.Any, t.Any] = {}
    _lite_sessions(lambda: sessions)


@mutant("fresh", "released")
def lite_makes_a_session_for_each_thread() -> None:
    """The session is kept in a thread-local, and not in ``g``."""
    local = threading.local()
    _lite_sessions(lambda: local.__dict__)


@mutant("single", "released")
def lite_makes_a_session_at_each_call() -> None:
    """Each call makes a new session."""
    Lite.get_session = lambda self, name="default": self.sessionmaker()


# --------------------------------------------------------------------------- teardowns


@mutant("released", "fresh")
def flask_sqlalchemy_never_removes_its_session() -> None:
    """The extension's teardown does nothing."""
    t.cast(t.Any, SQLAlchemy)._teardown_session = lambda self, error: None


@mutant("released")
def flask_sqlalchemy_closes_its_session_and_keeps_it() -> None:
    """The extension's teardown closes the session, but leaves it in the registry."""
    t.cast(t.Any, SQLAlchemy)._teardown_session = lambda self, error: (
        self.session.close() if self.session.registry.has() else None
    )


@mutant("released", "isolated")
def flask_sqlalchemy_rolls_back_and_keeps_its_session() -> None:
    """The extension's teardown only rolls back."""
    t.cast(t.Any, SQLAlchemy)._teardown_session = lambda self, error: (
        self.session.rollback() if self.session.registry.has() else None
    )


@mutant("isolated")
def flask_sqlalchemy_commits_at_the_teardown() -> None:
    """The extension's teardown commits, as SQLALCHEMY_COMMIT_ON_TEARDOWN once did."""

    @around(SQLAlchemy, "_teardown_session")
    def teardown(original: t.Any, self: t.Any, error: t.Any) -> None:
        if error is None and self.session.registry.has():
            self.session.commit()
        original(self, error)


SKIPPED = "_mutant_skipped"  # in ``g``: is the teardown skipped?


def _mark(answers: t.Callable[[flask.Response], bool]) -> None:
    @around(flask.Flask, "finalize_request")
    def finalize(original: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        response = original(*args, **more)
        setattr(flask.g, SKIPPED, answers(response))
        return response


def _mark_errors() -> None:
    @around(flask.Flask, "handle_user_exception")
    def handle(original: t.Any, self: t.Any, error: t.Any) -> t.Any:
        setattr(flask.g, SKIPPED, True)
        return original(self, error)


def _skip_teardown_of_flask_sqlalchemy(mark: t.Callable[[], None]) -> None:
    mark()

    @around(SQLAlchemy, "_teardown_session")
    def teardown(original: t.Any, self: t.Any, error: t.Any) -> None:
        if not flask.g.get(SKIPPED):
            original(self, error)


def _skip_teardown_of_lite(mark: t.Callable[[], None]) -> None:
    mark()
    forgotten: list[t.Any] = []

    @around(lite, "_close_sessions")
    def close(original: t.Any, error: t.Any) -> None:
        if flask.g.get(SKIPPED):
            forgotten.append(flask.g.pop("_sqlalchemy_sessions", None))
        original(error)


MARKS: dict[str, t.Callable[[], None]] = {
    "a redirect": partial(_mark, lambda response: response.status_code == 302),
    "a 404": partial(_mark, lambda response: response.status_code == 404),
    "a stream": partial(_mark, lambda response: response.is_streamed),
    "a POST": partial(_mark, lambda response: flask.request.method == "POST"),
    "an error": _mark_errors,
}
for what, mark in MARKS.items():
    rules = ("recovers", "fresh", "released")
    add(
        f"flask sqlalchemy skips its teardown after {what}",
        f"The extension's teardown is skipped after {what}.",
        rules,
        partial(_skip_teardown_of_flask_sqlalchemy, mark),
    )
    add(
        f"lite skips its teardown after {what}",
        f"Lite's teardown forgets the sessions, open as they are, after {what}.",
        rules,
        partial(_skip_teardown_of_lite, mark),
    )


@mutant("alive")
def flask_sqlalchemy_removes_its_session_when_the_view_returns() -> None:
    """The session is removed when the view returns: other code may still use it."""

    @around(flask.Flask, "make_response")
    def make_response(original: t.Any, self: t.Any, result: t.Any) -> t.Any:
        db = self.extensions.get("sqlalchemy")
        if isinstance(db, SQLAlchemy):
            db.session.remove()
        return original(self, result)


@mutant("released")
def flask_sqlalchemy_closes_its_session_a_request_late() -> None:
    """Each teardown closes the session of the previous request."""
    late: list[t.Any] = []

    def teardown(self: t.Any, error: t.Any) -> None:
        if self.session.registry.has():
            late.append(self.session())
            self.session.registry.clear()
        while len(late) > 1:
            late.pop(0).close()

    t.cast(t.Any, SQLAlchemy)._teardown_session = teardown


@mutant("released")
def lite_never_closes_its_sessions() -> None:
    """Lite's teardown forgets the sessions, and does not close them."""
    forgotten: list[t.Any] = []

    def close(error: t.Any) -> None:
        forgotten.append(flask.g.pop("_sqlalchemy_sessions", None))

    t.cast(t.Any, lite)._close_sessions = close


@mutant("released")
def lite_closes_its_sessions_and_keeps_them() -> None:
    """Lite's teardown closes the sessions, but a list keeps them."""
    closed: list[t.Any] = []

    @around(lite, "_close_sessions")
    def close(original: t.Any, error: t.Any) -> None:
        closed.append(flask.g.get("_sqlalchemy_sessions"))
        original(error)


@mutant("isolated")
def lite_commits_at_the_teardown() -> None:
    """Lite's teardown saves what the request has not committed."""

    @around(lite, "_close_sessions")
    def close(original: t.Any, error: t.Any) -> None:
        for session in flask.g.get("_sqlalchemy_sessions", {}).values():
            if error is None and session.is_active:
                session.commit()
        original(error)


@mutant("alive")
def lite_closes_its_sessions_when_the_view_returns() -> None:
    """The sessions are closed when the view returns: other code may still use them."""

    @around(flask.Flask, "make_response")
    def make_response(original: t.Any, self: t.Any, result: t.Any) -> t.Any:
        lite._close_sessions(None)
        return original(self, result)


@mutant("released", "fresh")
def a_scoped_session_is_closed_and_never_removed() -> None:
    """``remove()`` closes the session, but leaves it in the registry."""
    t.cast(t.Any, orm.scoped_session).remove = lambda self: (
        self.registry().close() if self.registry.has() else None
    )


@mutant("released", "fresh", "isolated")
def a_scoped_session_is_never_removed() -> None:
    """``remove()`` does nothing."""
    t.cast(t.Any, orm.scoped_session).remove = lambda self: None


@mutant("released")
def a_scoped_session_is_forgotten_and_never_closed() -> None:
    """``remove()`` clears the registry, but a list keeps the session open."""
    forgotten: list[t.Any] = []

    def remove(self: t.Any) -> None:
        if self.registry.has():
            forgotten.append(self.registry())
        self.registry.clear()

    t.cast(t.Any, orm.scoped_session).remove = remove


@mutant("released", "isolated", "recovers")
def a_session_closes_without_rolling_back() -> None:
    """``Session.close()`` drops its instances, but leaves its transaction open."""
    left: list[t.Any] = []

    @around(Session, "close")
    def close(original: t.Any, self: t.Any) -> None:
        left.append(self._transaction)
        self.expunge_all()
        self._transaction = None
