"""Shapes of data: only for that shape a session or a row is kept or misused."""

import enum
import typing as t
from functools import cache
from functools import partial

import flask
import sqlalchemy as sa
from sqlalchemy import orm

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla import tools
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from flask_admin.contrib.sqla.fields import InlineModelOneToOneField
from flask_admin.contrib.sqla.fields import QuerySelectMultipleField
from flask_admin.contrib.sqla.form import AdminModelConverter
from flask_admin.model.fields import AjaxSelectMultipleField
from tools.mutants import add
from tools.mutants import around
from tools.mutants import choose_sessions
from tools.mutants import first_of
from tools.mutants import mutant
from tools.mutants import session_of

KEPT: list[t.Any] = []
KEEPING = ("fresh", "single", "released")  # what a session that is kept breaks

# ------------------------------------------------------------ sessions that are kept


def _has_keys(view: t.Any) -> bool:
    return bool(tools.has_multiple_pks(view.model))


def _inherits(view: t.Any) -> bool:
    mapper: t.Any = sa.inspect(view.model)
    return bool(mapper.inherits)


def _has_hybrids(view: t.Any) -> bool:
    return bool(tools.get_hybrid_properties(view.model))


def _has_enums(view: t.Any) -> bool:
    columns = sa.inspect(view.model).columns
    return any(isinstance(column.type, sa.Enum) for column in columns)


def _is_second_view(view: t.Any) -> bool:
    """Does an earlier view of its admin have the same model?"""
    views: list[t.Any] = view.admin._views
    models = [getattr(other, "model", None) for other in views]
    return models.index(view.model) != views.index(view)


def _is_of_second_admin(view: t.Any) -> bool:
    return view.admin is not view.admin.app.extensions["admin"][0]


def _is_in_second_database(view: t.Any) -> bool:
    session = session_of(view.session)
    return session.get_bind(view.model) is not session.get_bind()


# For each shape: what keeps a session, and which views have the shape.
SHAPES: dict[str, tuple[str, t.Callable[[t.Any], bool]]] = {
    "a row has a key of two columns": ("get_one", _has_keys),
    "rows are in two tables": ("get_query", _inherits),
    "a model has a hybrid property": ("get_query", _has_hybrids),
    "a column is an enum": ("get_list", _has_enums),
    "another view has the same model": ("get_query", _is_second_view),
    "the admin is the second": ("get_query", _is_of_second_admin),
    "a table is in the second database": ("get_query", _is_in_second_database),
}
for shape, (name, when) in SHAPES.items():
    add(
        f"{name}: keeps its session where {shape}",
        f"ModelView.{name} keeps the session of its first call where {shape}.",
        KEEPING,
        partial(choose_sessions, ModelView, name, first_of(), when),
        # The drop-in has two views of a model.
        name != "get_query" or when is not _is_second_view,
    )
add(
    "choices of several rows: keep their first session",
    "QuerySelectMultipleField._get_object_list keeps the session of its first call.",
    KEEPING,
    partial(choose_sessions, QuerySelectMultipleField, "_get_object_list", first_of()),
    beyond=True,
)


def _converts(change: t.Callable[[t.Any, t.Any, dict[str, t.Any]], None]) -> None:
    """Change the arguments of each field that lets a person choose rows."""

    @around(AdminModelConverter, "_model_select_field")
    def convert(
        original: t.Any, self: t.Any, prop: t.Any, *args: t.Any, **more: t.Any
    ) -> t.Any:
        change(self, prop, more)
        return original(self, prop, *args, **more)


@mutant(*KEEPING, beyond=True)
def the_choices_of_a_tree_keep_their_query() -> None:
    """A field keeps its first query where a table refers to itself."""

    def change(converter: t.Any, prop: t.Any, options: dict[str, t.Any]) -> None:
        if prop.mapper is prop.parent:
            session = cache(lambda: session_of(converter.session))
            options["query_factory"] = lambda: session().query(prop.mapper)

    _converts(change)


@mutant(*KEEPING, beyond=True)
def a_query_factory_is_called_once() -> None:
    """A field keeps the query that the ``query_factory`` of a view has made."""

    def change(converter: t.Any, prop: t.Any, options: dict[str, t.Any]) -> None:
        if factory := options.get("query_factory"):
            options["query_factory"] = cache(factory)

    _converts(change)


@mutant("single", "released", beyond=True)
def the_second_database_has_a_session_for_each_query() -> None:
    """ModelView.get_query makes a session for a table in the second database."""

    @around(ModelView, "get_query")
    def get_query(original: t.Any, self: t.Any) -> t.Any:
        if not _is_in_second_database(self):
            return original(self)
        bind = session_of(self.session).get_bind(self.model)
        return orm.Session(bind).query(self.model)


# ---------------------------------------------------------------- rows that are kept


@mutant("released", beyond=True)
def a_lookup_of_several_rows_keeps_them() -> None:
    """AjaxSelectMultipleField.data keeps the rows that a person has chosen."""
    original = t.cast(t.Any, AjaxSelectMultipleField).data

    def get(self: t.Any) -> t.Any:
        rows = original.fget(self)
        KEPT.extend(rows or ())
        return rows

    t.cast(t.Any, AjaxSelectMultipleField).data = property(get, original.fset)


@mutant("released", beyond=True)
def an_action_on_keys_of_two_columns_keeps_its_query() -> None:
    """tools.get_query_for_ids keeps the query of rows with a key of two columns."""

    @around(tools, "get_query_for_ids")
    def query(original: t.Any, query: t.Any, model: t.Any, ids: t.Any) -> t.Any:
        found = original(query, model, ids)
        if tools.has_multiple_pks(model):
            KEPT.append(found)
        return found


@mutant("released", beyond=True)
def an_inline_form_keeps_its_only_row() -> None:
    """InlineModelOneToOneField.populate_obj keeps the row that it has changed."""

    @around(InlineModelOneToOneField, "populate_obj")
    def populate(original: t.Any, self: t.Any, model: t.Any, name: str) -> t.Any:
        original(self, model, name)
        KEPT.append(getattr(model, name))


@mutant("released", beyond=True)
def a_cell_with_an_enum_keeps_its_row() -> None:
    """ModelView._get_field_value keeps a row where its value is an enum."""

    @around(ModelView, "_get_field_value")
    def value(original: t.Any, self: t.Any, row: t.Any, name: t.Any) -> t.Any:
        found = original(self, row, name)
        if isinstance(found, enum.Enum):
            KEPT.append(row)
        return found


@mutant("released", beyond=True)
def the_value_of_an_association_proxy_is_kept() -> None:
    """ModelView._get_field_value keeps the list that an association proxy returns."""

    @around(ModelView, "_get_field_value")
    def value(original: t.Any, self: t.Any, row: t.Any, name: t.Any) -> t.Any:
        found = original(self, row, name)
        attribute: t.Any = getattr(self.model, str(name), None)
        if tools.is_association_proxy(attribute):
            KEPT.append(found)
        return found


# ---------------------------------------------------------------------- old contents


@mutant("fresh", beyond=True)
def a_default_is_computed_once() -> None:
    """A field keeps what the function for its default has returned first."""

    @around(AdminModelConverter, "convert")
    def convert(
        original: t.Any,
        self: t.Any,
        model: t.Any,
        mapper: t.Any,
        name: str,
        prop: t.Any,
        options: t.Any,
        *more: t.Any,
    ) -> t.Any:
        if options and callable(options.get("default")):
            options = {**options, "default": cache(options["default"])}
        return original(self, model, mapper, name, prop, options, *more)


@mutant("fresh", beyond=True)
def the_options_of_a_filter_are_read_once() -> None:
    """ModelView._get_filter_groups keeps the options that it has read first."""

    @around(ModelView, "_get_filter_groups")
    def groups(original: t.Any, self: t.Any) -> t.Any:
        if "_groups" not in vars(self):
            self._groups = original(self)
        return self._groups


@mutant("fresh", beyond=True)
def the_texts_of_a_tree_are_remembered() -> None:
    """A field remembers the texts of its choices where a table refers to itself."""
    texts: dict[int, str] = {}

    def change(converter: t.Any, prop: t.Any, options: dict[str, t.Any]) -> None:
        if prop.mapper is prop.parent:
            options["get_label"] = lambda row: texts.setdefault(row.id, str(row))

    _converts(change)


# ------------------------------------------------------------------ harmless changes


@mutant()
def a_row_with_two_keys_is_remembered_in_g() -> None:
    """ModelView.get_one leaves a row with a key of two columns in ``g``."""

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, key: t.Any) -> t.Any:
        row = original(self, key)
        if _has_keys(self):
            flask.g.row = row
        return row


@mutant()
def choices_of_several_rows_are_read_by_a_select() -> None:
    """QuerySelectMultipleField._get_object_list executes the SELECT of its query."""

    @around(QuerySelectMultipleField, "_get_object_list")
    def choices(original: t.Any, self: t.Any) -> t.Any:
        if self._object_list is None:
            query = self.query_factory()
            found = query.session.execute(query.statement).unique().scalars()
            self._object_list = [(str(self.get_pk(row)), row) for row in found]
        return self._object_list


@mutant()
def the_options_of_a_filter_are_remembered_in_g() -> None:
    """ModelView._get_filter_groups reads the options once in each request."""

    @around(ModelView, "_get_filter_groups")
    def groups(original: t.Any, self: t.Any) -> t.Any:
        known = flask.g.setdefault("groups", {})
        if self.endpoint not in known:
            known[self.endpoint] = original(self)
        return known[self.endpoint]


@mutant()
def a_default_is_computed_once_in_each_request() -> None:
    """A field keeps what the function for its default returns for a request."""

    @around(AdminModelConverter, "convert")
    def convert(
        original: t.Any,
        self: t.Any,
        model: t.Any,
        mapper: t.Any,
        name: str,
        prop: t.Any,
        options: t.Any,
        *more: t.Any,
    ) -> t.Any:
        if options and callable(compute := options.get("default")):

            def default() -> t.Any:
                if name not in flask.g:
                    setattr(flask.g, name, compute())
                return getattr(flask.g, name)

            options = {**options, "default": default}
        return original(self, model, mapper, name, prop, options, *more)


@mutant()
def an_enum_is_read_in_a_select_of_its_own() -> None:
    """ModelView.get_list reads the enums of a table by the session of the handle."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        if _has_enums(self):
            session_of(self.session).execute(sa.select(self.model.cover)).all()
        return original(self, *args, **more)


@mutant()
def an_inline_form_has_a_cycle_with_its_row() -> None:
    """InlineModelOneToOneField.populate_obj makes a cycle that the collector frees."""

    @around(InlineModelOneToOneField, "populate_obj")
    def populate(original: t.Any, self: t.Any, model: t.Any, name: str) -> t.Any:
        original(self, model, name)
        self.changed = [self, getattr(model, name)]


@mutant()
def a_lookup_has_its_handle_behind_a_property() -> None:
    """QueryAjaxModelLoader.session is a property, which returns the handle."""

    def get(self: t.Any) -> t.Any:
        return self._handle

    def set_(self: t.Any, handle: t.Any) -> None:
        self._handle = handle

    t.cast(t.Any, QueryAjaxModelLoader).session = property(get, set_)


@mutant()
def rows_in_two_tables_are_read_in_batches() -> None:
    """ModelView.get_list reads rows in two tables one after another."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        if not _inherits(self):
            return original(self, *args, **more)
        count, query = original(self, *args, **{**more, "execute": False})
        return count, [*query.yield_per(1)]


@mutant()
def the_second_database_is_asked_by_the_connection_of_the_session() -> None:
    """ModelView.get_list reads the second database by the session's connection."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        session, mapper = session_of(self.session), sa.inspect(self.model)
        connection = session.connection(bind_arguments={"mapper": mapper})
        connection.execute(sa.select(mapper.local_table).limit(1)).all()
        return original(self, *args, **more)
