"""Scopes that look right to one client: by user, address, thread, blueprint, task."""

import threading
import typing as t
from contextvars import ContextVar
from functools import partial
from weakref import WeakKeyDictionary

import flask
import sqlalchemy as sa
from flask_sqlalchemy import extension as fsa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FSASession
from flask_sqlalchemy_lite import _extension as lite
from sqlalchemy import orm

from tools.mutants import add
from tools.mutants import around
from tools.mutants import mutant
from tools.mutants import refactoring
from tools.mutants import second_app

Lite: t.Any = lite.SQLAlchemy
Key = t.Callable[[], object]  # ``None``: the session is that of the context
SCOPE = "_mutant_scope"  # in ``g``: the key of the context's session


def _user() -> object:
    return flask.session.get("user") if flask.has_request_context() else None


def _address() -> object:
    """Return the address of a client behind a proxy."""
    if not flask.has_request_context():
        return None
    return flask.request.headers.get("X-Forwarded-For")


def _worker() -> object:
    """Return the thread, if it is a worker of a server."""
    thread = threading.current_thread()
    return None if thread is threading.main_thread() else thread.ident


def _blueprint() -> object:
    return flask.request.blueprint if flask.has_request_context() else None


def _scope(key: Key, keeps: bool) -> None:
    """Choose the scope of a session once for each context.

    ``keeps``: is a session with a key never removed? Otherwise it is removed when a
    request ends that uses it, and only requests at the same time share it.
    """

    def scope() -> object:
        context = flask.globals.app_ctx._get_current_object()  # type: ignore[attr-defined]
        if SCOPE not in flask.g:
            setattr(flask.g, SCOPE, key() or id(context))
        return getattr(flask.g, SCOPE)

    t.cast(t.Any, fsa)._app_ctx_id = scope

    @around(SQLAlchemy, "_teardown_session")
    def teardown(original: t.Any, self: t.Any, error: t.Any) -> None:
        context = flask.globals.app_ctx._get_current_object()  # type: ignore[attr-defined]
        if keeps and flask.g.get(SCOPE, id(context)) != id(context):
            return
        original(self, error)


SCOPES: dict[str, tuple[Key, bool]] = {  # by what: is it beyond the drop-in?
    "user": (_user, True),
    "address behind a proxy": (_address, True),
    "worker thread": (_worker, False),
    "blueprint": (_blueprint, False),
    "second app": (second_app, True),
}
for what, (key, beyond) in SCOPES.items():
    add(
        f"flask sqlalchemy keeps a session for each {what}",
        f"All requests of a {what} share a session, which is never removed.",
        ("fresh", "released", "isolated"),
        partial(_scope, key, True),
        beyond,
    )
for what, beyond in ("user", True), ("blueprint", False):
    add(
        f"flask sqlalchemy shares a session between requests of a {what}",
        f"Requests of a {what} share a session, if they run at the same time.",
        ("fresh", "isolated", "single"),
        partial(_scope, SCOPES[what][0], False),
        beyond,
    )


@mutant("alive", "single")
def flask_sqlalchemy_scopes_its_session_by_thread() -> None:
    """The session is that of the thread. The end of an inner context removes it."""
    t.cast(t.Any, fsa)._app_ctx_id = threading.get_ident


def _pool_of_sessions(size: int) -> None:
    """Hand out closed sessions again, once there are more than ``size`` of them."""
    free: list[t.Any] = []

    def get_session(self: t.Any, name: str = "default") -> t.Any:
        sessions = flask.g.setdefault("_sqlalchemy_sessions", {})
        if name not in sessions:
            again = len(free) > size and name == "default"
            sessions[name] = free.pop(0) if again else self.sessionmaker()
        return sessions[name]

    Lite.get_session = get_session

    @around(lite, "_close_sessions")
    def close(original: t.Any, error: t.Any) -> None:
        free.extend(flask.g.get("_sqlalchemy_sessions", {}).values())
        original(error)


for size, how in (0, "again"), (3, "again in turn"):
    add(
        f"lite hands out its sessions {how}",
        f"A closed session is handed out again, after {size} others.",
        ("fresh", "released"),
        partial(_pool_of_sessions, size),
    )


@mutant("isolated", "fresh")
def all_sessions_have_one_info() -> None:
    """``Session.info`` is one dictionary for all sessions."""
    t.cast(t.Any, orm.Session).info = {}


@mutant("released")
def flask_sqlalchemy_adds_a_listener_for_all_sessions() -> None:
    """Each session adds a listener for all sessions, which refers to that session."""

    @around(FSASession, "__init__")
    def init(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> None:
        original(self, *args, **more)

        def on_rollback(session: t.Any) -> None:
            if session is self:
                session.info["rolled back"] = True

        sa.event.listen(orm.Session, "after_rollback", on_rollback)


@mutant("fresh", "alive", "released")
def lite_keeps_its_session_in_a_context_variable() -> None:
    """The session is in a context variable, which a task of the request inherits."""
    current: ContextVar[t.Any] = ContextVar("current", default=None)

    def get_session(self: t.Any, name: str = "default") -> t.Any:
        if current.get() is None:
            current.set(self.sessionmaker())
        return current.get()

    Lite.get_session = get_session

    def close(error: t.Any) -> None:
        if current.get() is not None:
            current.get().close()
            current.set(None)

    t.cast(t.Any, lite)._close_sessions = close


@refactoring
def lite_keeps_its_sessions_by_context() -> None:
    """The sessions are in a weak dictionary by context, and not in ``g``."""
    sessions: WeakKeyDictionary[t.Any, dict[str, t.Any]] = WeakKeyDictionary()

    def context() -> t.Any:
        return flask.globals.app_ctx._get_current_object()  # type: ignore[attr-defined]

    def get_session(self: t.Any, name: str = "default") -> t.Any:
        found = sessions.setdefault(context(), {})
        if name not in found:
            found[name] = self.sessionmaker()
        return found[name]

    Lite.get_session = get_session

    def close(error: t.Any) -> None:
        for session in sessions.pop(context(), {}).values():
            session.close()

    t.cast(t.Any, lite)._close_sessions = close
