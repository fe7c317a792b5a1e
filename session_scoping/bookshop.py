"""The bookshop: the reference admin.

It uses what Flask-Admin offers for SQLAlchemy, with each kind of handle. A rule that is
broken there is broken by Flask-Admin, or by a package under it. The bookshop knows what
each operation has to show.
"""
# mypy: allow-subclassing-any

import enum
import re
import sqlite3
import tempfile
import typing as t
import warnings
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import flask
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event
from sqlalchemy import orm

from flask_admin import Admin
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BooleanEqualFilter
from flask_admin.contrib.sqla.filters import IntEqualFilter
from session_scoping.drive.driven import Driven
from session_scoping.drive.operations import Task
from session_scoping.drive.record import record
from session_scoping.recording import Fault
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.watch.recorder import Recorder
from session_scoping.watch.running import DRIVE

WAYS = (Fault.BEFORE, Fault.COMMIT)  # the kinds of faults that are injected

# ------------------------------------------------------------------------- the handles


# A leak raises an error at once, instead of after half a minute.
POOL: dict[str, t.Any] = {"poolclass": sa.pool.QueuePool, "pool_timeout": 0}


def flask_sqlalchemy(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = POOL
    return import_module("flask_sqlalchemy").SQLAlchemy(app)


def flask_sqlalchemy_session(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db.session)``: a ``scoped_session``."""
    return flask_sqlalchemy(app, url).session


def lite(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, db)`` with Flask-SQLAlchemy-Lite."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": {"url": url, **POOL}}
    return import_module("flask_sqlalchemy_lite").SQLAlchemy(app)


def scoped_session(app: flask.Flask, url: str) -> t.Any:
    """``ModelView(Book, scoped_session(…))``, removed with the app context."""
    session = orm.scoped_session(orm.sessionmaker(sa.create_engine(url, **POOL)))
    app.teardown_appcontext(lambda error: session.remove())
    return session


MAKE: dict[str, t.Callable[[flask.Flask, str], t.Any]] = {
    "db": flask_sqlalchemy,
    "db.session": flask_sqlalchemy_session,
    "lite": lite,
    "scoped_session": scoped_session,
}


# -------------------------------------------------------------------------- the models

Base: t.Any = orm.declarative_base()


class Named:
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40), unique=True, nullable=False)

    def __str__(self) -> str:
        return str(self.name)


class Genre(Named, Base):
    """A genre may have a parent: the table is a tree."""

    __tablename__ = "genre"
    parent_id: t.Any = sa.Column(sa.ForeignKey("genre.id"))
    parent = orm.relationship("Genre", remote_side="Genre.id")


class Person(Named, Base):
    __tablename__ = "person"
    kind = sa.Column(sa.String(20))
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "person"}


class Critic(Person):
    """A person, with a row in each of two tables."""

    __tablename__ = "critic"
    id: t.Any = sa.Column(sa.ForeignKey(Person.id), primary_key=True)
    paper = sa.Column(sa.String(40))
    __mapper_args__ = {"polymorphic_identity": "critic"}


GENRES = sa.Table(
    "genres_of_books",
    Base.metadata,
    sa.Column("book_id", sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("genre_id", sa.ForeignKey("genre.id"), primary_key=True),
)


class Book(Base):
    __tablename__ = "book"
    id = sa.Column(sa.Integer, primary_key=True)
    __table_args__ = (sa.CheckConstraint("pages > 0"),)
    title = sa.Column(sa.String(40), unique=True, nullable=False)
    pages = sa.Column(sa.Integer)
    author_id: t.Any = sa.Column(sa.ForeignKey(Person.id))
    author = orm.relationship(Person, foreign_keys=author_id, lazy="joined")
    translator_id: t.Any = sa.Column(sa.ForeignKey(Person.id))
    translator = orm.relationship(Person, foreign_keys=translator_id)
    genres = orm.relationship(Genre, secondary=GENRES)
    reviews = orm.relationship("Review", back_populates="book", cascade="all")

    def __str__(self) -> str:
        return str(self.title)


class Review(Base):
    __tablename__ = "review"
    id = sa.Column(sa.Integer, primary_key=True)
    text = sa.Column(sa.String(40))
    book_id: t.Any = sa.Column(sa.ForeignKey(Book.id))
    book = orm.relationship(Book, back_populates="reviews")
    critic_id: t.Any = sa.Column(sa.ForeignKey(Critic.id))
    critic = orm.relationship(Critic)

    def __str__(self) -> str:
        return str(self.text)


class Cover(enum.Enum):
    hard = "hard"
    soft = "soft"


class Stock(Base):
    """The primary key has two columns."""

    __tablename__ = "stock"
    shelf = sa.Column(sa.String(10), primary_key=True)
    place = sa.Column(sa.Integer, primary_key=True)
    cover: t.Any = sa.Column(sa.Enum(Cover))
    sold = sa.Column(sa.Boolean)
    note = sa.Column(sa.String(40))
    book_id: t.Any = sa.Column(sa.ForeignKey(Book.id))
    book = orm.relationship(Book)


def rows() -> list[t.Any]:
    """Return the rows that the shop starts with.

    The crawler searches for the first word of a list. That word is also the name of a
    person, so that look-ups and filters find rows.
    """
    fiction = Genre(id=1, name="fiction")
    science = Genre(id=2, name="science fiction", parent=fiction)
    herbert = Person(id=1, name="Herbert")
    le_guin = Person(id=2, name="Le Guin")
    pym = Critic(id=3, name="Herbert Pym", paper="Gazette")
    reviews = [Review(id=1, text="long", critic=pym), Review(id=2, text="dry")]
    dune = Book(id=1, title="Herbert: Dune", pages=412, author=herbert, reviews=reviews)
    lathe = Book(id=2, title="The Lathe", pages=184, author=le_guin)
    solaris = Book(id=3, title="Solaris", pages=204)
    dune.genres = lathe.genres = [fiction, science]
    stock = Stock(shelf="A", place=1, cover=Cover.soft, sold=True, book=dune)
    return [dune, lathe, solaris, stock]


# A book that cannot be deleted.
KEEP = """
    CREATE TRIGGER keep_solaris BEFORE DELETE ON book WHEN old.id = 3
    BEGIN SELECT RAISE(ABORT, 'constraint: Solaris is lent'); END
"""


# --------------------------------------------------------------------------- the views


class GenreIntEqualFilter(IntEqualFilter):
    """Its options are read from the database for each list."""

    def get_options(self, view: t.Any) -> t.Any:
        if not flask.has_request_context():
            return []
        handle = getattr(view.session, "session", view.session)
        return [(str(genre.id), genre.name) for genre in handle.query(Genre)]


class BookView(ModelView):
    """With look-ups, inline children, editable cells, and filters of a relation."""

    column_list: t.Any = ("title", "author", "reviews")
    column_details_list: t.Any = ("title", "author", "reviews")
    column_export_list: t.Any = ("title", "author")
    column_searchable_list = ("title",)
    column_sortable_list: t.Any = ("title", ("author", "author.name"))
    column_filters: t.Any = ("author.name",)
    column_editable_list: t.Any = ("title", "pages")
    form_columns = ("title", "pages", "author", "reviews")
    form_ajax_refs: t.Any = {"author": {"fields": ("name",)}}
    inline_models: t.Any = (
        (Review, {"form_ajax_refs": {"critic": {"fields": ("name",)}}}),
    )
    can_view_details = True
    can_export = True
    export_types = ["csv", "json"] if find_spec("tablib") else ["csv"]
    page_size = 2


class PlainBookView(ModelView):
    """With choices instead of look-ups, a fast delete, and a lazily loading export."""

    column_list: t.Any = ("title", "author", "genres")
    column_sortable_list: t.Any = ("title",)
    column_editable_list: t.Any = ("author",)
    column_export_list: t.Any = ("title", "reviews")
    form_columns = ("title", "author", "translator", "genres")
    can_view_details = True
    can_export = True
    fast_mass_delete = True
    page_size = 2

    def get_one(self, id: t.Any) -> t.Any:
        return super().get_one(id) or flask.abort(404)

    def get_detail_value(self, *_: object) -> t.Any:
        raise RuntimeError("an exception in the view")

    @expose("/refresh/")
    def refresh(self) -> str:
        """Build the form again, as for a field that has changed at run time."""
        self._refresh_forms_cache()
        return "refreshed"


class GenreView(ModelView):
    """With a relation from a table to itself."""

    column_list: t.Any = ("name", "parent")
    column_filters: t.Any = (GenreIntEqualFilter(Genre.id, "Genre"),)
    form_columns = ("name", "parent")
    can_view_details = True


class CriticView(ModelView):
    """With rows in two tables."""

    column_list: t.Any = ("name", "paper")
    form_columns = ("name", "paper")


class StockView(ModelView):
    """With a key of two columns, an enum, and a boolean."""

    column_list: t.Any = ("shelf", "place", "cover", "sold", "book")
    column_sortable_list: t.Any = ("shelf",)
    column_filters: t.Any = (BooleanEqualFilter(Stock.sold, "Sold"),)
    form_columns = ("shelf", "place", "cover", "sold", "note", "book")


VIEWS = (BookView, PlainBookView, GenreView, CriticView, StockView)

# ------------------------------------------------------------------ what it has to show

# For each endpoint and operation: the status, and a pattern of the page. The key is the
# name of an operation, or the beginning of the name: the first key that fits counts.
SHOWS: dict[str, dict[str, tuple[int, str]]] = {
    "admin": {"page": (200, "/admin/bookview/")},
    "second": {"page": (200, "/second/second_critic/")},
    "bookview": {
        "list, second page": (200, "Solaris"),
        "list, filtered by author / Person / Name not": (200, "The Lathe"),
        "list, filtered by author / Person / Name empty": (200, "Solaris"),
        "list": (200, "Herbert: Dune.*Herbert"),
        "details, no such row": (302, ""),
        "details": (200, "Herbert: Dune.*dry"),
        "create form": (200, "<form"),
        "edit form, no such row": (302, ""),
        "edit form": (200, 'value="(Herbert: Dune|ss-)'),
        "look-up of author": (200, "Herbert"),
        "look-up of review-critic": (200, "Herbert Pym"),
        "look-up of critic": (200, "Herbert Pym"),
        "export csv, dropped": (200, "Title"),
        "export csv": (200, "Herbert: Dune,Herbert.*The Lathe"),
        "export json": (200, "The Lathe"),
        "inline edit, no such row": (500, "does not exist"),
        "inline edit, invalid": (500, "is required"),
        "inline edit, duplicate": (500, "Already exists"),
        "inline edit, against a constraint": (500, "(?i)constraint"),
        "inline edit": (200, "saved"),
        "delete, refused": (302, ""),
        "delete, no such row": (302, ""),
    },
    "plainbookview": {
        "list, sorted, second page": (200, "The Lathe"),
        "list, second page": (200, "Solaris"),
        "list": (200, "Herbert: Dune.*Herbert.*science fiction"),
        "details, no such row": (404, ""),
        "details": (500, ""),
        "create form": (200, "Herbert.*science fiction"),
        "edit form, no such row": (404, ""),
        "edit form": (200, 'value="(Herbert: Dune|ss-).*Herbert.*science fiction'),
        "edit, invalid": (200, "is required.*Le Guin"),
        "edit, duplicate": (200, "Already exists.*Le Guin"),
        "export csv, dropped": (200, "Title"),
        "export csv": (200, "long"),
        "page refresh": (200, "refreshed"),
        "inline edit": (200, "saved"),
        "bulk delete, refused": (302, ""),
    },
    "genreview": {
        "list, second page": (200, "no items"),
        "list, filtered by": (200, "fiction"),
        "list": (200, "science fiction.*fiction"),
        "details, no such row": (302, ""),
        "details": (200, "fiction"),
        "create form": (200, "science fiction"),
        "edit form, no such row": (302, ""),
        "edit form": (200, "science fiction"),
    },
    "criticview": {
        "list, second page": (200, "no items"),
        "list": (200, "Herbert Pym.*Gazette"),
        "create form": (200, "Paper"),
        "edit form, no such row": (302, ""),
        "edit form": (200, 'value="(Gazette|ss-)'),
    },
    "stockview": {
        "list, second page": (200, "no items"),
        "list": (200, "soft.*Herbert: Dune"),
        "create form": (200, "hard.*Herbert: Dune"),
        "edit form": (200, "hard.*Herbert: Dune"),
    },
}
SHOWS["second_critic"] = SHOWS["criticview"]
# The same for operations that write. It holds for every view.
WRITES = {
    "create, duplicate": (200, "Already exists|constraint"),
    "create, invalid": (200, "is required|Not a valid|cannot be longer"),
    "create, against a constraint": (200, "(?i)constraint"),
    "create": (302, ""),
    "edit": (302, ""),
    "inline child": (302, ""),
    "bulk delete": (302, ""),
    "delete": (302, ""),
}
CHANGES = (  # the operations that change rows
    Operation(OperationKind.CREATE),
    Operation(OperationKind.EDIT, variant="changed"),
    Operation(OperationKind.BULK, "delete"),
    Operation(OperationKind.DELETE),
)
UNCOMMITTED = "a name that is not committed"


class Bookshop:
    """The app, and what each of its operations has to do."""

    def __init__(self, handle: str, folder: Path) -> None:
        """Build the app with a handle of ``MAKE``, and its database in a folder."""
        self.file = folder / "books.db"
        url = f"sqlite:///{self.file}?timeout=0&check_same_thread=false"
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        Base.metadata.create_all(engine)
        with orm.Session(engine) as session:
            session.add_all(rows())
            session.execute(sa.text(KEEP))
            session.commit()
        self.app = app = flask.Flask("bookshop")
        app.config.update(SECRET_KEY="bookshop", PROPAGATE_EXCEPTIONS=False)
        app.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
        if find_spec("flask_babel"):
            import_module("flask_babel").Babel(app)
        self.handle = MAKE[handle](app, url)
        app.before_request(self.change_and_do_not_commit)
        # Flask-Admin reads Lite's session, which exists only in an app context.
        context = app.app_context() if handle == "lite" else nullcontext()
        with context, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.add_views()
        self.watcher = sqlite3.connect(self.file, check_same_thread=False)
        self.before: dict[Driven, int] = {}

    def add_views(self) -> None:
        """Add two admins. The second has another view of a model of the first."""
        admin = Admin(self.app, name="Bookshop")
        models = (Book, Book, Genre, Critic, Stock)
        for model, view in zip(models, VIEWS, strict=True):
            endpoint = view.__name__.lower()
            admin.add_view(view(model, self.handle, endpoint=endpoint))
        second = Admin(self.app, name="Second", url="/second", endpoint="second")
        second.add_view(CriticView(Critic, self.handle, endpoint="second_critic"))

    def change_and_do_not_commit(self) -> None:
        """Rename a person without a commit, as careless custom code would.

        A request that is overtaken does not do this: the concurrent request would wait
        for SQLite's lock.
        """
        driven: Driven | None = flask.request.environ.get(DRIVE)
        if driven is None:
            return
        self.before[driven] = self.data_version()
        if self.is_careless(driven):
            person: t.Any = Person.__table__
            rename = person.update().where(person.c.id == 2).values(name=UNCOMMITTED)
            session_of(self.handle).execute(rename)

    def is_careless(self, driven: Driven) -> bool:
        """Does a request make a change that it does not commit?"""
        writes = driven.task.data is not None
        return not (writes or driven.disturbed or driven.overtakes is not None)

    def data_version(self) -> int:
        """Return a number that changes when another connection writes.

        See https://www.sqlite.org/pragma.html#pragma_data_version.
        """
        [version] = self.watcher.execute("PRAGMA data_version").fetchone()
        return int(version)

    # ------------------------------------------------------------------ as a reference

    def tasks(self, views: dict[str, int]) -> t.Iterator[Task]:
        """Yield operations that the crawler does not try itself: most are refused.

        ``views``: the numbers of the views, by endpoint.
        """
        book, plain = views["bookview"], views["plainbookview"]
        books, plains = "/admin/bookview", "/admin/plainbookview"

        def edit(variant: str, data: dict[str, t.Any]) -> Task:
            operation = Operation(OperationKind.EDIT, variant=variant)
            return Task(plain, operation, f"{plains}/edit/?id=2", data=data)

        def cell(variant: str, id: int, **data: str) -> Task:
            operation = Operation(OperationKind.INLINE_EDIT, variant=variant)
            url, data = f"{books}/ajax/update/", {"list_form_pk": str(id), **data}
            return Task(book, operation, url, data=data)

        listed = Operation(OperationKind.LIST, variant="sorted, second page")
        yield Task(plain, listed, f"{plains}/?sort=0&page=1")
        yield edit("invalid", {"title": "", "author": "1"})
        yield edit("duplicate", {"title": "Solaris", "author": "1"})
        as_it_was = {"title": "The Lathe", "author": "2", "genres": ["1", "2"]}
        yield edit("as it was", as_it_was)
        yield cell("no such row", 99, title="Ubik")
        yield cell("invalid", 1, title="")
        yield cell("duplicate", 1, title="Solaris")
        yield cell("against a constraint", 1, pages="-1")
        for variant, row in ("refused", "3"), ("no such row", "99"):
            delete = Operation(OperationKind.DELETE, variant=variant)
            yield Task(book, delete, f"{books}/delete/", data={"id": row})
        bulk = Operation(OperationKind.BULK, "delete", "refused")
        data = {"action": "delete", "rowid": "3"}
        yield Task(plain, bulk, f"{plains}/action/", data=data)

    def fails(self, endpoint: str) -> bool:
        """Are faults injected in a view? The other views run the same library code."""
        return endpoint in {"bookview", "plainbookview"}

    def check(self, endpoint: str, driven: Driven, request: Request, page: str) -> None:
        """Check a request that is over, and note in it what it has done wrong.

        ``page`` is the text of the response.
        """
        changed = self.data_version() != self.before.pop(driven)
        injected = request.injected
        failed_commit = injected is not None and injected.fault == Fault.COMMIT
        committed = driven.writes and driven.commits > failed_commit
        if changed and not committed:
            request.dirty_write = True
        if UNCOMMITTED in page and not self.is_careless(driven):
            request.dirty_read = True
        if not injected:
            shows = expected(endpoint, str(driven.operation))
            request.unexpected = wrong_effect(driven, changed) or wrong_page(
                shows, request, page
            )


def wrong_effect(driven: Driven, changed: bool) -> str:
    """Return how a change of the database is wrong, or an empty string."""
    changes = driven.operation in CHANGES
    if changes and driven.overtakes is not None:
        return "does not reach its first write"
    if changes and not changed:
        return "changes no row"
    operation = driven.operation
    refused = operation.kind == OperationKind.CREATE and bool(operation.variant)
    return "changes a row" if changed and (refused or not driven.writes) else ""


def wrong_page(shows: tuple[int, str], request: Request, page: str) -> str:
    """Return what a page does not show, or an empty string."""
    status, pattern = shows
    if request.status != status:
        return f"answers {request.status}, not {status}"
    if not re.search(pattern, page, re.DOTALL):
        return f"does not show {pattern!r}"
    return ""


def expected(endpoint: str, operation: str) -> tuple[int, str]:
    """Return the status that an operation has to answer, and a pattern of its page.

    Raises ``LookupError`` if neither ``SHOWS`` nor ``WRITES`` has the operation.
    """
    for known in SHOWS[endpoint], WRITES:
        for name, shows in known.items():
            if operation.startswith(name):
                return shows
    raise LookupError(f"SHOWS has no entry for {endpoint}, {operation}")


def session_of(handle: t.Any) -> orm.Session:
    """Return the session that a handle gives to the current request."""
    given = getattr(handle, "session", handle)
    return t.cast(
        orm.Session, given() if isinstance(given, orm.scoped_session) else given
    )


def recorded(handle: str, faults: t.Collection[Fault] = WAYS) -> Recording:
    """Drive the bookshop with a handle, a key of ``MAKE``, and return the recording."""
    with tempfile.TemporaryDirectory() as folder:
        event.listen(sa.engine.Engine, "connect", do_not_sync)
        try:
            with Recorder() as recorder:
                with recorder.building():
                    shop = Bookshop(handle, Path(folder))
                return record(
                    shop.app,
                    write=True,
                    faults=faults,
                    recorder=recorder,
                    reference=shop,
                )
        finally:
            event.remove(sa.engine.Engine, "connect", do_not_sync)


def do_not_sync(connection: t.Any, record: object) -> None:
    """Do not wait for the disk: it would take a third of the time."""
    connection.execute("PRAGMA synchronous = OFF")
