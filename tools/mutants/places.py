"""Every place that takes a session from a handle keeps it, or makes another session."""

import itertools
import typing as t
from functools import partial

import flask
from sqlalchemy import orm

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.contrib.sqla.fields import InlineModelFormList
from flask_admin.contrib.sqla.fields import QuerySelectField
from flask_admin.contrib.sqla.form import AdminModelConverter
from flask_admin.contrib.sqla.form import InlineModelConverter
from flask_admin.contrib.sqla.validators import Unique
from tools.mutants import add
from tools.mutants import around
from tools.mutants import choose_sessions
from tools.mutants import first_of
from tools.mutants import new_session
from tools.mutants import session_of

PLACES: dict[str, tuple[t.Any, str]] = {
    "list": (ModelView, "get_query"),
    "count": (ModelView, "get_count_query"),
    "export": (ModelView, "_export_data"),
    "row": (ModelView, "get_one"),
    "create": (ModelView, "create_model"),
    "update": (ModelView, "update_model"),
    "delete": (ModelView, "delete_model"),
    "delete many": (ModelView, "action_delete"),
    "lookup": (QueryAjaxModelLoader, "get_query"),
    "looked-up row": (QueryAjaxModelLoader, "get_one"),
    "choices": (QuerySelectField, "_get_object_list"),
    "Unique": (Unique, "__call__"),
    "inline rows": (InlineModelFormList, "populate_obj"),
}
HOLDERS: dict[str, tuple[t.Any, str]] = {
    "view": (ModelView, "session"),
    "Unique": (Unique, "db_session"),
    "lookup": (QueryAjaxModelLoader, "session"),
    "converter": (AdminModelConverter, "session"),
    "inline converter": (InlineModelConverter, "session"),
}


def _at_startup(owner: t.Any, attribute: str) -> None:
    @around(owner, "__init__")
    def init(
        original: t.Callable[..., None], self: t.Any, *args: t.Any, **more: t.Any
    ) -> None:
        original(self, *args, **more)
        try:
            setattr(self, attribute, session_of(getattr(self, attribute)))
        except RuntimeError:
            return  # Flask-SQLAlchemy has no session where there is no app context


def _new_handle(handle: t.Any) -> t.Any:
    return orm.scoped_session(orm.sessionmaker(session_of(handle).get_bind()))


class Wrapped:
    """An object with a session as an attribute, in place of a handle."""

    def __init__(self, handle: t.Any) -> None:
        self.session = session_of(handle)


def _holds_from(method: str, make: t.Callable[[t.Any], t.Any]) -> None:
    @around(ModelView, method)
    def replace(
        original: t.Callable[..., t.Any], self: t.Any, *args: t.Any, **more: t.Any
    ) -> t.Any:
        given = self.__dict__.setdefault("_given", self.session)
        result = original(self, *args, **more)
        if self.session is given:
            self.session = make(given)
        return result


HOLDS: dict[str, tuple[str, t.Callable[[t.Any], t.Any], str]] = {
    "the session of its first list": (
        "get_list",
        session_of,
        "the session of the request",
    ),
    "the session of its first form": (
        "edit_form",
        session_of,
        "the session of the request",
    ),
    "a new scoped_session": ("get_query", _new_handle, "a scoped_session"),
    "a new scoped_session after it has saved": (
        *("create_model", _new_handle),
        "a scoped_session",
    ),
    "an object around its session": (
        "get_one",
        Wrapped,
        "an object around the session",
    ),
}
for what, (name, make, held) in HOLDS.items():
    add(
        f"view: holds {what}",
        f"ModelView.{name} replaces the handle of the view by {held}.",
        ("handle",),
        partial(_holds_from, name, make),
    )
for place, (owner, name) in PLACES.items():
    add(
        f"{place}: keeps its first session",
        f"{owner.__name__}.{name} keeps the session of its first call.",
        ("fresh", "single", "released"),
        partial(choose_sessions, owner, name, first_of()),
    )
    add(
        f"{place}: makes a session at each call",
        f"{owner.__name__}.{name} makes a session at each call.",
        ("single",),
        partial(choose_sessions, owner, name, new_session),
    )
    add(
        f"{place}: makes a session and keeps it",
        f"{owner.__name__}.{name} makes a session at its first call, and keeps it.",
        ("single", "fresh"),
        partial(choose_sessions, owner, name, first_of(new_session)),
    )


def _kept_where(argument: str) -> None:
    keep = first_of()

    def choose(handle: t.Any) -> t.Any:
        return keep(handle) if argument in flask.request.args else session_of(handle)

    choose_sessions(ModelView, "get_query", choose)


def _kept_from(count: int, owner: t.Any, name: str) -> None:
    keep, calls = first_of(), itertools.count(1)

    def choose(handle: t.Any) -> t.Any:
        return keep(handle) if next(calls) >= count else session_of(handle)

    choose_sessions(owner, name, choose)


for argument, what in (
    ("sort", "when sorted"),
    ("search", "when searched"),
    ("page", "from its second page on"),
    ("flt0_0", "when filtered"),
):
    add(
        f"list: keeps its session {what}",
        f"ModelView.get_query keeps its session when there is {argument}= in the URL.",
        ("fresh", "single", "released"),
        partial(_kept_where, argument),
    )
for place in ("list", "row"):
    owner, name = PLACES[place]
    add(
        f"{place}: keeps the session of its fifth call",
        f"{owner.__name__}.{name} keeps the session of its fifth call.",
        ("fresh", "single", "released"),
        partial(_kept_from, 5, owner, name),
    )
for place, (owner, name) in HOLDERS.items():
    add(
        f"{place}: keeps the session of startup",
        f"{owner.__name__}.{name} is a session from startup, and not a handle.",
        ("handle", "fresh", "single"),
        partial(_at_startup, owner, name),
    )
