"""Deliberate breaks of session scoping, patched into what is installed.

A mutant is a function that patches Flask-Admin, Flask-SQLAlchemy, -Lite or SQLAlchemy
when it is called. Its name says what is broken, its docstring how, and its rule which
rule a guard has to name. ``python -m tests.mutants`` lets both guards loose on each.
"""

import typing as t
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from weakref import WeakKeyDictionary

from sqlalchemy import orm

from flask_admin.contrib.sqla import _compat
from flask_admin.contrib.sqla import ajax
from flask_admin.contrib.sqla import fields
from flask_admin.contrib.sqla import form
from flask_admin.contrib.sqla import validators
from flask_admin.contrib.sqla import view


@dataclass(frozen=True)
class Mutant:
    """One break."""

    name: str
    sentence: str
    rules: tuple[str, ...]  # one of these has to be reported as broken
    apply: t.Callable[[], None]


MUTANTS: dict[str, Mutant] = {}
NONE = Mutant("none", "Everything as it was installed.", (), lambda: None)


def add(
    name: str,
    sentence: str,
    rules: t.Sequence[str],
    apply: t.Callable[[], None],
) -> None:
    assert name not in MUTANTS, name
    MUTANTS[name] = Mutant(name, sentence, tuple(rules), apply)


def mutant(
    *rules: str,
) -> t.Callable[[t.Callable[[], None]], t.Callable[[], None]]:
    """The function breaks one of these rules when it is called."""

    def keep(apply: t.Callable[[], None]) -> t.Callable[[], None]:
        name = apply.__name__.replace("_", " ")
        add(name, (apply.__doc__ or "").strip(), rules, apply)
        return apply

    return keep


def around(owner: t.Any, name: str) -> t.Callable[[t.Callable[..., t.Any]], None]:
    """Put a function in the place of one, which it gets as its first argument."""

    def put(replacement: t.Callable[..., t.Any]) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def replaced(*args: t.Any, **more: t.Any) -> t.Any:
            return replacement(original, *args, **more)

        setattr(owner, name, replaced)

    return put


# ----------------------------------------------------------- what is asked of a handle

Choose = t.Callable[[t.Any], t.Any]
ask: t.Callable[[t.Any], t.Any] = _compat._get_deprecated_session
CHOOSE: ContextVar[Choose | None] = ContextVar("CHOOSE", default=None)


def real(handle: t.Any) -> t.Any:
    """The session itself, and not what stands for it."""
    given = ask(handle)
    return given() if isinstance(given, orm.scoped_session) else given


def private(handle: t.Any) -> t.Any:
    """Another session than that of the request, which nobody closes."""
    return orm.Session(real(handle).get_bind())


def kept(make: Choose = real) -> Choose:
    """The session that was first made, for ever."""
    sessions: WeakKeyDictionary[t.Any, t.Any] = WeakKeyDictionary()

    def choose(handle: t.Any) -> t.Any:
        if handle not in sessions:
            sessions[handle] = make(handle)
        return sessions[handle]

    return choose


def _asked(handle: t.Any) -> t.Any:
    choose = CHOOSE.get()
    return choose(handle) if choose else ask(handle)


@contextmanager
def asking(choose: Choose) -> t.Iterator[None]:
    token = CHOOSE.set(choose)
    try:
        yield
    finally:
        CHOOSE.reset(token)


def asks(owner: t.Any, name: str, choose: Choose) -> None:
    """While a function runs, every handle that is asked answers by ``choose``."""
    for module in (ajax, fields, form, validators, view):
        t.cast(t.Any, module)._get_deprecated_session = _asked

    @around(owner, name)
    def ask_so(original: t.Callable[..., t.Any], *args: t.Any, **more: t.Any) -> t.Any:
        with asking(choose):
            return original(*args, **more)
