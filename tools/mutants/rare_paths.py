"""Requests that take a rare path: only on that path a session or a row is kept."""

import typing as t
from functools import partial

import flask
import sqlalchemy as sa

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tools.mutants import add
from tools.mutants import around
from tools.mutants import choose_sessions
from tools.mutants import first_of
from tools.mutants import mutant
from tools.mutants import session_of

KEPT: list[t.Any] = []
KEEPING = ("fresh", "single", "released")  # what a session that is kept breaks
KEEPS = "keeps the session of its first call"

# ------------------------------------------------------------ sessions that are kept


def _given(*names: str) -> t.Callable[[object], bool]:
    """Return a condition: does the URL of the request have these arguments?"""
    return lambda self: {*names} <= {*flask.request.args}


def _is_head(self: object) -> bool:
    return flask.request.method == "HEAD"


def _asked_by_script(self: object) -> bool:
    return flask.request.headers.get("X-Requested-With") == "XMLHttpRequest"


# For each path: what keeps a session, and under which condition.
PATHS: dict[str, tuple[t.Any, str, t.Callable[[t.Any], bool]]] = {
    "another page size": (ModelView, "get_query", _given("page_size")),
    "search, sort and filter at once": (
        *(ModelView, "get_query"),
        _given("search", "sort", "flt0_0"),
    ),
    "the export is filtered": (ModelView, "_export_data", _given("flt0_0")),
    "a form is opened from a page of the list": (
        *(ModelView, "get_one"),
        _given("url", "id"),
    ),
}
BEYOND: dict[str, tuple[t.Any, str, t.Callable[[t.Any], bool]]] = {
    "a script looks up": (QueryAjaxModelLoader, "get_query", _asked_by_script),
    "only the head of a list is asked for": (ModelView, "get_query", _is_head),
    "only the head of a row is asked for": (ModelView, "get_one", _is_head),
    "a row is in a modal window": (ModelView, "get_one", _given("modal")),
}
for path, (owner, name, when) in (PATHS | BEYOND).items():
    add(
        f"{name}: keeps its session where {path}",
        f"{owner.__name__}.{name} {KEEPS} where {path}.",
        KEEPING,
        partial(choose_sessions, owner, name, first_of(), when),
        path in BEYOND,
    )
add(
    "an export through tablib keeps its session",
    f"ModelView._export_tablib {KEEPS}.",
    KEEPING,
    partial(choose_sessions, ModelView, "_export_tablib", first_of()),
)


@mutant(*KEEPING)
def a_posted_form_uses_the_session_of_the_form_that_was_opened() -> None:
    """ModelView.get_one keeps the session of a GET until the client posts the form."""
    waiting: dict[t.Any, t.Any] = {}

    def choose(handle: t.Any) -> t.Any:
        client = flask.request.remote_addr, flask.request.path
        if flask.request.method == "GET":
            waiting[client] = session_of(handle)
            return waiting[client]
        return waiting.pop(client, None) or session_of(handle)

    choose_sessions(ModelView, "get_one", choose)


# ---------------------------------------------------------------- rows that are kept


@mutant("released")
def the_list_keeps_its_query_when_it_finds_nothing() -> None:
    """ModelView.get_list keeps a query, and so its session, when there is no row."""

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        count, rows = original(self, *args, **more)
        if not rows:
            KEPT.append(self.get_query())
        return count, rows


@mutant("released")
def a_full_page_of_a_lookup_keeps_its_last_row() -> None:
    """QueryAjaxModelLoader.get_list keeps the last row, for the page after it."""

    @around(QueryAjaxModelLoader, "get_list")
    def get_list(
        original: t.Any, self: t.Any, term: str, offset: int = 0, limit: int = 10
    ) -> t.Any:
        rows = original(self, term, offset, limit)
        if len(rows) == limit:
            KEPT.append(rows[-1])
        return rows


@mutant("released", beyond=True)
def a_large_export_keeps_its_last_row() -> None:
    """ModelView._export_data keeps the row that it has read last, after fifty rows."""

    @around(ModelView, "_export_data")
    def export(original: t.Any, self: t.Any) -> t.Any:
        count, rows = original(self)
        self._last_rows = rows[50:]
        return count, rows


@mutant("released", beyond=True)
def a_create_form_in_a_modal_window_keeps_itself() -> None:
    """ModelView.create_form keeps the form of a modal window, with its choices."""

    @around(ModelView, "create_form")
    def form(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        made = original(self, *args)
        if "modal" in flask.request.args:
            KEPT.append(made)
        return made


@mutant("released", beyond=True)
def a_request_for_the_options_opens_a_session_and_keeps_it() -> None:
    """A view keeps a session for a request with the method OPTIONS."""

    @around(ModelView, "create_blueprint")
    def create(original: t.Any, self: t.Any, admin: t.Any) -> t.Any:
        def begin() -> None:
            if flask.request.method == "OPTIONS":
                session_of(self.session).execute(sa.text("SELECT 1"))
                KEPT.append(session_of(self.session))

        blueprint = original(self, admin)
        blueprint.before_request(begin)
        return blueprint


@mutant("fresh", beyond=True)
def choices_that_a_script_asks_for_are_remembered() -> None:
    """QueryAjaxModelLoader.format remembers the texts that a script asks for."""
    texts: dict[t.Any, t.Any] = {}

    @around(QueryAjaxModelLoader, "format")
    def choose(original: t.Any, self: t.Any, row: t.Any) -> t.Any:
        choice = original(self, row)
        if not (choice and _asked_by_script(self)):
            return choice
        return texts.setdefault((self.name, choice[0]), choice)


# ------------------------------------------------------------------ harmless changes


@mutant()
def a_larger_page_is_read_by_a_select() -> None:
    """ModelView._apply_pagination returns the rows of a SELECT of that session."""

    @around(ModelView, "_apply_pagination")
    def paginate(
        original: t.Any, self: t.Any, query: t.Any, page: t.Any, size: t.Any
    ) -> t.Any:
        selected = original(self, query, page, size)
        if "page_size" not in flask.request.args:
            return selected
        session = session_of(self.session)
        rows = session.execute(selected.statement).unique().scalars().all()
        return Rows(rows)


class Rows:
    """Rows that are read already, in place of a query."""

    def __init__(self, rows: t.Any) -> None:
        self.rows = rows

    def all(self) -> t.Any:
        return list(self.rows)


@mutant()
def the_head_of_a_list_is_answered_without_a_page() -> None:
    """ModelView.index_view reads nothing when only the head is asked for."""

    @around(ModelView, "render")
    def render(original: t.Any, self: t.Any, template: t.Any, **more: t.Any) -> t.Any:
        if flask.request.method == "HEAD":
            return ""
        return original(self, template, **more)


@mutant()
def a_large_export_reads_in_batches() -> None:
    """ModelView._export_data reads fifty rows at a time, by the session of the request.

    The rows leave in one list.
    """

    @around(ModelView, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        if flask.request.endpoint != f"{self.endpoint}.export":
            return original(self, *args, **more)
        count, rows = original(self, *args, **more, execute=False)
        return count, [*rows.yield_per(50)] if not self._auto_joins else rows.all()


@mutant()
def a_modal_window_has_a_cycle() -> None:
    """A form of a modal window refers to itself: the collector frees it."""
    for name in ("create_form", "edit_form"):

        @around(ModelView, name)
        def form(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
            made = original(self, *args, **more)
            if "modal" in flask.request.args:
                made.itself = [made]
            return made


@mutant()
def the_page_of_the_list_is_remembered_as_a_text() -> None:
    """ModelView.edit_form keeps the URL that the form was opened from, by client."""
    pages: dict[t.Any, str] = {}

    @around(ModelView, "edit_form")
    def edit(original: t.Any, self: t.Any, *args: t.Any, **more: t.Any) -> t.Any:
        pages[flask.request.remote_addr] = flask.request.args.get("url", "")
        return original(self, *args, **more)


@mutant()
def the_key_of_an_opened_form_is_remembered() -> None:
    """ModelView.get_one keeps the key of a GET until the client posts the form."""
    waiting: dict[t.Any, str] = {}

    @around(ModelView, "get_one")
    def get_one(original: t.Any, self: t.Any, key: t.Any) -> t.Any:
        client = flask.request.remote_addr, flask.request.path
        if flask.request.method == "GET":
            waiting[client] = key
        else:
            key = key or waiting.pop(client, "")
        return original(self, key)


@mutant()
def a_lookup_by_script_has_a_savepoint() -> None:
    """QueryAjaxModelLoader.get_list reads within a savepoint when a script asks."""

    @around(QueryAjaxModelLoader, "get_list")
    def get_list(original: t.Any, self: t.Any, *args: t.Any) -> t.Any:
        if not _asked_by_script(self):
            return original(self, *args)
        with session_of(self.session).begin_nested():
            return original(self, *args)
