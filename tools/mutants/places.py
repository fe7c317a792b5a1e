"""Every place that takes a session from a handle.

It keeps that session, or makes a session of its own.
"""

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
from tools.mutants import kept
from tools.mutants import private
from tools.mutants import real

PLACES: dict[str, tuple[t.Any, str]] = {
    "the list": (ModelView, "get_query"),
    "the count": (ModelView, "get_count_query"),
    "the export": (ModelView, "_export_data"),
    "one row": (ModelView, "get_one"),
    "create": (ModelView, "create_model"),
    "update": (ModelView, "update_model"),
    "delete": (ModelView, "delete_model"),
    "delete many": (ModelView, "action_delete"),
    "a lookup": (QueryAjaxModelLoader, "get_query"),
    "a looked-up row": (QueryAjaxModelLoader, "get_one"),
    "the choices": (QuerySelectField, "_get_object_list"),
    "Unique": (Unique, "__call__"),
    "inline rows": (InlineModelFormList, "populate_obj"),
}
HOLDERS: dict[str, tuple[t.Any, str]] = {
    "the view": (ModelView, "session"),
    "Unique": (Unique, "db_session"),
    "a lookup": (QueryAjaxModelLoader, "session"),
    "the converter": (AdminModelConverter, "session"),
    "the inline converter": (InlineModelConverter, "session"),
}


def _at_startup(owner: t.Any, attribute: str) -> None:
    @around(owner, "__init__")
    def init(
        original: t.Callable[..., None], self: t.Any, *args: t.Any, **more: t.Any
    ) -> None:
        original(self, *args, **more)
        try:
            setattr(self, attribute, real(getattr(self, attribute)))
        except RuntimeError:
            return  # Flask-SQLAlchemy has no session where there is no app context


def _own_handle(handle: t.Any) -> t.Any:
    return orm.scoped_session(orm.sessionmaker(real(handle).get_bind()))


class Wrapped:
    """An object with a session as an attribute, in the place of a handle."""

    def __init__(self, handle: t.Any) -> None:
        self.session = real(handle)


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
    "the session of its first list": ("get_list", real, "the session of the request"),
    "the session of its first form": ("edit_form", real, "the session of the request"),
    "a handle of its own": ("get_query", _own_handle, "a scoped_session"),
    "a handle of its own, once it has saved": (
        *("create_model", _own_handle),
        "a scoped_session",
    ),
    "a wrapped session": ("get_one", Wrapped, "an object around the session"),
}
for what, (name, make, held) in HOLDS.items():
    add(
        f"the view: holds {what}",
        f"ModelView.{name} replaces the handle of the view by {held}.",
        ("handle",),
        partial(_holds_from, name, make),
    )
for place, (owner, name) in PLACES.items():
    add(
        f"{place}: kept from first use",
        f"{owner.__name__}.{name} keeps the session of the first request.",
        ("fresh", "single", "released"),
        partial(choose_sessions, owner, name, kept()),
    )
    add(
        f"{place}: of its own",
        f"{owner.__name__}.{name} makes a session of its own, each time.",
        ("single",),
        partial(choose_sessions, owner, name, private),
    )
    add(
        f"{place}: of its own, once",
        f"{owner.__name__}.{name} makes a session of its own, and keeps it.",
        ("single", "fresh"),
        partial(choose_sessions, owner, name, kept(private)),
    )


def _kept_where(argument: str) -> None:
    keep = kept()

    def choose(handle: t.Any) -> t.Any:
        return keep(handle) if argument in flask.request.args else real(handle)

    choose_sessions(ModelView, "get_query", choose)


def _kept_from(count: int, owner: t.Any, name: str) -> None:
    keep, calls = kept(), itertools.count(1)

    def choose(handle: t.Any) -> t.Any:
        return keep(handle) if next(calls) >= count else real(handle)

    choose_sessions(owner, name, choose)


for argument, what in (
    ("sort", "it is sorted"),
    ("search", "it is searched"),
    ("page", "it is not the first page"),
    ("flt0_0", "it is filtered"),
):
    add(
        f"the list: kept where {what}",
        f"ModelView.get_query keeps its session when there is {argument}= in the URL.",
        ("fresh", "single", "released"),
        partial(_kept_where, argument),
    )
for place in ("the list", "one row"):
    owner, name = PLACES[place]
    add(
        f"{place}: kept from the fifth time",
        f"{owner.__name__}.{name} keeps the session of its fifth call.",
        ("fresh", "single", "released"),
        partial(_kept_from, 5, owner, name),
    )
for place, (owner, name) in HOLDERS.items():
    add(
        f"{place}: kept from startup",
        f"{owner.__name__}.{name} keeps the session from when the app is built.",
        ("handle", "fresh", "single"),
        partial(_at_startup, owner, name),
    )
