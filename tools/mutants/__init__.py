"""Deliberate breaks of session scoping, patched into the installed packages.

A mutant is a function that patches Flask-Admin, Flask-SQLAlchemy, Flask-SQLAlchemy-Lite
or SQLAlchemy when it is called. Its name says what is broken, and its docstring how. A
guard has to report at least one of its rules. A mutant without a rule is a harmless
change, which no guard may report. ``python -m tools.mutants`` runs both guards on each
mutant.
"""

import typing as t
from contextlib import contextmanager
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from weakref import WeakKeyDictionary

import flask
from sqlalchemy import orm

from flask_admin.contrib.sqla import _compat
from flask_admin.contrib.sqla import ajax
from flask_admin.contrib.sqla import fields
from flask_admin.contrib.sqla import form
from flask_admin.contrib.sqla import validators
from flask_admin.contrib.sqla import view


@dataclass(frozen=True)
class Mutant:
    """A deliberate break."""

    name: str
    sentence: str
    rules: tuple[str, ...]  # at least one has to be reported; none: it is harmless
    apply: t.Callable[[], None]
    beyond: bool = False  # does no operation of the drop-in reach it?


MUTANTS: dict[str, Mutant] = {}
NONE = Mutant("none", "Everything as it was installed.", (), lambda: None)


def add(
    name: str,
    sentence: str,
    rules: t.Sequence[str],
    apply: t.Callable[[], None],
    beyond: bool = False,
) -> None:
    """Register a mutant. ``beyond``: no operation of the drop-in reaches it."""
    assert name not in MUTANTS, name
    MUTANTS[name] = Mutant(name, sentence, tuple(rules), apply, beyond)


def mutant(
    *rules: str, beyond: bool = False
) -> t.Callable[[t.Callable[[], None]], t.Callable[[], None]]:
    """Register a function that breaks one of these rules when it is called."""

    def register(apply: t.Callable[[], None]) -> t.Callable[[], None]:
        name = apply.__name__.replace("_", " ")
        add(name, (apply.__doc__ or "").strip(), rules, apply, beyond)
        return apply

    return register


refactoring = mutant()  # registers a function that breaks no rule


def around(owner: t.Any, name: str) -> t.Callable[[t.Callable[..., t.Any]], None]:
    """Replace a function. The replacement gets the original as its first argument."""

    def patch(replacement: t.Callable[..., t.Any]) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def replaced(*args: t.Any, **more: t.Any) -> t.Any:
            return replacement(original, *args, **more)

        setattr(owner, name, replaced)

    return patch


def second_app() -> flask.Flask | None:
    """Return the current app, if its extension object has an earlier app."""
    extension = flask.current_app.extensions["sqlalchemy"]
    is_lite = hasattr(extension, "_app_state")
    apps = extension._app_state if is_lite else extension._app_engines
    app = flask.globals.app_ctx.app
    return app if next(iter(apps)) is not app else None


# ------------------------------------------------------ the session that a handle gives

Choose = t.Callable[[t.Any], t.Any]
given_by: t.Callable[[t.Any], t.Any] = _compat._get_deprecated_session
CHOOSE: ContextVar[Choose | None] = ContextVar("CHOOSE", default=None)


def session_of(handle: t.Any) -> t.Any:
    """Return the session that a handle gives, without a proxy."""
    given = given_by(handle)
    return given() if isinstance(given, orm.scoped_session) else given


def new_session(handle: t.Any) -> t.Any:
    """Make a session that is never closed."""
    return orm.Session(session_of(handle).get_bind())


def first_of(make: Choose = session_of) -> Choose:
    """Return a function that gives the first session that it has made for a handle."""
    sessions: WeakKeyDictionary[t.Any, t.Any] = WeakKeyDictionary()

    def choose(handle: t.Any) -> t.Any:
        if handle not in sessions:
            sessions[handle] = make(handle)
        return sessions[handle]

    return choose


def _chosen_session(handle: t.Any) -> t.Any:
    choose = CHOOSE.get()
    return choose(handle) if choose else given_by(handle)


@contextmanager
def choosing(choose: Choose) -> t.Iterator[None]:
    token = CHOOSE.set(choose)
    try:
        yield
    finally:
        CHOOSE.reset(token)


def choose_sessions(
    owner: t.Any,
    name: str,
    choose: Choose,
    when: t.Callable[[t.Any], bool] = lambda self: True,
) -> None:
    """While a function runs, let ``choose`` give the session of every handle.

    ``when``: takes the object whose method it is, and says if that is to be done.
    """
    for module in (ajax, fields, form, validators, view):
        t.cast(t.Any, module)._get_deprecated_session = _chosen_session

    @around(owner, name)
    def replaced(
        original: t.Callable[..., t.Any], *args: t.Any, **more: t.Any
    ) -> t.Any:
        with choosing(choose) if when(args[0]) else nullcontext():
            return original(*args, **more)
