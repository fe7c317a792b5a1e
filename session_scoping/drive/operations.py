"""Lists the operations that only read, for each view of an admin."""

import html
import re
import typing as t
from urllib.parse import quote
from urllib.parse import unquote
from uuid import UUID

import flask
import sqlalchemy as sa
from werkzeug.routing import BuildError
from werkzeug.routing import MapAdapter

from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.under_main import under_main
from session_scoping.errors import CannotTell
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.watch.recorder import Recorder

# The endpoints of a ModelView that need no generic request: they are driven below, or
# by ``drive.write``.
KNOWN = {
    "index_view",
    "create_view",
    "edit_view",
    "details_view",
    "export",
    "ajax_lookup",
    "ajax_update",
    "action_view",
    "delete_view",
    "static",
}
ID = "{id}"  # of a row that the list shows
TERM = "{term}"  # a word that the list shows
BY_SCRIPT = {"X-Requested-With": "XMLHttpRequest"}  # headers, as jQuery sends them
FIRST_CHOICES = "query=&offset=0&limit=10"  # what Flask-Admin's script asks for
IN_A_WINDOW = "in a modal window"

ENDS_LOGIN = re.compile(r"(log|sign)[-_ ]?(out|off)", re.IGNORECASE)

# A value for a filter, by a part of its class name.
FILTER_VALUES = (
    ("Empty", "1"),
    ("Boolean", "1"),
    ("DateTimeBetween", "2000-01-01 00:00:00 to 2100-01-01 00:00:00"),
    ("DateTime", "2000-01-01 00:00:00"),
    ("DateBetween", "2000-01-01 to 2100-01-01"),
    ("Date", "2000-01-01"),
    ("TimeBetween", "00:00:00 to 23:59:59"),
    ("Time", "12:00:00"),
    ("IntBetween", "0 to 100"),
    ("FloatBetween", "0 to 100"),
    ("Int", "1"),
    ("Float", "1"),
)


class Task(t.NamedTuple):
    """An operation to drive, and how."""

    view: int
    operation: Operation
    url: str  # may hold ID or TERM
    chunks: int | None = None  # of the response to read before the client leaves
    data: t.Mapping[str, t.Any] | None = None  # what is posted
    absent: bool = False  # does it ask for a row that does not exist?
    method: str = "GET"
    headers: t.Mapping[str, str] | None = None

    @property
    def ends_login(self) -> bool:
        """Is it a page that is called as one that logs the client out?"""
        names = f"{self.operation.subject} {self.url}"
        is_page = self.operation.kind == OperationKind.PAGE
        return is_page and bool(ENDS_LOGIN.search(names))

    def resolve(self, page: str) -> "Task | None":
        """Fill in what the list shows. Returns ``None`` if it shows no such thing."""
        url = self.url
        if ID in url:
            row = row_id(page)
            if row is None:
                return None
            url = url.replace(ID, quote(row))
        return self._replace(url=url.replace(TERM, quote(search_term(page))))


def row_id(page: str) -> str | None:
    """Return the key of the first row of a list, as Flask-Admin writes it."""
    for pattern in (
        r'(?:edit|details)/(?:modal/)?\?(?:[^"\']*?&(?:amp;)?)?id=([^&"\']+)',
        r'name="rowid"[^>]*value="([^"]+)"',
        r'<input[^>]*name="id"[^>]*value="([^"]+)"',
    ):
        if found := re.search(pattern, page):
            return unquote(html.unescape(found[1]))
    return None


def absent_id(model: t.Any) -> str:
    """Return a primary key that no row has, or an empty string if none is known."""
    keys = sa.inspect(model).primary_key
    kind = keys[0].type if len(keys) == 1 else None
    if isinstance(kind, sa.Integer):
        return "-1"
    if isinstance(kind, getattr(sa, "Uuid", ())):  # of SQLAlchemy 2.0
        return str(UUID(int=2**128 - 1))
    return "no-such-row" if isinstance(kind, sa.String) else ""


def search_term(page: str) -> str:
    """Return a word from the rows of a list, or a letter if there is none."""
    for cell in re.findall(r'<td class="col-[^"]*"[^>]*>(.*?)</td>', page, re.DOTALL):
        text = html.unescape(re.sub(r"<[^>]*>", " ", cell))
        if found := re.search(r"[^\W\d_]{2,}", text):
            return found[0]
    return "a"


def plan(app: flask.Flask, recorder: Recorder) -> list[Task]:
    """Return what there is to read, view by view, each list first.

    Custom pages come last, and after them those that end a login.

    Raises ``CannotTell`` if the app has no ``Admin``, or no SQLAlchemy view.
    """
    numbers = recorder.learn(app)
    if not app.extensions.get("admin"):
        why = "call Admin(app) or admin.init_app(app) before the app is returned"
        raise CannotTell(f"{app.import_name} has no Admin: {under_main(app) or why}")
    if not any(view.model for view in recorder.recording.views):
        why = under_main(app) or "there is no session to watch"
        raise CannotTell(
            f"{app.import_name} has an Admin without a SQLAlchemy view: {why}"
        )
    urls = app.url_map.bind("localhost")
    tasks: list[Task] = []
    others: list[Task] = []
    for number in numbers.values():
        view = recorder.view(number)
        if isinstance(view, ModelView):
            tasks += _of_model(number, view, urls, bool(app.secret_key))
        others += _of_other(number, view, app, urls)
    return tasks + sorted(others, key=lambda task: task.ends_login)


def _of_model(
    number: int, view: t.Any, urls: MapAdapter, can_flash: bool
) -> t.Iterator[Task]:
    """Yield what a SQLAlchemy view offers.

    ``can_flash``: can the app flash a message that there is no such row?
    """

    def task(
        operation: Operation, endpoint: str, query: str = "", absent: bool = False
    ) -> Task:
        url = urls.build(f"{view.endpoint}.{endpoint}")
        url = f"{url}?{query}" if query else url
        return Task(number, operation, url, absent=absent)

    def of_list(variant: str = "", query: str = "") -> Task:
        return task(Operation(OperationKind.LIST, variant=variant), "index_view", query)

    def of_row(kind: OperationKind, endpoint: str) -> t.Iterator[Task]:
        """Ask for the existing row last: a view that keeps a row goes on with it."""
        absent = absent_id(view.model)
        if can_flash and absent:
            operation = Operation(kind, variant="no such row")
            yield task(operation, endpoint, f"id={absent}", absent=True)
        if allows(view, f"{endpoint.removesuffix('_view')}_modal"):
            operation = Operation(kind, variant=IN_A_WINDOW)
            yield task(operation, endpoint, f"id={ID}&modal=True")
        yield task(Operation(kind), endpoint, f"id={ID}")

    yield of_list()
    yield of_list("only its head")._replace(method="HEAD")
    yield of_list("second page", "page=1")
    if allows(view, "column_searchable_list"):
        yield of_list("searched", f"search={TERM}")
    narrowed = "&".join(_narrowing(view))
    if narrowed:
        yield of_list("all at once", f"{narrowed}&sort=0&desc=1&page_size=50")
    for index, (name, _) in enumerate(view._list_columns):
        if view.is_sortable(name):
            yield of_list(f"sorted by {name}", f"sort={index}")
    for argument, (_, column_filter) in (view._filter_args or {}).items():
        variant = f"filtered by {column_filter.name} {_condition(column_filter)}"
        yield of_list(variant, _filtering(argument, column_filter))
    if allows(view, "can_view_details"):
        yield from of_row(OperationKind.DETAILS, "details_view")
    if allows(view, "can_create"):
        yield task(Operation(OperationKind.CREATE_FORM), "create_view")
        if allows(view, "create_modal"):
            operation = Operation(OperationKind.CREATE_FORM, variant=IN_A_WINDOW)
            yield task(operation, "create_view", "modal=True")
    if allows(view, "can_edit"):
        yield from of_row(OperationKind.EDIT_FORM, "edit_view")
    for name in getattr(view, "_form_ajax_refs", None) or {}:
        operation = Operation(OperationKind.LOOK_UP, name)
        yield task(operation, "ajax_lookup", f"name={quote(name)}&query={TERM}")
        operation = Operation(OperationKind.LOOK_UP, name, "by script")
        query = f"name={quote(name)}&{FIRST_CHOICES}"
        yield task(operation, "ajax_lookup", query)._replace(headers=BY_SCRIPT)
    if allows(view, "can_export"):
        for kind in view.export_types:
            whole = Operation(OperationKind.EXPORT, kind)
            dropped = Operation(OperationKind.EXPORT, kind, "dropped")
            url = urls.build(f"{view.endpoint}.export", {"export_type": kind})
            yield Task(number, whole, url)
            yield Task(number, dropped, url, chunks=1)
            if narrowed and kind == view.export_types[0]:
                operation = Operation(OperationKind.EXPORT, kind, "filtered")
                yield Task(number, operation, f"{url}?{narrowed}")


def _narrowing(view: t.Any) -> t.Iterator[str]:
    """Yield arguments that narrow a list: a search, and the first filter."""
    if allows(view, "column_searchable_list"):
        yield f"search={TERM}"
    for argument, (_, column_filter) in (view._filter_args or {}).items():
        yield _filtering(argument, column_filter)
        break


def _filtering(argument: object, column_filter: t.Any) -> str:
    """Return an argument that filters a list."""
    value = quote(_filter_value(column_filter), safe="{}")
    return f"flt0_{quote(str(argument))}={value}"


def _of_other(
    number: int, view: t.Any, app: flask.Flask, urls: MapAdapter
) -> t.Iterator[Task]:
    """Yield the page of a view, and custom pages that need no argument."""
    known = KNOWN if isinstance(view, ModelView) else {"static"}
    for rule in app.url_map.iter_rules():
        blueprint, _, endpoint = rule.endpoint.rpartition(".")
        if blueprint != view.endpoint or endpoint in known:
            continue
        written_by = str(getattr(getattr(view, endpoint, None), "__module__", ""))
        if written_by.startswith("flask_admin.") and endpoint != view._default_view:
            continue  # as those of FileAdmin, which need the name of a file
        arguments = rule.arguments - set(rule.defaults or ())
        if "GET" not in (rule.methods or ()) or arguments:
            continue
        try:
            operation = Operation(OperationKind.PAGE, endpoint)
            yield Task(number, operation, urls.build(rule.endpoint))
        except BuildError:
            continue


def allows(view: t.Any, option: str) -> bool:
    """Is an option of a view set? True if it is a property that needs a request."""
    try:
        return bool(getattr(view, option))
    except Exception:
        return True


def _condition(column_filter: t.Any) -> str:
    """Return how a filter compares, as the page words it: ``contains``, ``equals``."""
    return str(getattr(column_filter, "operation", lambda: "")())


def _filter_value(column_filter: t.Any) -> str:
    """Return a value for a filter: its first option, or by ``FILTER_VALUES``."""
    options = getattr(column_filter, "options", None)
    if options and not callable(options):
        first = options[0]
        return str(first[0] if isinstance(first, tuple | list) else first)
    name = type(column_filter).__name__
    return next((value for kind, value in FILTER_VALUES if kind in name), TERM)
