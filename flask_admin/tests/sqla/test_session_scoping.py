"""Does Flask-Admin hold one SQLAlchemy session for the lifetime of the app?

No.  A view is given a *handle*, and that is what it keeps: the ``db`` of
Flask-SQLAlchemy or of Flask-SQLAlchemy-Lite, or a plain ``scoped_session``.  Whenever
Flask-Admin needs a *session*, it asks the handle, and the handle answers with the one
that belongs to the request that is running.  When the request is over, that session is
gone.  The handle stays.

This module proves it, and goes red when it is no longer so.  It drives every operation
of ``ModelView`` through a real app, watches every session, and holds what it saw
against seven laws.  Beside each law stand its *twins*: apps that are broken on purpose,
and that show that the law's own check can fail.

Read on from top to bottom: the handles, a bookshop with an admin, how a request is
watched, what is driven, what is known to be broken, and then a section for each law.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import re
import sys
import textwrap
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import field
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import GeneratorType
from weakref import ref
from weakref import WeakKeyDictionary

import flask
import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import orm
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateTable

import flask_admin

try:
    from flask_admin.contrib.sqla import ModelView
except ImportError as error:
    pytest.fail(f"Flask-Admin's SQLAlchemy views do not import: {error}", pytrace=False)

pytestmark = pytest.mark.filterwarnings(
    "ignore:Yielding raw tuples:DeprecationWarning"  # WTForms 3.3, of Flask-Admin 2.2.1
)


def release(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


FLASK = release(version("flask"))
FLASK_ADMIN = release(flask_admin.__version__)
MEMORY = "sqlite://"  # one connection for all: right for one request after another

# ------------------------------------------------------------------------ the handles


# What a view is given, and the engine behind it.
Handle = tuple[t.Any, sa.engine.Engine]


def session_of(handle: t.Any) -> Session:
    """The session that a handle gives to the request that is running."""
    handle = getattr(handle, "session", handle)
    session: Session = handle() if isinstance(handle, orm.scoped_session) else handle
    return session


def sqlalchemy_db(app: flask.Flask, url: str) -> Handle:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy: a session for each app context."""
    db = import_module("flask_sqlalchemy").SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    with app.app_context():
        return db, db.engine


def sqlalchemy_session(app: flask.Flask, url: str) -> Handle:
    """``ModelView(Book, db.session)``: called a session, and a handle all the same."""
    db, engine = sqlalchemy_db(app, url)
    return db.session, engine


def lite_db(app: flask.Flask, url: str) -> Handle:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy-Lite: the sessions are in ``g``.

    Its ``db.session`` would not do as a handle: it is the session of the moment.
    """
    db = import_module("flask_sqlalchemy_lite").SQLAlchemy()
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    # Its teardown is async, and Flask would run that on a new thread each time.
    run = lambda function: lambda *args: asyncio.run(function(*args))  # noqa: E731
    app.async_to_sync = run  # type: ignore[method-assign]
    db.init_app(app)
    with app.app_context():
        return db, db.engine


def plain_session(
    app: flask.Flask,
    url: str,
    scope: t.Callable[[], t.Any] | None = None,
    teardown: t.Callable[..., t.Any] = lambda session, error: session.remove(),
) -> Handle:
    """SQLAlchemy's own ``scoped_session``.  Twins give it a bad scope or teardown."""
    pool: dict[str, t.Any] = {"poolclass": sa.pool.StaticPool} if url == MEMORY else {}
    engine = sa.create_engine(url, connect_args={"check_same_thread": False}, **pool)
    session = orm.scoped_session(orm.sessionmaker(engine), scope)
    app.teardown_appcontext(lambda error: teardown(session, error))
    return session, engine


MakeHandle = t.Callable[..., Handle]

# The package that each handle comes from, and the first Flask-Admin that takes it.
HANDLES: dict[MakeHandle, tuple[str, tuple[int, ...]]] = {
    sqlalchemy_db: ("flask_sqlalchemy", (2, 1)),
    sqlalchemy_session: ("flask_sqlalchemy", (1,)),
    lite_db: ("flask_sqlalchemy_lite", (2, 1)),
    plain_session: ("sqlalchemy", (1,)),  # which can always be tried
}


def unsupported(make_handle: MakeHandle) -> str:
    """Why a handle cannot be tried on this stack, or nothing."""
    package, since = HANDLES[make_handle]
    if find_spec(package) is None:
        return f"{package} is not installed"
    if FLASK_ADMIN < since:
        return f"Flask-Admin {flask_admin.__version__} does not support this handle"
    return ""


# --------------------------------------------------------------- the throwaway bookshop

models = orm.registry()


class Named:
    name = sa.Column(sa.String(20))

    def __str__(self) -> str:
        return str(self.name)


@models.mapped
class Author(Named):
    __tablename__ = "author"
    id = sa.Column(sa.Integer, primary_key=True)


@models.mapped
class Book:
    __tablename__ = "book"
    __table_args__ = (sa.CheckConstraint("title <> 'refused'"),)  # no form knows of it
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String(20), unique=True, nullable=False)
    author_id = sa.Column(sa.Integer, sa.ForeignKey("author.id"))
    author = orm.relationship(Author, foreign_keys=author_id, lazy="joined")
    translator_id = sa.Column(sa.Integer, sa.ForeignKey("author.id"))
    translator = orm.relationship(Author, foreign_keys=translator_id)
    reviews = orm.relationship(
        "Review", back_populates="book", cascade="all", passive_deletes=True
    )


@models.mapped
class Review(Named):
    __tablename__ = "review"
    id = sa.Column(sa.Integer, primary_key=True)
    book_id = sa.Column(sa.Integer, sa.ForeignKey("book.id"))
    book = orm.relationship(Book, back_populates="reviews")


SCHEMA = ";".join(str(CreateTable(table)) for table in models.metadata.sorted_tables)
ROWS = """
    DELETE FROM author; DELETE FROM book; DELETE FROM review;
    INSERT INTO author (id, name) VALUES (1, 'Le Guin');
    INSERT INTO book VALUES (1, 'Dune', NULL, NULL), (2, 'The Lathe', 1, 1),
        (3, 'Solaris', NULL, NULL);
    INSERT INTO review (id, name, book_id) VALUES (1, 'long', 1), (2, 'dry', 1);
    CREATE TRIGGER IF NOT EXISTS keep BEFORE DELETE ON book
        WHEN OLD.title = 'Solaris' AND EXISTS (SELECT * FROM author)
        BEGIN SELECT RAISE(ABORT, 'Solaris stays'); END;
"""
TABLES = [f"SELECT * FROM {table}" for table in ("author", "book", "review")]


class BookView(ModelView):
    """A view that uses a good deal of what ``ModelView`` offers."""

    column_list = ["title", "author"]
    column_details_list = ["title", "author", "reviews"]
    column_export_list = ["title", "author"]
    column_searchable_list = ("title",)
    column_sortable_list = ("title", ("author", "author.name"))
    column_filters: t.Any = ("author.name",)
    column_editable_list: t.Any = ("title",)
    form_columns: t.Any = ("title", "translator", "reviews")
    form_ajax_refs = {"translator": {"fields": ("name",)}}
    inline_models: t.Any = (Review,)
    can_view_details = True
    can_export = True
    export_types = ["csv", "json"]
    page_size = 1

    def is_accessible(self) -> bool:
        """Custom code in the view: Flask-Admin calls this before all of its own."""
        seen = SEEN.get()
        session = session_of(self.session)
        if seen.inside and not seen.given:
            seen.inside(session)
            seen.steps.clear()  # those of Flask-Admin count
        seen.given.add(number_of(session))
        if self.session is not flask.current_app.extensions["given"]:
            seen.held = type(self.session).__name__
        return True


class CustomView(BookView):
    """A plainer view with custom code: a 404, an exception, a fast delete."""

    column_editable_list = None
    column_filters = None
    column_export_list = ["title", "reviews"]
    form_columns = ("title", "author")
    inline_models = None
    fast_mass_delete = True

    def get_one(self, id: t.Any) -> t.Any:
        return super().get_one(id) or flask.abort(404)

    def get_detail_value(self, *_: object) -> t.Any:
        raise RuntimeError("an exception in the view")


# ------------------------------------------------------------- how a request is watched


Inside = t.Callable[[Session], object]


@dataclass(eq=False)
class Seen:
    """What was seen of one request: the laws judge by nothing else.

    Sessions are told apart by a number that each gets at its birth.  An ``id()`` would
    prove nothing: the address of a session that is gone is given to the next one.
    """

    handle: str = ""
    operation: str = "no request"
    fail_at: int = 0  # the statement or commit to fail, counted from 1
    inside: Inside | None = None  # custom code to run in the view
    endpoint: tuple[str, str] = ("", "")  # and the method
    body: str = ""
    streamed: bool = False
    wrong: str = ""  # how the answer, or the database, is not as it should be
    held: str = ""  # what the view held, where that was not its handle
    given: set[int] = field(default_factory=set)  # the answers of the handle
    used: dict[int, str] = field(default_factory=dict)  # each session, and who used it
    older: dict[int, str] = field(default_factory=dict)  # and who had used it before
    closed: set[int] = field(default_factory=set)
    revived: dict[int, str] = field(default_factory=dict)  # used though it was closed
    cut: bool = False  # was its session closed while the answer was being sent?
    steps: list[str] = field(default_factory=list)  # statements and commits
    failed: str = ""  # the step that was made to fail
    strangers: list[str] = field(default_factory=list)  # what no session of it did
    pool: list[str] = field(default_factory=list)  # connections taken and returned
    refs: list["ref[t.Any]"] = field(default_factory=list)  # sessions and instances
    left: set[str] = field(default_factory=set)  # what was not garbage afterwards
    saved: bool = False  # did the database keep what nobody committed?

    @property
    def data(self) -> dict[str, t.Any] | None:
        return OPERATIONS[self.operation].data

    def living(self) -> list[t.Any]:
        return [one for one in (one() for one in self.refs) if one is not None]


OUTSIDE = Seen()
SEEN: "ContextVar[Seen]" = ContextVar("SEEN", default=OUTSIDE)
BIRTHS = itertools.count(1)
NUMBERS: "WeakKeyDictionary[Session, int]" = WeakKeyDictionary()
FIRST_USE: dict[int, str] = {}
SPEAKING: "WeakKeyDictionary[sa.engine.Connection, ref[Session]]" = WeakKeyDictionary()
SQLALCHEMY = {"sqlalchemy", "flask_sqlalchemy", "flask_sqlalchemy_lite"}


def number_of(session: Session) -> int:
    return NUMBERS.get(session) or NUMBERS.setdefault(session, next(BIRTHS))


def place() -> str:
    """The file and line, outside of SQLAlchemy, that makes use of a session."""
    frame = sys._getframe(3)
    while (
        frame.f_globals.get("__name__", "").split(".")[0] in SQLALCHEMY
        or frame.f_code is session_of.__code__
    ) and frame.f_back:
        frame = frame.f_back
    file = re.split("site-packages.", frame.f_code.co_filename)[-1]
    file = file.removeprefix(f"{os.getcwd()}{os.sep}")
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_name}"


def use(session: Session) -> Seen:
    """Note that the running request uses a session."""
    seen, number = SEEN.get(), number_of(session)
    if number not in seen.used:
        seen.used[number] = place()
        seen.refs.append(ref(session))
        if number in FIRST_USE:
            seen.older[number] = FIRST_USE[number]
        FIRST_USE.setdefault(number, f"{seen.used[number]}, for `{seen.operation}`")
    if number in seen.closed:
        seen.closed.remove(number)
        seen.revived[number] = place()
    return seen


def on_execute(state: t.Any) -> None:
    use(state.session)


def on_instance(session: Session, instance: object) -> None:
    use(session).refs.append(ref(instance))


def on_begin(session: Session, _: object, connection: sa.engine.Connection) -> None:
    use(session)
    SPEAKING[connection] = ref(session)


def on_statement(connection: t.Any, cursor: object, sql: str, *_: object) -> None:
    session = SPEAKING[connection]() if connection in SPEAKING else None
    seen = use(session) if session else SEEN.get()
    if sql != "BEGIN":  # which is Flask-Admin's conftest's own way to begin with SQLite
        if session is None:
            seen.strangers.append(f"a statement of no session: {sql}")
        on_step(sql)


def on_step(step: str) -> None:
    """A statement or a commit is about to be sent: the moment to let it fail."""
    seen = SEEN.get()
    seen.steps.append(step)
    if len(seen.steps) == seen.fail_at:
        seen.failed = textwrap.shorten(step, 40, placeholder=" …")
        raise OperationalError(step, {}, Exception("failed by the guard"))


def on_checkin(connection: t.Any, _: object) -> None:
    dirty = getattr(connection, "in_transaction", False)
    SEEN.get().pool.append("returned dirty" if dirty else "returned")


LISTENERS: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
    (Session, "do_orm_execute", on_execute),
    (Session, "loaded_as_persistent", on_instance),
    (Session, "after_attach", on_instance),
    (Session, "after_begin", on_begin),
    (sa.engine.Engine, "before_cursor_execute", on_statement),
    (sa.engine.Engine, "commit", lambda connection: on_step("COMMIT")),
    (sa.pool.Pool, "checkout", lambda *_: SEEN.get().pool.append("taken")),
    (sa.pool.Pool, "checkin", on_checkin),
]


@pytest.fixture(scope="module", autouse=True)
def watch() -> t.Iterator[None]:
    """See what every ``Session`` does, from its birth to its end."""
    init, close = Session.__init__, Session.close

    def watched_init(session: Session, *args: t.Any, **kwargs: t.Any) -> None:
        init(session, *args, **kwargs)
        use(session)

    def watched_close(session: Session) -> None:
        close(session)
        SEEN.get().closed.add(number_of(session))

    with pytest.MonkeyPatch.context() as patch, SHOPS:
        patch.setattr(Session, "__init__", watched_init)
        patch.setattr(Session, "close", watched_close)
        # It logs the errors that we make, and a log record keeps their frames alive.
        patch.setattr(logging.getLogger("flask-admin.sqla"), "disabled", True)
        for listener in LISTENERS:
            sa.event.listen(*listener)
        yield
        driven.cache_clear()
        gc.unfreeze()
        for listener in LISTENERS:
            sa.event.remove(*listener)


# ---------------------------------------------------------------------- what is driven


class Operation(t.NamedTuple):
    """One thing that a person does in the admin, and how to tell that it was done."""

    path: str
    shows: str = ""  # in the answer
    status: int = 200
    data: dict[str, t.Any] | None = None  # what is posted
    writes: str = ""  # SQL, false before and true after; without, no row may change
    chunks: int | None = None  # of the answer to read before the connection is dropped
    sql: bool = True  # does it need the database?


FORM = {"title": "Ubik", "author": "1"}
WITH_REVIEW = {"title": "Ubik", "translator": "1", "reviews-0-name": "new"}
WITH_REVIEWS = {
    **{"title": "Dune", "_continue_editing": "on"},
    **{"reviews-0-id": "1", "reviews-0-name": "longer"},
    **{"reviews-1-id": "2", "reviews-1-name": "dry", "del-reviews-1": "on"},
    **{"reviews-2-id": "", "reviews-2-name": "new"},
}
EMPTY, TAKEN, REFUSED = {"title": ""}, {"title": "Solaris"}, {"title": "refused"}
ONE, NONE = {"list_form_pk": "1"}, {"list_form_pk": "9"}
MANY = {"action": "delete", "rowid": ["1", "2"]}

REVIEWS = "SELECT group_concat(name) FROM review JOIN book ON book_id = book.id"
CREATED = f"SELECT ({REVIEWS} WHERE title = 'Ubik') IS 'new'"
EDITED = f"SELECT ({REVIEWS} WHERE title = 'Dune') IS 'longer,new'"
RENAMED = "SELECT count(*) FROM book WHERE title = 'Ubik'"
DELETED = "SELECT count(*) = 0 FROM book WHERE id = 2"

OPERATIONS = {
    "list": Operation("book/", "Dune"),
    "list-sorted-third-page": Operation("custom/?sort=1&page=2", "The Lathe"),
    "list-searched": Operation("custom/?search=Lathe", "The Lathe"),
    "list-filtered": Operation("book/?flt0_0=Le+Guin", "The Lathe"),
    "details": Operation("book/details/?id=1", "dry"),
    "details-of-none": Operation("book/details/?id=9", "", 302),
    "details-not-found": Operation("custom/details/?id=9", "", 404),
    "details-raising": Operation("custom/details/?id=2", "", 500),
    "create-form": Operation("custom/new/", "Le Guin"),
    "create": Operation("book/new/", "", 302, WITH_REVIEW, CREATED),
    "create-invalid": Operation("custom/new/", "is required", 200, FORM | EMPTY),
    "create-duplicate": Operation("custom/new/", "Already exists", 200, FORM | TAKEN),
    "create-refused": Operation("custom/new/", "CHECK constr", 200, FORM | REFUSED),
    "edit-form": Operation("book/edit/?id=1", "dry"),
    "edit-form-of-none": Operation("book/edit/?id=9", "", 302),
    "edit": Operation("book/edit/?id=1", "", 302, WITH_REVIEWS, EDITED),
    "edit-invalid": Operation("custom/edit/?id=2", "is required", 200, FORM | EMPTY),
    "edit-duplicate": Operation("custom/edit/?id=2", "Already ex", 200, FORM | TAKEN),
    "edit-refused": Operation("custom/edit/?id=2", "CHECK constr", 200, FORM | REFUSED),
    "inline-edit": Operation("book/ajax/update/", "saved", 200, ONE | FORM, RENAMED),
    "inline-edit-of-none": Operation("book/ajax/update/", "exist", 500, NONE | FORM),
    "inline-edit-invalid": Operation("book/ajax/update/", "is req", 500, ONE | EMPTY),
    "inline-edit-duplicate": Operation("book/ajax/update/", "Alre", 500, ONE | TAKEN),
    "inline-edit-refused": Operation("book/ajax/update/", "CHECK", 500, ONE | REFUSED),
    "delete": Operation("book/delete/", "", 302, {"id": "2"}, DELETED),
    "delete-refused": Operation("book/delete/", "", 302, {"id": "3"}),
    "delete-of-none": Operation("book/delete/", "", 302, {"id": "9"}),
    "delete-many": Operation("book/action/", "", 302, MANY, DELETED),
    "delete-many-fast": Operation("custom/action/", "", 302, MANY, DELETED),
    "lookup": Operation("book/ajax/lookup/?name=translator&query=Gu", "Le Guin"),
    "lookup-unknown": Operation("book/ajax/lookup/?name=x", "", 404, sql=False),
    "export-csv": Operation("book/export/csv/", "The Lathe,Le Guin"),
    "export-csv-dropped": Operation("book/export/csv/", "Dune", chunks=2),
    "export-csv-lazily": Operation("custom/export/csv/", "long"),
    "export-json": Operation("book/export/json/", "The Lathe"),
}
# The lazy export has a test of its own, and an export to JSON needs one more package.
DRIVEN = [name for name in OPERATIONS if name != "export-csv-lazily"]
if find_spec("tablib") is None:
    DRIVEN.remove("export-json")
NEVER = "never committed: "
CHANGE_EVERY_TITLE = sa.text(f"UPDATE book SET title = '{NEVER}' || title")
BUILDING = "building the app"


def careless(session: Session) -> None:
    """Custom code that changes every title, and forgets to commit."""
    session.execute(CHANGE_EVERY_TITLE)


SHOPS = contextlib.ExitStack()


class Bookshop:
    """An app with an admin, on one handle, and what a person does with it."""

    def __init__(
        self,
        make_handle: MakeHandle,
        view: t.Any = BookView,
        url: str = MEMORY,
        **broken: t.Any,
    ) -> None:
        self.app = app = flask.Flask("bookshop")
        app.config.update(SECRET_KEY="bookshop", PROPAGATE_EXCEPTIONS=False)
        app.logger.disabled = True
        app.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
        if find_spec("flask_babel"):
            import_module("flask_babel").Babel(app)  # else Flask-Admin fails on it
        self.make_handle = make_handle
        self.building = Seen(make_handle.__name__, BUILDING)
        # Flask-Admin looks at Lite's session, which there is in an app context only.
        lite = make_handle is lite_db
        with watching(self.building):
            self.given, self.engine = make_handle(app, url, **broken)
            app.extensions["given"] = self.given
            admin = flask_admin.Admin(app)
            with (
                app.app_context() if lite else contextlib.nullcontext(),
                deprecated(self.given),
            ):
                self.view: t.Any = view(Book, self.given, endpoint="book")
                admin.add_view(self.view)
                if view is BookView:
                    admin.add_view(CustomView(Book, self.given, endpoint="custom"))
        app.after_request(self.after_request)
        self.rows = self.query(*TABLES, script=f"{SCHEMA}; {ROWS}")
        self.client = app.test_client(use_cookies=False)
        gc.freeze()  # all this stays: what a request leaves is quicker to find then

    def __enter__(self) -> "Bookshop":
        return self

    def __exit__(self, *_: object) -> None:
        for kept in list(NUMBERS):  # by a twin
            kept.close()
        self.engine.dispose()

    def after_request(self, response: flask.Response) -> flask.Response:
        """Custom code in the app, which asks the handle once more."""
        seen = SEEN.get()
        seen.endpoint = str(flask.request.endpoint).split(".")[-1], flask.request.method
        seen.streamed = isinstance(response.response, GeneratorType)
        seen.given.add(number_of(session_of(self.given)))
        return response

    def query(self, *queries: str, script: str = "") -> list[t.Any]:
        """Ask the database itself, past all sessions."""
        with contextlib.closing(self.engine.raw_connection()) as connection:
            cursor: t.Any = connection.cursor()
            if script:
                cursor.executescript(script)
            return [cursor.execute(sql).fetchall() for sql in queries]

    def send(self, name: str, inside: Inside | None = None, fail_at: int = 0) -> Seen:
        """Make one request, read the answer, and see what is left when it is over.

        There is no app context around it, as there is none in a server.
        """
        operation = OPERATIONS[name]
        seen = Seen(self.make_handle.__name__, name, fail_at, inside)
        method = "GET" if operation.data is None else "POST"
        url = f"/admin/{operation.path}"
        with watching(seen):
            response = self.client.open(url, method=method, data=operation.data)
            try:
                for chunk in itertools.islice(
                    response.iter_encoded(), operation.chunks
                ):
                    seen.body += chunk.decode()
                    seen.cut |= seen.streamed and bool(seen.closed)
            except Exception as error:  # too late for an error page: the server gets it
                seen.wrong = f"broke off with {error!r}"
            finally:
                response.close()
        for generation in range(3):
            if seen.living():
                gc.collect(generation)
        seen.left = {type(one).__name__ for one in seen.living()}
        while OUTSIDE.used:
            _, where = OUTSIDE.used.popitem()
            seen.strangers.append(f"a session on another thread: {where}")
        if response.status_code != operation.status:
            seen.wrong = f"answered {response.status_code}, not {operation.status}"
        elif operation.shows not in seen.body:
            seen.wrong = seen.wrong or f"does not show {operation.shows!r}"
        elif operation.sql and not seen.steps:
            seen.wrong = "spoke no SQL"
        return seen

    def look(self, seen: Seen) -> Seen:
        """See how an operation left the database, and put all rows back."""
        writes = OPERATIONS[seen.operation].writes
        *rows, [[done]] = self.query(*TABLES, writes or "SELECT 1")
        if rows != self.rows:
            self.query(script=ROWS)
        seen.saved = NEVER in str(rows)
        if not done:
            seen.wrong = seen.wrong or f"did not make this true: {writes}"
        elif not writes and rows != self.rows:
            seen.wrong = seen.wrong or "changed rows"
        return seen

    def do(self, name: str, inside: Inside | None = None, fail_at: int = 0) -> Seen:
        return self.look(self.send(name, inside, fail_at))

    def drive(self, *names: str) -> list[Seen]:
        """Fail each operation at its first step, its second, and so on, until it has no
        more, and do it again after each.

        The first time somebody changes every title and does not commit: while it fails,
        if it is one that commits, else when it is done again.
        """
        history: list[Seen] = []
        for name in names:
            commits = OPERATIONS[name].data and not name.endswith("-invalid")
            inside = [careless, None] if commits else [None, careless]
            for fail_at in itertools.count(1):
                history.append(self.do(name, inside[0], fail_at))
                if fail_at == 1 or history[-1].failed:
                    history.append(self.do(name, inside[1]))
                if 1 < fail_at >= len(history[-1].steps):
                    break
                inside = [None, None]
        return history


@cache
def driven(make_handle: MakeHandle) -> tuple[Bookshop, list[Seen]]:
    shop = SHOPS.enter_context(Bookshop(make_handle))
    return shop, shop.drive(*DRIVEN)


@pytest.fixture(params=HANDLES, ids=lambda make_handle: make_handle.__name__)
def shop(request: pytest.FixtureRequest) -> Bookshop:
    """The shop on each handle in turn, with everything in it driven already."""
    if reason := unsupported(request.param):
        pytest.skip(reason)
    return driven(request.param)[0]


@pytest.fixture
def history(shop: Bookshop) -> list[Seen]:
    """All that was seen while everything was driven."""
    return driven(shop.make_handle)[1]


@contextlib.contextmanager
def watching(seen: Seen) -> t.Iterator[None]:
    token = SEEN.set(seen)
    try:
        yield
    finally:
        SEEN.reset(token)


def deprecated(given: t.Any) -> t.ContextManager[t.Any]:
    """Since 2.1 Flask-Admin warns of a ``scoped_session``: ``db`` is to be given."""
    if FLASK_ADMIN >= (2, 1) and isinstance(given, orm.scoped_session):
        return pytest.warns(DeprecationWarning, match="Passing a session object")
    return contextlib.nullcontext()


# --------------------------------------------------------- what is known to be broken

SOURCE = (
    "https://github.com/pallets-eco/flask-admin/blob/v2.2.1/flask_admin/contrib/sqla"
)


class Defect(t.NamedTuple):
    """What a release breaks.  Once it is mended it has to go from here."""

    here: bool
    why: str
    laws: tuple[str, ...] = ()
    breaks: t.Callable[[Seen], bool] = lambda seen: False

    def expected(self) -> pytest.MarkDecorator:
        failure = pytest.fail.Exception
        return pytest.mark.xfail(
            self.here, reason=self.why, raises=failure, strict=True
        )


STREAMS_TOO_LATE = Defect(
    FLASK >= (3, 1, 2),
    "Flask 3.1.2 and newer end the app context, and the session, before they stream: "
    "https://github.com/pallets/flask/issues/5774",
    ("alive",),
    lambda seen: seen.streamed,
)
MASS_DELETE_NOT_ROLLED_BACK = Defect(
    FLASK_ADMIN <= (2, 2, 1),
    "Flask-Admin's delete action does not roll back when its commit fails: the next "
    f"request to get that connection finds what was not committed: {SOURCE}/view.py",
    ("recovers",),
    lambda seen: seen.operation == "delete-many-fast",
)
UNIQUE_KEEPS_SESSION = Defect(
    (2, 1) <= FLASK_ADMIN < (2, 2, 1),
    "In Flask-Admin 2.1.0 and 2.2.0 Unique keeps the session of startup with Lite: "
    "https://github.com/pallets-eco/flask-admin/pull/2953",
    ("single", "fresh", "released", "recovers"),
    lambda seen: seen.handle == "lite_db" and "title" in (seen.data or ()),
)
NEEDS_FLASK_SQLALCHEMY = Defect(
    FLASK_ADMIN == (2, 2, 1),
    "Flask-Admin 2.2.1 does not import without Flask-SQLAlchemy (no T_SESSION then): "
    f"{SOURCE}/_types.py",
)
DEFECTS = (STREAMS_TOO_LATE, MASS_DELETE_NOT_ROLLED_BACK, UNIQUE_KEEPS_SESSION)


@NEEDS_FLASK_SQLALCHEMY.expected()
def test_views_import_without_flask_sqlalchemy(monkeypatch: pytest.MonkeyPatch) -> None:
    contrib = import_module("flask_admin.contrib")
    monkeypatch.setattr(contrib, "sqla", contrib.sqla)
    monkeypatch.setitem(sys.modules, "flask_sqlalchemy", None)
    for name in list(sys.modules):
        if name.startswith(contrib.sqla.__name__):
            monkeypatch.delitem(sys.modules, name)
    try:
        assert import_module("flask_admin.contrib.sqla").ModelView is not ModelView
    except ImportError as error:
        pytest.fail(str(error), pytrace=False)


def test_no_defect_is_here_that_an_upgrade_mends() -> None:
    if UNIQUE_KEEPS_SESSION.here and not unsupported(lite_db):
        pytest.fail(f"{UNIQUE_KEEPS_SESSION.why}. Upgrade to 2.2.1.", pytrace=False)


# --------------------------------------------------------------- a law, and how to ask

# A law yields what broke it.  Its docstring is the sentence that it is told by.
Law = t.Callable[[list[Seen]], t.Iterator[tuple[Seen, str]]]
LAWS: dict[str, Law] = {}
TWINS: list[t.Any] = []


def law(check: Law) -> Law:
    LAWS[check.__name__] = check
    return check


def broken(law: Law, history: list[Seen]) -> str:
    """The sentence of a law, and each operation that broke it; nothing if none did."""
    if law is not recovers:  # which asks the others about requests that failed
        history = [seen for seen in history if not seen.failed]
    assert history, "nothing was seen, so nothing is proven"
    found: dict[str, tuple[str, dict[str, None]]] = {}
    for seen, why in law(history):
        alike = re.sub(r"\bsession \d+", "session", why)
        found.setdefault(alike, (why, {}))[1][seen.operation] = None
    sentence = " ".join(str(law.__doc__).split())
    title = f"`{law.__name__}` is broken with `{history[0].handle}`: {sentence}"
    lines = [f"- {', '.join(names)}: {why}" for why, names in found.values()]
    return "\n".join([title, *lines]) if found else ""


def must_hold(law: Law, history: list[Seen]) -> None:
    if said := broken(law, history):
        pytest.fail(said, pytrace=False)


def must_break(law: Law, history: list[Seen], saying: str) -> None:
    said = broken(law, history)
    assert re.search(f"^- .*{saying}", said, re.MULTILINE), said or "no law is broken"


class Twin(ModelView):
    """What a twin adds one bug to: an admin that exports, which renders no page."""

    can_export = True
    can_view_details = True
    is_accessible = BookView.is_accessible

    def engine(self) -> t.Any:
        return session_of(self.session).get_bind()


Bug = t.TypeVar("Bug", bound=t.Callable[..., t.Any])


def twin(
    law: Law, saying: str, operation: str = "export-csv", part: str = "view"
) -> t.Callable[[Bug], Bug]:
    """What is decorated breaks a law, in a part of the app: its view, or the scope or
    the teardown of its handle."""

    def register(bug: Bug) -> Bug:
        app = {"view": Twin, part: bug}
        TWINS.append(pytest.param(law, saying, operation, app, id=bug.__name__))
        return bug

    return register


# --------------------------------------------------------- is everything driven at all


def undriven(app: flask.Flask, history: list[Seen]) -> set[tuple[str, str]]:
    """The endpoints of a view, each with its methods, that were not seen."""
    return {
        (rule.endpoint.removeprefix("book."), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint.startswith("book.")
    } - {seen.endpoint for seen in history}


def test_every_endpoint_is_driven(shop: Bookshop, history: list[Seen]) -> None:
    """What a future release exposes fails here by its name, until it is driven."""
    assert undriven(shop.app, history) == set()


def test_new_endpoint_is_noticed() -> None:
    class Grown(Twin):
        @flask_admin.expose("/merge/", methods=("POST",))
        def merge_view(self) -> str:
            return "merged"

    with Bookshop(plain_session, Grown) as shop:
        assert ("merge_view", "POST") in undriven(shop.app, [])


@law
def effect(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """An operation that did not do its work proves nothing."""
    for seen in history:
        if seen.wrong:
            yield seen, seen.wrong


def test_no_work_is_done_beforehand(shop: Bookshop) -> None:
    for operation in OPERATIONS.values():
        assert shop.query(operation.writes or "SELECT 0") in ([[(0,)]], [[(None,)]])


@twin(effect, "did not make this true", "delete")
class DeletesNothing(Twin):
    def delete_model(self, model: object) -> bool:
        return True


# ------------------------------------------------------------------------ law: handle


@law
def handle(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """A view keeps the handle it was given, the same object for the life of the app,
    and never a session."""
    for seen in history:
        if seen.held:
            yield seen, f"the view holds a {seen.held}, not the handle it was given"


def test_handle_stays_and_sessions_come_and_go(shop: Bookshop) -> None:
    """One handle, three requests, three sessions, told apart while all are kept."""
    sessions: list[Session] = []
    for _ in range(3):
        assert shop.view.session is shop.given
        shop.send("lookup", inside=sessions.append)
    assert shop.view.session is shop.given
    first, second, third = sessions
    assert first is not second
    assert second is not third
    assert third is not first


@twin(handle, "the view holds a Session")
class HoldsRawSession(Twin):
    """``ModelView(Book, Session())``: the classic, with its stale rows."""

    def __init__(self, model: t.Any, given: t.Any, **options: t.Any) -> None:
        super().__init__(model, given, **options)
        self.session = t.cast(t.Any, Session(given.get_bind()))


# ------------------------------------------------------------------------ law: single


@law
def single(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """Everything the admin does in one request goes through one session: the one that
    the handle gives to that request."""
    for seen in history:
        if len(seen.given) != 1:
            yield seen, f"the handle gave {len(seen.given)} sessions in one request"
        for number in seen.used.keys() - seen.given:
            yield seen, f"session {number}, of {seen.used[number]}, is a stray"
        for stranger in seen.strangers:
            yield seen, stranger


@twin(single, "in get_query, is a stray")
class UsesSessionOfItsOwn(Twin):
    def get_query(self) -> t.Any:
        with Session(self.engine()) as own:
            return own.query(Book)


@twin(single, "gave [2-9] sessions", part="scope")
def scope_of_one_question() -> object:
    """A session for each question: "already attached to session 1 (this is 2)"."""
    return object()


@twin(single, "a session on another thread: .* in <lambda>")
class UsesAnotherThread(Twin):
    def get_query(self) -> t.Any:
        thread = threading.Thread(target=lambda: Session().close())
        thread.start()
        thread.join()
        return super().get_query()


@twin(single, "a statement of no session: SELECT 42")
class GoesPastTheSession(Twin):
    def get_query(self) -> t.Any:
        with self.engine().connect() as connection:
            connection.exec_driver_sql("SELECT 42")
        return super().get_query()


# ------------------------------------------------------------------------- law: fresh


@law
def fresh(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """No session serves two requests, and none is opened by building the app."""
    for seen in history:
        for number, first in seen.older.items():
            here = seen.used[number]
            yield seen, f"session {number}, of {here}, is not new: it is from {first}"
        if seen.operation == BUILDING:
            for number, where in seen.used.items():
                yield seen, f"opened session {number}: {where}"
            if seen.pool:
                yield seen, "took a connection"


def test_fresh_building_the_app_opens_no_session(
    shop: Bookshop, request: pytest.FixtureRequest
) -> None:
    """Lite's case is its own: its ``db.session`` is a session, so that a view can only
    be built in an app context, and a look at it opens one.  That one does nothing,
    takes no connection, and is closed with that context."""
    building = shop.building
    if building.handle != "lite_db":
        return must_hold(fresh, [building])
    request.applymarker(UNIQUE_KEEPS_SESSION.expected())
    gc.collect()
    if building.living():
        opened = ", ".join(building.used.values())
        pytest.fail(f"a session is still there after the start: {opened}", False)
    assert (building.steps, building.pool) == ([], [])
    assert building.used.keys() <= building.closed


@twin(fresh, "building the app: opened session .* in scaffold_form")
class CapturesAtStartup(Twin):
    """So did the ``Unique`` validator in Flask-Admin 2.1.0 and 2.2.0 (#2953)."""

    def scaffold_form(self) -> t.Any:
        self.captured = session_of(self.session)
        return super().scaffold_form()


@twin(fresh, "is not new")
class CapturesOnFirstUse(Twin):
    """The first request is faultless: that is why everything is driven twice."""

    captured: t.Any = None

    def get_query(self) -> t.Any:
        self.captured = self.captured or session_of(self.session)
        return self.captured.query(Book)


# ---------------------------------------------------------------------- law: isolated


@law
def isolated(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """What a request has not committed nobody else sees: not the next request, not one
    that runs at the same time."""
    for seen in history:
        if NEVER in seen.body and seen.inside is not careless:
            yield seen, "shows a change that another request has not committed"
        if seen.saved:
            yield seen, "finds a change saved that nobody committed"


def at_once(folder: Path, make_handle: MakeHandle, **broken: t.Any) -> list[Seen]:
    """Two requests are inside a view at the same time.

    The first changes every title there, and waits until the second has its answer.  The
    database is a file: in memory SQLite has one connection only, with one transaction.
    """
    both_inside, answered = threading.Barrier(2, timeout=30), threading.Event()

    def change_and_wait(session: Session) -> None:
        careless(session)
        both_inside.wait()
        assert answered.wait(timeout=30)

    url = f"sqlite:///{folder / 'books.db'}"
    with Bookshop(make_handle, url=url, **broken) as shop, ThreadPoolExecutor() as pool:
        first = pool.submit(shop.send, "lookup", change_and_wait)
        second = shop.send("export-csv", lambda session: both_inside.wait())
        answered.set()
        return [first.result(), shop.look(second)]


def test_isolated_at_the_same_time(shop: Bookshop, tmp_path: Path) -> None:
    history = at_once(tmp_path, shop.make_handle)
    for law in (effect, fresh, isolated):
        must_hold(law, history)


def test_scope_shared_by_all_is_noticed(tmp_path: Path) -> None:
    history = at_once(tmp_path, plain_session, scope=lambda: "all")
    must_break(isolated, history, "export-csv: shows a change that another request")
    must_break(fresh, history, "is not new")


@twin(isolated, "finds a change saved", part="teardown")
def teardown_commits(session: t.Any, error: object) -> None:
    session.commit()
    session.remove()


# ------------------------------------------------------------------------- law: alive


@law
def alive(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """The session lives until the response is complete, a streamed one included."""
    for seen in history:
        if seen.cut:
            yield seen, "the session was closed before the answer was complete"
        for number, where in seen.revived.items():
            yield seen, f"session {number} is used once more after its end: {where}"


@STREAMS_TOO_LATE.expected()
def test_alive_for_what_loads_while_it_streams(shop: Bookshop) -> None:
    """A column that is loaded row by row, as the export of a one-to-many is."""
    must_hold(effect, [shop.do("export-csv-lazily")])


@twin(alive, "was closed before the answer")
class RemovesBeforeTheStream(Twin):
    def get_export_name(self, *_: object, **__: object) -> str:
        t.cast(t.Any, self.session).remove()
        return "books.csv"


@twin(alive, "is used once more after its end")
class ClosesHalfWay(Twin):
    def get_count_query(self) -> t.Any:
        query = super().get_count_query()
        session_of(self.session).close()
        return query


# ---------------------------------------------------------------------- law: released


@law
def released(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """Then it is gone: closed, its transaction over, its connection back in the pool,
    the registry empty, and nothing in the app refers to it or to an instance it
    loaded."""
    for seen in history:
        for number in seen.used.keys() - seen.closed:
            yield seen, f"session {number}, of {seen.used[number]}, is not closed"
        if "returned dirty" in seen.pool:
            yield seen, "a connection is back in the pool with its transaction open"
        taken = seen.pool.count("taken")
        if 2 * taken != len(seen.pool):
            returned = len(seen.pool) - taken
            yield seen, f"connections taken: {taken}, returned: {returned}"
        if seen.left:  # in a registry, for example
            yield seen, f"still referred to: {', '.join(sorted(seen.left))}"


@twin(released, "is not closed", part="teardown")
def teardown_missing(session: t.Any, error: object) -> None:
    """``scoped_session`` without ``remove()``: the session of a thread, for ever."""


@twin(released, "still referred to: .*Session", part="teardown")
def teardown_closes_and_keeps(session: t.Any, error: object) -> None:
    session.close()


@twin(released, "still referred to: Book", "delete-refused")
class KeepsInstances(Twin):
    def get_one(self, id: t.Any) -> t.Any:
        self.last = super().get_one(id)
        return self.last


@twin(released, "connections taken: 2, returned: 1")
class KeepsConnection(Twin):
    kept: t.Any = None

    def get_query(self) -> t.Any:
        self.kept = self.kept, self.engine().connect()
        return super().get_query()


# ---------------------------------------------------------------------- law: recovers


@law
def recovers(history: list[Seen]) -> t.Iterator[tuple[Seen, str]]:
    """Whatever goes wrong in a request, the other laws still hold, and the next request
    works."""
    for seen, again in zip(history, history[1:], strict=False):
        if seen.failed:
            for law in (handle, single, fresh, isolated, alive, released):
                for _, why in law([seen]):
                    yield seen, f"`{law.__name__}`, when `{seen.failed}` fails: {why}"
            if again.wrong:
                yield seen, f"once `{seen.failed}` has failed: {again.wrong}"


def test_recovers_in_the_request_that_was_refused(history: list[Seen]) -> None:
    """After a constraint's refusal the form is there again, with all the authors."""
    for refused in ("create-refused", "edit-refused"):
        pages = [one.body for one in history if one.operation == refused]
        assert any("CHECK constraint" in page and "Le Guin" in page for page in pages)


@twin(recovers, "`released`, when `SELECT .*` fails", part="teardown")
def teardown_only_when_well(session: t.Any, error: BaseException | None) -> None:
    if error is None:
        session.remove()


# ------------------------------------------------------------ all laws, and their twins


def test_every_step_is_failed(history: list[Seen]) -> None:
    failed = {seen.operation for seen in history if seen.failed}
    assert failed == {name for name in DRIVEN if OPERATIONS[name].sql}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_every_operation_keeps_the_law(
    law: Law, history: list[Seen], record_property: t.Callable[[str, str], None]
) -> None:
    """A known defect excuses what it is known to break, as long as it does."""
    why = ""
    for defect in DEFECTS:
        if defect.here and law.__name__ in defect.laws:
            if concerned := [seen for seen in history if defect.breaks(seen)]:
                why, said = defect.why, broken(law, concerned)
                assert said, f"this is mended, take it out: {why}"
                record_property("broken", said)
                history = [seen for seen in history if seen not in concerned]
    must_hold(law, history)
    if why:
        pytest.xfail(why)


@pytest.mark.parametrize(("law", "saying", "operation", "app"), TWINS)
def test_twin_is_caught(
    law: Law, saying: str, operation: str, app: dict[str, t.Any]
) -> None:
    with Bookshop(plain_session, **app) as shop:
        history = [shop.building, shop.do(operation), shop.do(operation, careless)]
        history += [shop.do(operation, fail_at=1), shop.do(operation)]
    must_break(law, history, saying)
