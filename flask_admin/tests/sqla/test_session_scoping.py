"""Does Flask-Admin hold one SQLAlchemy session for the lifetime of the app?

No.  A view is given a *handle*, and that is what it keeps: the ``db`` of
Flask-SQLAlchemy or of Flask-SQLAlchemy-Lite, or a plain ``scoped_session``.  Whenever
Flask-Admin needs a *session*, it asks the handle, and the handle answers with the one
that belongs to the request that is running.  When the request is over, that session is
gone.  The handle stays.

This module proves it, and goes red when it is no longer so.  It drives every endpoint
of ``ModelView`` through a real app, watches every session, and holds what it saw
against seven laws; the first question, ``effect``, is whether the work was done at all.
Beside each law stand its *twins*: apps that are broken on purpose, and that show that
the law's own check can fail.

Read on from top to bottom: the handles, a bookshop with an admin, how a request is
watched, what is driven, how a law is asked, and then a section for each law.  At the
end stands what is known to be broken, and the test that asks for everything.
"""

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import re
import sys
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from contextvars import copy_context
from dataclasses import dataclass
from dataclasses import field
from functools import partial
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
from packaging.version import Version
from sqlalchemy import orm
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import flask_admin

try:
    from flask_admin.contrib.sqla import ModelView
except ImportError as error:
    pytest.fail(f"Flask-Admin's SQLAlchemy views do not import: {error}", pytrace=False)

pytestmark = [
    # Of Flask-Admin 2.2.1, by WTForms 3.3; and of a scoped_session, by Flask-Admin.
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
]
FLASK, FLASK_ADMIN = Version(version("flask")), Version(flask_admin.__version__)
MEMORY = "sqlite://"  # one connection for all: right for one request after another
# An empty database of one's own may be named: its tables are made, emptied and filled.
DATABASE = os.environ.get("SESSION_SCOPING_DATABASE", MEMORY)

# ------------------------------------------------------------------------ the handles


def session_of(handle: t.Any) -> Session:
    """The session that a handle gives to the request that is running."""
    handle = getattr(handle, "session", handle)
    session: Session = handle() if isinstance(handle, orm.scoped_session) else handle
    return session


def sqlalchemy_db(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy: a session for each app context."""
    db = import_module("flask_sqlalchemy").SQLAlchemy()
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    return db


def sqlalchemy_session(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db.session)``: called a session, and a handle all the same."""
    return sqlalchemy_db(app, url).session


def lite_db(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy-Lite: the sessions are in ``g``.

    Its ``db.session`` would not do as a handle: it is the session of the moment.
    """
    db = import_module("flask_sqlalchemy_lite").SQLAlchemy()
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    # Its teardown is async, and Flask would run that on a new thread each time.
    run = lambda function: lambda *args: asyncio.run(function(*args))  # noqa: E731
    app.async_to_sync = run  # type: ignore[method-assign]
    db.init_app(app)
    return db


def plain_session(
    app: flask.Flask,
    url: str,
    scope: t.Callable[[], t.Any] | None = None,
    teardown: t.Callable[..., t.Any] = lambda session, error: session.remove(),
) -> t.Any:
    """SQLAlchemy's own ``scoped_session``.  Twins give it a bad scope or teardown."""
    options: dict[str, t.Any] = {}
    if url.startswith("sqlite"):
        options["connect_args"] = {"check_same_thread": False}
    if url == MEMORY:
        options["poolclass"] = sa.pool.StaticPool
    engine = sa.create_engine(url, **options)
    session = orm.scoped_session(orm.sessionmaker(engine), scope)
    app.teardown_appcontext(lambda error: teardown(session, error))
    return session


MakeHandle = t.Callable[..., t.Any]

# The package that each handle comes from, and the first Flask-Admin that takes it.
HANDLES: dict[MakeHandle, tuple[str, str]] = {
    sqlalchemy_db: ("flask_sqlalchemy", "2.1"),
    sqlalchemy_session: ("flask_sqlalchemy", "1"),
    lite_db: ("flask_sqlalchemy_lite", "2.1"),
    plain_session: ("sqlalchemy", "1"),
}

# --------------------------------------------------------------- the throwaway bookshop

models = orm.registry()


def key() -> t.Any:
    return sa.Column(sa.Integer, sa.Identity(start=100), primary_key=True)


class Named:
    name = sa.Column(sa.String(40))

    def __str__(self) -> str:
        return str(self.name)


@models.mapped
class Author(Named):
    __tablename__ = "author"
    id = key()


@models.mapped
class Book:
    __tablename__ = "book"
    __table_args__ = (sa.CheckConstraint("title <> 'refused'"),)  # no form knows of it
    id = key()
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
    id = key()
    book_id = sa.Column(sa.Integer, sa.ForeignKey("book.id", ondelete="CASCADE"))
    book = orm.relationship(Book, back_populates="reviews")
    critic_id = sa.Column(sa.Integer, sa.ForeignKey("author.id"))
    critic = orm.relationship(Author)


# Who refers to a book does not let it go; SQLite has to be told to care.
LOAN = sa.Table(
    "loan", models.metadata, sa.Column("book_id", sa.ForeignKey("book.id"), unique=True)
)
ROWS = """
    DELETE FROM loan; DELETE FROM review; DELETE FROM book; DELETE FROM author;
    INSERT INTO author (id, name) VALUES (1, 'Le Guin'), (2, 'Herbert');
    INSERT INTO book VALUES (1, 'Dune', 2, 2), (2, 'The Lathe', 1, 1),
        (3, 'Solaris', 2, 2);
    INSERT INTO review (id, name, book_id) VALUES (1, 'long', 1), (2, 'dry', 1);
    INSERT INTO loan VALUES (3)
"""
BY_NAME = {"fields": ("name",)}
TABLES = [
    f"SELECT * FROM {table} ORDER BY id" for table in ("author", "book", "review")
]


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
    form_ajax_refs = {"translator": BY_NAME}
    inline_models: t.Any = ((Review, {"form_ajax_refs": {"critic": BY_NAME}}),)
    can_view_details = True
    can_export = True
    export_types = ["csv", "json"]
    page_size = 1

    def is_accessible(self) -> bool:
        """Custom code in the view: Flask-Admin calls this before all of its own."""
        seen = SEEN.get()
        session = session_of(self.session)
        if seen.custom_code and not seen.answers:
            seen.custom_code(session)
        seen.answers.add(number_of(session))
        if self.session is not flask.current_app.extensions["handle"]:
            seen.held_instead = type(self.session).__name__
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


CustomCode = t.Callable[[Session], object]


@dataclass(eq=False)
class Seen:
    """What was seen of one request: the laws judge by nothing else.

    Sessions are told apart by a number that each gets at its birth.  An ``id()`` would
    prove nothing: the address of a session that is gone is given to the next one.
    """

    operation: str = "no request"
    make_handle: MakeHandle | None = None
    custom_code: CustomCode | None = None  # to run in the view
    fail_at: int = 0  # the step to fail, counted from 1
    before: t.Callable[[str], bool] | None = None  # each step: to wait; does it fail?
    body: str = ""
    endpoint: tuple[str, str] = ("", "")  # and the method
    streamed: bool = False
    not_done: str = ""  # how the answer, or the database, is not as it should be
    held_instead: str = ""  # of its handle, by the view
    answers: set[int] = field(default_factory=set)  # the answers of the handle
    used: dict[int, str] = field(default_factory=dict)  # each session, and who used it
    first_used: dict[int, str] = field(default_factory=dict)  # before, and by whom
    closed: set[int] = field(default_factory=set)
    closed_early: list[str] = field(default_factory=list)  # how its session was
    steps: list[str] = field(default_factory=list)  # statements and commits
    failed: str = ""  # the step that was made to fail
    past_the_handle: list[str] = field(default_factory=list)  # what was done so
    pool: list[str] = field(default_factory=list)  # connections taken and returned
    loaded: list["ref[t.Any]"] = field(default_factory=list)  # and the sessions
    still_alive: set[str] = field(default_factory=set)  # what was not garbage later
    saved_uncommitted: bool = False  # did the database keep what nobody committed?
    thread: int = field(default_factory=threading.get_ident)

    def look_for_garbage(self) -> None:
        for generation in range(3):
            if any(one() is not None for one in self.loaded):
                gc.collect(generation)
        living = [one() for one in self.loaded]
        self.still_alive = {type(one).__name__ for one in living if one is not None}


OUTSIDE = Seen()
SEEN: ContextVar[Seen] = ContextVar("SEEN", default=OUTSIDE)
BIRTHS = itertools.count(1)
FIRST_USE: dict[int, str] = {}
SPEAKING: "WeakKeyDictionary[sa.engine.Connection, ref[Session]]" = WeakKeyDictionary()
SQLALCHEMY = {"sqlalchemy", "flask_sqlalchemy", "flask_sqlalchemy_lite"}


def number_of(session: Session) -> int:
    return t.cast(int, session.info.setdefault("number", next(BIRTHS)))


def caller() -> str:
    """The file and line, outside of SQLAlchemy, that makes use of a session."""
    frame = sys._getframe(3)
    while (
        frame.f_globals.get("__name__", "").split(".")[0] in SQLALCHEMY
        or frame.f_code is session_of.__code__
    ) and frame.f_back:
        frame = frame.f_back
    file = re.split("site-packages.", frame.f_code.co_filename)[-1]
    return f"{file}:{frame.f_lineno} in {frame.f_code.co_name}"


def use(session: Session) -> Seen:
    """Note that the running request uses a session."""
    seen, number = SEEN.get(), number_of(session)
    if number not in seen.used:
        seen.used[number] = caller()
        seen.loaded.append(ref(session))
        if number in FIRST_USE:
            seen.first_used[number] = FIRST_USE[number]
        FIRST_USE.setdefault(number, f"{seen.used[number]}, for `{seen.operation}`")
    if seen.thread != threading.get_ident() and seen is not OUTSIDE:
        seen.past_the_handle.append(f"a session on another thread: {caller()}")
    if number in seen.closed:
        seen.closed.remove(number)
        seen.closed_early.append(
            f"a session is used once more after its end: {caller()}"
        )
    return seen


def on_instance(session: Session, instance: object) -> None:
    use(session).loaded.append(ref(instance))


def on_begin(session: Session, _: object, connection: sa.engine.Connection) -> None:
    use(session)
    SPEAKING[connection] = ref(session)


def on_statement(connection: t.Any, cursor: object, sql: str, *_: object) -> None:
    session = SPEAKING[connection]() if connection in SPEAKING else None
    seen = use(session) if session else SEEN.get()
    if sql != "BEGIN":  # which is Flask-Admin's conftest's own way to begin with SQLite
        if session is None:
            seen.past_the_handle.append(f"a statement of no session: {sql}")
        on_step(sql)


def on_step(step: str) -> None:
    """A statement or a commit is about to be sent: the moment to wait, or to let it
    fail, unless it is sent by custom code, before the view knows its session."""
    seen = SEEN.get()
    if seen.answers and not seen.failed:
        seen.steps.append(step)
        fails = seen.before is not None and seen.before(step)
        if fails or len(seen.steps) == seen.fail_at:
            seen.failed = " ".join(seen.steps.pop().split())[:40]
            raise OperationalError(step, {}, Exception("failed by the guard"))


def on_checkin(connection: t.Any, _: object) -> None:
    dirty = getattr(connection, "in_transaction", False)
    SEEN.get().pool.append("returned dirty" if dirty else "returned")


LISTENERS: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
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

    def nothing(session: Session) -> None: ...

    def close(session: Session) -> None:
        SEEN.get().closed.add(number_of(session))

    def watched(name: str, before: t.Any, after: t.Any) -> t.Callable[..., None]:
        method = getattr(Session, name)

        def call(session: Session, *args: t.Any, **kwargs: t.Any) -> None:
            before(session)
            method(session, *args, **kwargs)
            after(session)

        return call

    methods: dict[str, tuple[t.Any, t.Any]] = {"__init__": (nothing, use)}
    methods |= dict.fromkeys(("close", "reset", "invalidate"), (nothing, close))
    methods |= dict.fromkeys(("flush", "commit", "rollback"), (use, nothing))
    with pytest.MonkeyPatch.context() as patch:
        for name in methods.keys() & dir(Session):  # 1.4 has no reset
            patch.setattr(Session, name, watched(name, *methods[name]))
        # It logs the errors that we make, and a log record keeps their frames alive.
        patch.setattr(logging.getLogger("flask-admin.sqla"), "disabled", True)
        for listener in LISTENERS:
            sa.event.listen(*listener)
        yield
        gc.unfreeze()
        for listener in LISTENERS:
            sa.event.remove(*listener)


# ---------------------------------------------------------------------- what is driven


class Operation(t.NamedTuple):
    """One thing that a person does in the admin, and how to tell that it was done."""

    path: str
    shows: str = ""  # in the answer, a pattern
    status: int = 200
    data: dict[str, t.Any] | None = None  # what is posted
    writes: str = ""  # SQL, false before and true after; without, no row may change
    chunks: int | None = None  # of the answer to read before the connection is dropped


FORM = {"title": "Ubik", "author": "1"}
WITH_REVIEW = {
    **{"title": "Ubik", "translator": "1"},
    **{"reviews-0-name": "new", "reviews-0-critic": "1"},
}
WITH_REVIEWS = {
    **{"title": "Dune", "_continue_editing": "on"},
    **{"reviews-0-id": "1", "reviews-0-name": "longer"},
    **{"reviews-1-id": "2", "reviews-1-name": "dry", "del-reviews-1": "on"},
    **{"reviews-2-id": "", "reviews-2-name": "new"},
}
EMPTY, TAKEN, REFUSED = {"title": ""}, {"title": "Solaris"}, {"title": "refused"}
ONE, NONE = {"list_form_pk": "1"}, {"list_form_pk": "9"}
LOOKUP = "book/ajax/lookup/?name="
MANY = {"action": "delete", "rowid": ["1", "2"]}
ONE_OF_MANY = {"action": "delete", "rowid": "2"}  # each row has a commit of its own

REVIEWS = "FROM review JOIN book ON book_id = book.id WHERE title"
CREATED = f"SELECT count(*) = 1 {REVIEWS} = 'Ubik' AND name = 'new'"
EDITED = f"SELECT min(name) = 'longer' AND max(name) = 'new' {REVIEWS} = 'Dune'"
RENAMED = "SELECT count(*) FROM book WHERE title = 'Ubik'"
DELETED = "SELECT count(*) = 0 FROM book WHERE id = 2"
REFUSAL = "(?i)constraint"
AGAIN = "(?i)constraint.*Le Guin"  # the reason, and the form again with all the authors

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
    "create-refused": Operation("custom/new/", AGAIN, 200, FORM | REFUSED),
    "edit-form": Operation("book/edit/?id=1", "dry"),
    "edit-form-of-none": Operation("book/edit/?id=9", "", 302),
    "edit": Operation("book/edit/?id=1", "", 302, WITH_REVIEWS, EDITED),
    "edit-invalid": Operation("custom/edit/?id=2", "is required", 200, FORM | EMPTY),
    "edit-duplicate": Operation("custom/edit/?id=2", "Already ex", 200, FORM | TAKEN),
    "edit-refused": Operation("custom/edit/?id=2", AGAIN, 200, FORM | REFUSED),
    "inline-edit": Operation("book/ajax/update/", "saved", 200, ONE | FORM, RENAMED),
    "inline-edit-of-none": Operation("book/ajax/update/", "exist", 500, NONE | FORM),
    "inline-edit-invalid": Operation("book/ajax/update/", "is req", 500, ONE | EMPTY),
    "inline-edit-duplicate": Operation("book/ajax/update/", "Alre", 500, ONE | TAKEN),
    "inline-edit-refused": Operation("book/ajax/update/", REFUSAL, 500, ONE | REFUSED),
    "delete": Operation("book/delete/", "", 302, {"id": "2"}, DELETED),
    "delete-refused": Operation("book/delete/", "", 302, {"id": "3"}),
    "delete-of-none": Operation("book/delete/", "", 302, {"id": "9"}),
    "delete-many": Operation("book/action/", "", 302, ONE_OF_MANY, DELETED),
    "delete-many-fast": Operation("custom/action/", "", 302, MANY, DELETED),
    "lookup": Operation(f"{LOOKUP}translator&query=Gu", "Le Guin"),
    "lookup-inline": Operation(f"{LOOKUP}review-critic&query=Gu", "Le Guin"),
    "export-csv": Operation("book/export/csv/", "The Lathe,Le Guin"),
    "export-csv-dropped": Operation("book/export/csv/", "Dune", chunks=2),
    "export-csv-lazily": Operation("custom/export/csv/", "long"),
    "export-json": Operation("book/export/json/", "The Lathe"),
}
if find_spec("tablib") is None:
    del OPERATIONS["export-json"]
# Each place where Flask-Admin asks a handle is in one of these.
IN_STEP = ("create-form", "create", "edit", "delete-many", "lookup", "export-csv")
NEVER = "never committed"
RENAME = sa.text(f"UPDATE author SET name = 'Le Guin {NEVER}' WHERE id = 1")
BUILDING = "building the app"


def careless(session: Session) -> None:
    """Custom code that renames an author, and forgets to commit."""
    session.execute(RENAME)


class Bookshop:
    """An app with an admin, on one handle, and what a person does with it."""

    def __init__(
        self,
        make_handle: MakeHandle,
        view: t.Any = BookView,
        url: str = DATABASE,
        **broken: t.Any,
    ) -> None:
        self.app = app = flask.Flask("bookshop")
        app.config.update(SECRET_KEY="bookshop", PROPAGATE_EXCEPTIONS=False)
        app.logger.disabled = True
        app.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
        if find_spec("flask_babel"):
            import_module("flask_babel").Babel(app)  # else Flask-Admin fails on it
        self.make_handle = make_handle
        self.building = Seen(BUILDING, make_handle)
        # Flask-Admin looks at Lite's session, which there is in an app context only.
        lite = make_handle is lite_db
        with watching(self.building):
            self.handle = app.extensions["handle"] = make_handle(app, url, **broken)
            admin = flask_admin.Admin(app)
            with app.app_context() if lite else contextlib.nullcontext():
                self.view: t.Any = view(Book, self.handle, endpoint="book")
                admin.add_view(self.view)
                if view is BookView:
                    admin.add_view(CustomView(Book, self.handle, endpoint="custom"))
        self.building.look_for_garbage()
        app.after_request(self.after_request)
        with app.app_context(), watching(Seen()):
            self.engine: t.Any = session_of(self.handle).get_bind()
            models.metadata.create_all(self.engine)
        self.put_back()
        self.rows = self.query(*TABLES)
        self.client = app.test_client(use_cookies=False)
        self.history: list[Seen] = []
        gc.freeze()  # all this stays: what a request leaves is quicker to find then

    def after_request(self, response: flask.Response) -> flask.Response:
        """Custom code in the app, which asks the handle once more."""
        seen = SEEN.get()
        seen.endpoint = str(flask.request.endpoint).split(".")[-1], flask.request.method
        seen.streamed = isinstance(response.response, GeneratorType)
        if seen.closed:
            seen.closed_early.append(
                "the session was closed before there was an answer"
            )
        seen.answers.add(number_of(session_of(self.handle)))
        return response

    def query(self, *queries: str) -> list[t.Any]:
        """Ask the database itself, past all sessions."""
        with contextlib.closing(self.engine.raw_connection()) as connection:
            cursor: t.Any = connection.cursor()
            answers = []
            for sql in queries:
                cursor.execute(sql)
                answers.append(list(cursor.fetchall() if cursor.description else ()))
            connection.commit()
            return answers

    def put_back(self) -> None:
        pragma = ["PRAGMA foreign_keys = ON"] * (self.engine.name == "sqlite")
        self.query(*pragma, *ROWS.split(";"))

    def do(
        self,
        name: str,
        custom_code: CustomCode | None = None,
        fail_at: int = 0,
        before: t.Callable[[str], bool] | None = None,
    ) -> Seen:
        """Make one request, read the answer, and see what is left when it is over.

        There is no app context around it, as there is none in a server.
        """
        path, shows, status, data, writes, chunks = OPERATIONS[name]
        seen = Seen(name, self.make_handle, custom_code, fail_at, before)
        method = "GET" if data is None else "POST"
        answered = 0
        with watching(seen), contextlib.ExitStack() as stack:
            try:
                response = self.client.open(f"/admin/{path}", method=method, data=data)
                stack.callback(response.close)
                answered = response.status_code
                for chunk in itertools.islice(response.iter_encoded(), chunks):
                    seen.body += chunk.decode()
                    if seen.streamed and seen.closed and not seen.closed_early:
                        seen.closed_early.append(
                            "the session was closed before the last chunk"
                        )
            except Exception as error:  # too late for an error page: the server gets it
                seen.not_done = f"broke off with {type(error).__name__}"
        seen.look_for_garbage()
        while OUTSIDE.used:
            _, where = OUTSIDE.used.popitem()
            seen.past_the_handle.append(f"a session on another thread: {where}")
        *rows, [[done]] = self.query(*TABLES, writes or "SELECT 1")
        if rows != self.rows:
            self.put_back()
        seen.saved_uncommitted = NEVER in str(rows) and not (
            writes and "COMMIT" in seen.steps
        )
        if answered != status:
            seen.not_done = seen.not_done or f"answered {answered}, not {status}"
        elif not seen.steps:
            seen.not_done = "spoke no SQL"
        elif not done or not writes and rows != self.rows:
            seen.not_done = (
                "did not make this true: " + writes if writes else "changed rows"
            )
        elif not re.search(shows, seen.body, re.DOTALL):
            seen.not_done = seen.not_done or f"does not show {shows!r}"
        return seen

    def drive(self) -> list[Seen]:
        """Fail each operation at its first step, then at its second, and so on, until
        it has no more.  Each time somebody is careless, and each time it is done again
        by somebody who is not."""
        history: list[Seen] = []
        for name in OPERATIONS:
            for fail_at in itertools.count(1):
                tried = self.do(name, careless, fail_at)
                history += tried, self.do(name)
                if not tried.failed:
                    break
        return history

    def meet(self) -> list[Seen]:
        """The first request renames an author, and waits inside of its view until the
        second has its answer."""
        both_inside, answered = threading.Barrier(2, timeout=30), threading.Event()

        def change_and_wait(session: Session) -> None:
            careless(session)
            both_inside.wait()
            assert answered.wait(timeout=30)

        with ThreadPoolExecutor() as pool:
            first = pool.submit(self.do, "details-of-none", change_and_wait)
            second = self.do("lookup", lambda session: both_inside.wait())
            answered.set()
            return [first.result(), second]

    def in_step(self, name: str) -> list[Seen]:
        """Two requests do the same, and meet before each query.  When they have come to
        write, the first is failed: SQLite would have one of them wait for the other."""
        meeting = threading.Barrier(2, timeout=30)
        left, over = threading.Event(), threading.Event()

        def leave() -> None:
            left.set()
            meeting.abort()

        def before(step: str) -> bool:
            try:
                meeting.wait()
            except threading.BrokenBarrierError:
                assert left.is_set(), "they have not met"
            writes = not step.startswith("SELECT")
            if writes:
                leave()
            return writes

        def wait_for_the_first(step: str) -> bool:
            if before(step):
                assert over.wait(timeout=30)
            return False

        def take_part(wait: t.Callable[[str], bool]) -> Seen:
            seen = self.do(name, before=wait)
            leave()
            seen.operation += " twice at once"
            return seen

        with ThreadPoolExecutor() as pool:
            first = pool.submit(take_part, before)
            first.add_done_callback(lambda _: over.set())
            second = take_part(wait_for_the_first)
            return [first.result(), second]


@contextlib.contextmanager
def bookshop(*args: t.Any, **options: t.Any) -> t.Iterator[Bookshop]:
    shop = Bookshop(*args, **options)
    try:
        yield shop
    finally:
        shop.engine.dispose()


@contextlib.contextmanager
def watching(seen: Seen) -> t.Iterator[None]:
    token = SEEN.set(seen)
    try:
        yield
    finally:
        SEEN.reset(token)


def on_disk(folder: Path) -> str:
    """A database for two requests at the same time.  In memory SQLite has one
    connection only, with one transaction."""
    return f"sqlite:///{folder / 'books.db'}" if DATABASE == MEMORY else DATABASE


@pytest.fixture(scope="module", params=HANDLES, ids=lambda handle: handle.__name__)
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> t.Iterator[Bookshop]:
    """The shop on each handle in turn, with everything in it driven already."""
    package, since = HANDLES[request.param]
    if find_spec(package) is None or FLASK_ADMIN < Version(since):
        pytest.skip(f"needs {package} and Flask-Admin {since}")
    file = on_disk(tmp_path_factory.mktemp("bookshop"))
    with bookshop(request.param, url=file) as shop:
        met = sum(map(shop.in_step, IN_STEP), shop.meet())
    with bookshop(request.param) as shop:
        shop.history = shop.drive() + met
        yield shop


# --------------------------------------------------------------- a law, and how to ask

# A law yields what broke it.  Its docstring is the sentence that it is told by.
Law = t.Callable[[Seen], t.Iterator[str]]
LAWS: dict[str, Law] = {}
TWINS: list[t.Any] = []


def law(check: Law) -> Law:
    LAWS[check.__name__] = check
    return check


def broken(law: Law, history: list[Seen]) -> list[str]:
    """Each operation that broke a law, and how.  `recovers` is the law of those that
    were made to fail, and asks the others."""
    history = [seen for seen in history if bool(seen.failed) == (law is recovers)]
    assert history, "nothing was seen, so nothing is proven"
    return sorted({f"{one.operation}: {why}" for one in history for why in law(one)})


def told(law: Law, found: t.Iterable[str]) -> str:
    """The sentence of a law, and what broke it, each in a line with its operations."""
    alike: dict[str, list[str]] = {}
    for one in found:
        operation, _, why = one.partition(": ")
        alike.setdefault(why, []).append(operation)
    lines = [f"{', '.join(names)}: {why}" for why, names in alike.items()]
    title = f"`{law.__name__}` is broken: {' '.join(str(law.__doc__).split())}"
    return "\n- ".join([title, *lines])


def must_hold(law: Law, history: list[Seen], known: str = "nothing") -> None:
    if found := [one for one in broken(law, history) if not re.match(known, one)]:
        pytest.fail(told(law, found), pytrace=False)


def must_break(law: Law, history: list[Seen], saying: str) -> None:
    found = broken(law, history)
    assert any(re.search(saying, one) for one in found), found


KEPT: list[t.Any] = []  # by the twins


class Plain(ModelView):
    """What a twin breaks, if it is not the view itself: an admin that exports."""

    can_export = True
    is_accessible = BookView.is_accessible


def twin(
    law: Law, saying: str, where: str = "custom_code"
) -> t.Callable[[t.Any], t.Any]:
    """What is decorated breaks a law, in a part of the app: custom code inside of the
    view, the view itself, or the scope or the teardown of its handle."""

    def register(bug: t.Any) -> t.Any:
        TWINS.append(pytest.param(law, saying, {where: bug}, id=bug.__name__))
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


def test_every_endpoint_is_driven(shop: Bookshop) -> None:
    """What a future release exposes fails here by its name, until it is driven."""
    assert undriven(shop.app, shop.history) == set()


def test_endpoint_that_is_not_driven_is_noticed(shop: Bookshop) -> None:
    history = [seen for seen in shop.history if "lookup" not in seen.operation]
    assert undriven(shop.app, history) == {("ajax_lookup", "GET")}


@law
def effect(seen: Seen) -> t.Iterator[str]:
    """An operation that did not do its work proves nothing."""
    if seen.not_done:
        yield seen.not_done


@pytest.mark.parametrize(
    ("said", "lie"),
    {
        "answered 200, not 404": Operation("book/export/csv/", "", 404),
        "does not show": Operation("book/export/csv/", "Emma"),
        "spoke no SQL": Operation("book/new/"),
        "did not make": Operation("book/delete/", "", 302, {"id": "3"}, DELETED),
        "changed rows": Operation("book/delete/", "", 302, {"id": "2"}),
    }.items(),
)
def test_lie_is_caught(
    said: str, lie: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OPERATIONS, "lie", lie)
    with bookshop(plain_session, url=MEMORY) as shop:
        must_break(effect, [shop.do("lie")], said)


def test_no_work_is_done_beforehand(shop: Bookshop) -> None:
    for work in (CREATED, EDITED, RENAMED, DELETED):
        [[[done]]] = shop.query(work)
        assert not done


# ------------------------------------------------------------------------ law: handle


@law
def handle(seen: Seen) -> t.Iterator[str]:
    """A view keeps the handle it was given, the same object for the life of the app,
    and never a session."""
    if seen.held_instead:
        yield f"the view holds a {seen.held_instead}, not the handle it was given"


def test_handle_stays_and_sessions_come_and_go(shop: Bookshop) -> None:
    """One handle, three requests, three sessions, told apart while all are kept."""
    sessions: list[Session] = []
    for _ in range(3):
        shop.do("lookup", sessions.append)
        assert shop.view.session is shop.handle
    assert len(set(sessions)) == 3


@twin(handle, "the view holds a Session", where="view")
class HoldsRawSession(Plain):
    """``ModelView(Book, Session())``: the classic, with its stale rows."""

    def __init__(self, model: t.Any, given: t.Any, **options: t.Any) -> None:
        super().__init__(model, given, **options)
        self.session = t.cast(t.Any, Session(given.get_bind()))


# ------------------------------------------------------------------------ law: single


@law
def single(seen: Seen) -> t.Iterator[str]:
    """Everything the admin does in one request goes through one session: the one that
    the handle gives to that request."""
    if len(seen.answers) != 1:
        yield f"the handle gave {len(seen.answers)} sessions in one request"
    for number in seen.used.keys() - seen.answers:
        yield f"the session of {seen.used[number]} is not the one that the handle gave"
    yield from seen.past_the_handle


@twin(single, "in uses_session_of_its_own is not the one that the handle gave")
def uses_session_of_its_own(session: Session) -> None:
    with Session(session.get_bind()) as own:
        own.get(Book, 1)


@twin(single, "gave [2-9] sessions", where="scope")
def scope_of_one_question() -> object:
    """A session for each question: "already attached to session 1 (this is 2)"."""
    return object()


@twin(single, "a session on another thread: .* in <lambda>")
def uses_another_thread(session: Session) -> None:
    thread = threading.Thread(target=lambda: Session().close())
    thread.start()
    thread.join()


@twin(single, "a session on another thread: .* in run")
def lends_its_session_to_a_thread(session: Session) -> None:
    work = partial(copy_context().run, session.get, Book, 1)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@twin(single, "a statement of no session: SELECT 42")
def goes_past_the_session(session: Session) -> None:
    with session.get_bind().engine.connect() as connection:
        connection.exec_driver_sql("SELECT 42")


# ------------------------------------------------------------------------- law: fresh


@law
def fresh(seen: Seen) -> t.Iterator[str]:
    """No session serves two requests, and none is opened by building the app."""
    for number, first in seen.first_used.items():
        yield f"the session of {seen.used[number]} is not new: it is {first}"
    # Lite's ``db.session`` is a session: a view can only be built in an app context,
    # and a look at it opens one.  That does nothing, and is gone with the context.
    if seen.operation == BUILDING and seen.make_handle is not lite_db:
        for where in seen.used.values():
            yield f"opened a session: {where}"


def test_fresh_building_takes_no_connection(shop: Bookshop) -> None:
    assert shop.building.pool == []


@twin(fresh, "building the app: opened a session: .* in scaffold_form", where="view")
class CapturesAtStartup(Plain):
    """So did the ``Unique`` validator in Flask-Admin 2.1.0 and 2.2.0 (#2953)."""

    def scaffold_form(self) -> t.Any:
        self.captured = session_of(self.session)
        return super().scaffold_form()


@twin(fresh, "is not new")
def captures_on_first_use(session: Session) -> None:
    """The first request is faultless: that is why everything is driven twice."""
    KEPT.append(session)
    KEPT[0].get(Book, 1)


# ---------------------------------------------------------------------- law: isolated


@law
def isolated(seen: Seen) -> t.Iterator[str]:
    """What a request has not committed nobody else sees: not the next request, not one
    that runs at the same time."""
    # In memory there is one connection: what was left open there is as good as saved.
    if NEVER in seen.body and seen.custom_code is not careless:
        yield "shows a change that another request has not committed"
    if seen.saved_uncommitted:
        yield "finds a change saved that nobody committed"


def test_scope_shared_by_all_is_noticed(tmp_path: Path) -> None:
    with bookshop(plain_session, url=on_disk(tmp_path), scope=lambda: "all") as shop:
        history = shop.meet()
    must_break(isolated, history, "lookup: shows a change that another request")
    must_break(fresh, history, "is not new")


class LendsItsSession(Plain):
    """Faultless for one request after another: so are most races."""

    def get_list(self, *args: t.Any, **options: t.Any) -> t.Any:
        own = session_of(self.session)
        own.get(Author, 1)  # here the two meet, each with a connection
        lent = self.__dict__.setdefault("lent", own)
        try:
            lent.get(Author, 2)
            return super().get_list(*args, **options)
        finally:
            self.__dict__.pop("lent", None)


def test_race_is_noticed(tmp_path: Path) -> None:
    with bookshop(plain_session, LendsItsSession, on_disk(tmp_path)) as shop:
        must_hold(single, [shop.do("export-csv"), shop.do("export-csv")])
        must_break(
            single, shop.in_step("export-csv"), "twice at once: .* in get_list is not"
        )


@twin(isolated, "finds a change saved", where="teardown")
def teardown_commits(session: t.Any, error: object) -> None:
    session.commit()
    session.remove()


# ------------------------------------------------------------------------- law: alive


@law
def alive(seen: Seen) -> t.Iterator[str]:
    """The session lives until the response is complete, a streamed one included."""
    yield from seen.closed_early


@twin(alive, "closed before there was an answer", where="view")
class ClosesBeforeTheStream(Plain):
    def get_export_name(self, *_: object, **__: object) -> str:
        session_of(self.session).close()
        return "books.csv"


@twin(alive, "is used once more after its end")
def closes_half_way(session: Session) -> None:
    session.close()


# ---------------------------------------------------------------------- law: released


@law
def released(seen: Seen) -> t.Iterator[str]:
    """Then it is gone: closed, its transaction over, its connection back in the pool,
    the registry empty, and nothing in the app refers to it or to an instance it
    loaded."""
    for number in seen.used.keys() - seen.closed:
        yield f"the session of {seen.used[number]} is not closed"
    if "returned dirty" in seen.pool:
        yield "a connection is back in the pool with its transaction open"
    taken = seen.pool.count("taken")
    if 2 * taken != len(seen.pool):
        returned = len(seen.pool) - taken
        yield f"connections taken: {taken}, returned: {returned}"
    if seen.still_alive:  # in a registry, for example
        yield f"still referred to: {', '.join(sorted(seen.still_alive))}"


@twin(released, "is not closed", where="teardown")
def teardown_missing(session: t.Any, error: object) -> None:
    """``scoped_session`` without ``remove()``: the session of a thread, for ever."""


@twin(released, "still referred to: .*Session", where="teardown")
def teardown_closes_and_keeps(session: t.Any, error: object) -> None:
    session.close()


@twin(released, "still referred to: .*Book")
def keeps_an_instance(session: Session) -> None:
    KEPT.append(session.get(Book, 1))


@twin(released, "still referred to: .*Book")
def keeps_a_new_instance(session: Session) -> None:
    KEPT.append(Book())
    session.add(KEPT[-1])
    session.expunge(KEPT[-1])


@twin(released, "connections taken: 2, returned: 1")
def keeps_a_connection(session: Session) -> None:
    KEPT.append(session.get_bind().engine.connect())


# ---------------------------------------------------------------------- law: recovers


@law
def recovers(seen: Seen) -> t.Iterator[str]:
    """Whatever goes wrong in a request, the other laws still hold, and the next request
    works: to `effect` that one is like any other."""
    for law in (handle, single, fresh, isolated, alive, released):
        for why in law(seen):
            yield f"`{law.__name__}`, when `{seen.failed}` fails: {why}"


@twin(recovers, "`released`, when `SELECT .*` fails", where="teardown")
def teardown_only_when_well(session: t.Any, error: BaseException | None) -> None:
    if error is None:
        session.remove()


# ------------------------------------------------------------ all laws, and their twins

SOURCE = (
    "https://github.com/pallets-eco/flask-admin/blob/v2.2.1/flask_admin/contrib/sqla"
)


class Defect(t.NamedTuple):
    """What a release is known to break: once that is mended it has to go from here."""

    here: bool
    why: str
    breaks: dict[str, str] = {}  # a law, and a pattern for what breaks it
    handle: MakeHandle | None = None  # with which alone, if not with each


STREAMS_TOO_LATE = Defect(
    Version("3.1.2") <= FLASK,
    "Flask 3.1.2 and newer end the app context, and the session, before they stream: "
    "https://github.com/pallets/flask/issues/5774",
    {
        "effect": "export-csv-lazily: broke off with Detached",
        "alive": "export-csv.*: .* before the last chunk",
    },
)
MASS_DELETE_NOT_ROLLED_BACK = Defect(
    FLASK_ADMIN <= Version("2.2.1"),
    "Flask-Admin's delete action does not roll back when its commit fails: the next "
    f"request to get that connection finds what was not committed: {SOURCE}/view.py",
    {
        "recovers": "delete-many-fast: "
        "`(isolated|released)`, when `COMMIT` fails: (finds|a connection)"
    },
)
UNIQUE_KEEPS_SESSION = Defect(
    Version("2.1") <= FLASK_ADMIN < Version("2.2.1"),
    "In Flask-Admin 2.1.0 and 2.2.0 Unique keeps the session of startup with Lite: "
    "https://github.com/pallets-eco/flask-admin/pull/2953",
    dict.fromkeys(
        ("single", "fresh", "released", "recovers"),
        "(create|edit|inline-edit|building)",
    ),
    lite_db,
)
NEEDS_FLASK_SQLALCHEMY = Defect(
    FLASK_ADMIN == Version("2.2.1"),
    "Flask-Admin 2.2.1 does not import without Flask-SQLAlchemy (no T_SESSION then): "
    f"{SOURCE}/_types.py",
)
DEFECTS = (STREAMS_TOO_LATE, MASS_DELETE_NOT_ROLLED_BACK, UNIQUE_KEEPS_SESSION)


@pytest.mark.xfail(
    NEEDS_FLASK_SQLALCHEMY.here,
    reason=NEEDS_FLASK_SQLALCHEMY.why,
    raises=pytest.fail.Exception,
    strict=True,
)
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
    if UNIQUE_KEEPS_SESSION.here and find_spec("flask_sqlalchemy_lite"):
        pytest.fail(f"{UNIQUE_KEEPS_SESSION.why}. Upgrade to 2.2.1.", pytrace=False)


def test_every_operation_is_failed(shop: Bookshop) -> None:
    assert {seen.operation for seen in shop.history if seen.failed} >= {*OPERATIONS}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_every_operation_keeps_the_law(
    law: Law, shop: Bookshop, record_property: t.Callable[[str, str], None]
) -> None:
    """A known defect excuses what it is known to break, as long as it does."""
    building = [shop.building] if law in (fresh, released) else []
    history = [*building, *shop.history]
    known = {
        defect.breaks[law.__name__]: defect.why
        for defect in DEFECTS
        if defect.here and law.__name__ in defect.breaks
        if defect.handle in (None, shop.make_handle)
    }
    must_hold(law, history, "|".join(known) or "nothing")
    for finding in known:
        must_break(law, history, finding)  # else it is mended
    if known:
        record_property("broken", told(law, broken(law, history)))
        raise pytest.xfail.Exception("; ".join(known.values()), pytrace=False)


@pytest.mark.parametrize(("law", "saying", "bug"), TWINS)
def test_twin_is_caught(law: Law, saying: str, bug: dict[str, t.Any]) -> None:
    app = {"view": Plain, "url": MEMORY, **bug}
    custom_code = app.pop("custom_code", careless)
    with bookshop(plain_session, **app) as shop:
        history = [
            shop.building,
            *(shop.do("export-csv", custom_code) for _ in range(2)),
        ]
        history += shop.do("export-csv", custom_code, fail_at=1), shop.do("export-csv")
    KEPT.clear()
    must_break(law, history, saying)
