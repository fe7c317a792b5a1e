"""Flask-Admin keeps SQLAlchemy sessions inside requests.

``ModelView(Book, db)`` does not create a session that lives as long as the app.

*   A **session** is a ``sqlalchemy.orm.Session``.  It has a transaction, and it knows
    the rows that it has loaded.
*   A **handle** is what a view is given and keeps: ``db`` or ``db.session`` of
    Flask-SQLAlchemy, ``db`` of Flask-SQLAlchemy-Lite, or SQLAlchemy's own
    ``scoped_session``.  A handle is not a session.  It gives each request a session.

When a request is over, its session is closed, its connection is back in the pool, and
nothing refers to the session.

The first half of this module is that contract.  Each test makes real requests to a
small bookshop, with each handle.  Then the bookshop is broken on purpose, to show that
each test can fail.  The second half holds every operation of ``ModelView`` to it.

No request is made inside ``with app.app_context():``, as none is in a real server.
Requests in there would share one app context, and so one session.
"""

import asyncio
import gc
import itertools
import sqlite3
import threading
import traceback
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from weakref import ref

import flask
import pytest
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from packaging.version import Version
from sqlalchemy import event
from sqlalchemy import orm
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError

import flask_admin
from flask_admin.contrib.sqla import ModelView

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
    pytest.mark.skipif(
        sqlite3.sqlite_version_info < (3, 36),
        reason="connections to one database in memory need SQLite 3.36",
    ),
]

# ------------------------------------------------------------------------- the handles
#
# Each function sets up an app and returns the handle.  An app can share the extension
# object of another app.


def flask_sqlalchemy(app: flask.Flask, url: str, extension: t.Any = None) -> t.Any:
    """``ModelView(Book, db)``: a session for each app context."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": sa.pool.QueuePool}
    db = extension or pytest.importorskip("flask_sqlalchemy").SQLAlchemy()
    db.init_app(app)
    return db


def flask_sqlalchemy_session(*args: t.Any) -> t.Any:
    """``ModelView(Book, db.session)``: in spite of its name this is not a session."""
    return flask_sqlalchemy(*args).session


def flask_sqlalchemy_lite(app: flask.Flask, url: str, extension: t.Any = None) -> t.Any:
    """``ModelView(Book, db)``: a session for each app context."""
    app.config["SQLALCHEMY_ENGINES"] = {"default": url}
    db = extension or pytest.importorskip("flask_sqlalchemy_lite").SQLAlchemy()
    db.init_app(app)
    return db


def scoped_session(
    app: flask.Flask,
    url: str,
    extension: t.Any = None,
    scope: t.Callable[[], object] | None = None,
    teardown: t.Callable[..., object] = lambda session, error: session.remove(),
) -> t.Any:
    """``ModelView(Book, session)``: a session for each thread, until ``remove()``."""
    engine = sa.create_engine(url, poolclass=sa.pool.QueuePool)
    session = extension or orm.scoped_session(orm.sessionmaker(engine), scope)
    app.teardown_appcontext(lambda error: teardown(session, error))
    return session


MakeHandle = t.Callable[..., t.Any]
HANDLES: dict[str, MakeHandle] = {
    "db": flask_sqlalchemy,
    "db.session": flask_sqlalchemy_session,
    "lite": flask_sqlalchemy_lite,
    "scoped_session": scoped_session,
}


def session_of(handle: t.Any) -> Session:
    """The session that a handle gives to the current request."""
    given = getattr(handle, "session", handle)
    session: Session = given() if isinstance(given, orm.scoped_session) else given
    return session


# ------------------------------------------------------------------------ the bookshop

models = orm.registry()


class Named:
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(40))

    def __str__(self) -> str:
        return str(self.name)


@models.mapped
class Author(Named):
    __tablename__ = "author"


@models.mapped
class Book:
    __tablename__ = "book"
    __table_args__ = (sa.CheckConstraint("title <> 'refused'"),)
    id = sa.Column(sa.Integer, primary_key=True)
    title = sa.Column(sa.String(20), unique=True, nullable=False)
    author_id: t.Any = sa.Column(sa.ForeignKey("author.id"))
    author = orm.relationship(Author, foreign_keys=author_id, lazy="joined")
    translator_id: t.Any = sa.Column(sa.ForeignKey("author.id"))
    translator = orm.relationship(Author, foreign_keys=translator_id)
    reviews = orm.relationship("Review", back_populates="book", cascade="all")


@models.mapped
class Review(Named):
    __tablename__ = "review"
    book_id: t.Any = sa.Column(sa.ForeignKey("book.id"))
    book = orm.relationship(Book, back_populates="reviews")
    critic_id: t.Any = sa.Column(sa.ForeignKey("author.id"))
    critic = orm.relationship(Author)


TABLES = "".join(
    f"{sa.schema.CreateTable(table)};" for table in models.metadata.sorted_tables
)
ROWS = """
DELETE FROM review; DELETE FROM book; DELETE FROM author;
INSERT INTO author (id, name) VALUES (1, 'Le Guin'), (2, 'Herbert');
INSERT INTO book VALUES (1, 'Dune', 2, 2), (2, 'The Lathe', 1, 1), (3, 'Solaris', 2, 2);
INSERT INTO review (id, name, book_id) VALUES (1, 'long', 1), (2, 'dry', 1);
"""


class BookView(ModelView):
    column_list: t.Any = ["title", "author"]
    column_export_list: t.Any = ["title", "reviews"]
    form_columns: t.Any = ["title"]
    can_export = True


class App(flask.Flask):
    def async_to_sync(self, func: t.Any) -> t.Any:
        """Run the async teardown of Flask-SQLAlchemy-Lite on this thread."""
        return lambda *args: asyncio.run(func(*args))


class Bookshop:
    """An app with an admin on a handle, and its database.

    ``before_view`` and ``after_view`` are custom code.  They are called before and after
    each view, with the session that the handle gives at that moment.
    """

    numbers = itertools.count(1)

    def __init__(
        self,
        make_handle: MakeHandle,
        folder: Path | None = None,
        extension: t.Any = None,
        **views: type[ModelView],
    ) -> None:
        self.app, self.make_handle = App("bookshop"), make_handle
        self.app.config["SECRET_KEY"] = "bookshop"
        self.app.logger.disabled = True
        self.app.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
        if find_spec("flask_babel"):
            import_module("flask_babel").Babel(self.app)
        # Each session has a connection of its own, and does not wait for another.  The
        # database is in memory, or in a file, where one can write while others read.
        file = folder / "bookshop.db" if folder else f"/bookshop-{next(self.numbers)}"
        uri = f"file:{file}?vfs={'unix' if folder else 'memdb'}"
        self.database = sqlite3.connect(uri, uri=True, isolation_level=None)
        self.database.executescript(f"PRAGMA journal_mode = WAL; {TABLES}")
        url = f"sqlite:///{uri}&uri=true&timeout=0&check_same_thread=false"
        self.handle = make_handle(self.app, url, extension)
        # Flask-Admin looks at ``db.session``, which Lite has in an app context only.
        lite = make_handle is flask_sqlalchemy_lite
        with self.app.app_context() if lite else nullcontext():
            admin = flask_admin.Admin(self.app)
            for endpoint, view in (views or {"book": BookView}).items():
                admin.add_view(view(Book, self.handle, endpoint=endpoint))
        self.view: t.Any = admin._views[1]
        self.app.before_request(lambda: self.before_view(session_of(self.handle)))
        self.app.after_request(self._after_request)
        with self.app.app_context():
            self.engine: t.Any = session_of(self.handle).get_bind()
        self.reset()
        gc.freeze()  # What is here will stay: ``gc.collect()`` need not look at it.

    def reset(self) -> None:
        """Have all the rows, and no custom code."""
        self.before_view: t.Callable[[Session], None] = lambda session: None
        self.after_view: t.Callable[[Session], None] = lambda session: None
        self.app.config["PROPAGATE_EXCEPTIONS"] = False
        self.engine.dispose()  # A test that failed may have left a transaction open.
        self.database.executescript(ROWS)

    def close(self) -> None:
        self.engine.dispose()
        self.database.close()

    def _after_request(self, response: flask.Response) -> flask.Response:
        self.after_view(session_of(self.handle))
        return response

    def get(self, path: str = "") -> str:
        """Request a page of the first view, and return its text."""
        return self.app.test_client().get(f"/admin/book/{path}").text

    def post(self, path: str, form: dict[str, str]) -> str:
        return self.app.test_client().post(f"/admin/book/{path}", data=form).text


@pytest.fixture(scope="module", params=HANDLES)
def module_shop(request: pytest.FixtureRequest) -> t.Iterator[Bookshop]:
    shop = Bookshop(HANDLES[request.param])
    yield shop
    shop.close()
    gc.unfreeze()


@pytest.fixture
def shop(module_shop: Bookshop) -> Bookshop:
    """Set up once for all tests, since an app takes its time to start."""
    module_shop.reset()
    return module_shop


@pytest.fixture
def shop_on_disk(module_shop: Bookshop, tmp_path: Path) -> t.Iterator[Bookshop]:
    shop = Bookshop(module_shop.make_handle, tmp_path)
    yield shop
    shop.close()


# ------------------------------------------------------------------------ the contract


def test_view_keeps_the_handle(shop: Bookshop) -> None:
    shop.get()
    kept = shop.view.session
    assert not issubclass(type(kept), Session), "the view keeps a session"
    assert kept is shop.handle, "the view does not keep its handle"


@pytest.mark.parametrize("module_shop", ["db.session"], indirect=True)
def test_db_session_is_a_handle(shop: Bookshop) -> None:
    kept = type(shop.view.session)
    assert kept is orm.scoped_session, f"the view keeps a {kept.__name__}"


def test_three_requests_have_three_sessions(shop: Bookshop) -> None:
    """The list keeps the sessions.  Their ``id()`` would not do: it is used again."""
    sessions: list[Session] = []
    shop.before_view = sessions.append
    for _ in range(3):
        assert "Dune" in shop.get()
    assert len(set(sessions)) == 3, "requests share a session"


def rename_authors(session: Session) -> None:
    """Change rows, and do not commit."""
    session.execute(sa.text("UPDATE author SET name = 'uncommitted ' || name"))


def test_next_request_sees_no_uncommitted_change(shop: Bookshop) -> None:
    shop.before_view = rename_authors
    assert "uncommitted Herbert" in shop.get()  # It sees its own change.
    shop.before_view = lambda session: None
    page = shop.get()
    assert "Herbert" in page
    assert "uncommitted" not in page, "the next request sees the change"


def on_another_thread(function: t.Callable[..., t.Any], *args: t.Any) -> t.Any:
    with ThreadPoolExecutor() as pool:
        return pool.submit(function, *args).result()


def test_concurrent_request_sees_no_uncommitted_change(shop_on_disk: Bookshop) -> None:
    """The first request waits in its view until the second request is over."""
    shop, second = shop_on_disk, []

    def rename_authors_and_wait(session: Session) -> None:
        rename_authors(session)
        shop.before_view = lambda session: None
        second.append(on_another_thread(shop.get))

    shop.before_view = rename_authors_and_wait
    first = shop.get()
    assert "Herbert" in second[0]
    assert "uncommitted" not in second[0], "the concurrent request sees the change"
    assert "uncommitted Herbert" in first


def test_next_request_sees_what_another_has_committed(shop: Bookshop) -> None:
    assert "Dune" in shop.get()
    on_another_thread(shop.post, "edit/?id=1", {"title": "Arrakis"})
    assert "Arrakis" in str([*shop.database.execute("SELECT title FROM book")])
    assert "Arrakis" in shop.get(), "the next request shows stale rows"


def test_one_request_has_one_session(shop: Bookshop) -> None:
    """The code before the view, each statement of the view, and the code after it."""
    sessions: list[Session] = []
    shop.before_view = shop.after_view = sessions.append

    def on_execute(state: t.Any) -> None:
        sessions.append(state.session)

    event.listen(Session, "do_orm_execute", on_execute)
    try:
        assert "Dune" in shop.get()
    finally:
        event.remove(Session, "do_orm_execute", on_execute)
    assert len(sessions) > 3
    assert len(set(sessions)) == 1, "the request has several sessions"


def assert_ended(shop: Bookshop, session: ref[Session]) -> None:
    assert shop.engine.pool.checkedout() == 0, "the connection is not in the pool"
    gc.collect()
    assert session() is None, "something refers to the session"


def test_session_ends_with_its_request(shop: Bookshop) -> None:
    sessions: list[ref[Session]] = []
    shop.before_view = lambda session: sessions.append(ref(session))
    assert "Dune" in shop.get()
    assert_ended(shop, sessions[0])


def raise_in_view(shop: Bookshop, error: type[BaseException]) -> list[ref[Session]]:
    """Let the next view fail, with a change that is not committed."""
    sessions: list[ref[Session]] = []

    def fail(session: Session) -> None:
        rename_authors(session)
        sessions.append(ref(session))
        raise error

    shop.before_view = fail
    return sessions


def test_session_ends_when_the_view_raises(shop: Bookshop) -> None:
    sessions = raise_in_view(shop, RuntimeError)
    assert "Internal Server Error" in shop.get()
    assert_ended(shop, sessions[0])


class Killed(BaseException):
    """As ``greenlet.GreenletExit`` and ``gevent.Timeout`` are."""


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt, Killed])
def test_session_ends_when_an_exception_reaches_the_server(
    shop: Bookshop, error: type[BaseException]
) -> None:
    """The app lets exceptions propagate, or the request is killed."""
    shop.app.config["PROPAGATE_EXCEPTIONS"] = True
    sessions = raise_in_view(shop, error)
    with pytest.raises(error):
        shop.get()
    assert_ended(shop, sessions[0])


extensions = pytest.mark.parametrize("module_shop", [*HANDLES][:3], indirect=True)


@extensions
def test_app_context_in_a_request_has_its_own_session(shop: Bookshop) -> None:
    """A plain ``scoped_session`` cannot do this: it has a session for each thread."""
    sessions: list[Session] = []

    def enter_app_context(session: Session) -> None:
        with shop.app.app_context():
            sessions.extend([session, session_of(shop.handle)])

    shop.before_view = enter_app_context
    assert "Dune" in shop.get()
    assert sessions[0] is not sessions[1], "the app context shares the session"


@extensions
def test_two_apps_on_one_extension_do_not_share(shop: Bookshop) -> None:
    """In a request to the first app, a request is made to the second app."""
    extension = shop.app.extensions.get("sqlalchemy", shop.handle)
    second, pages = Bookshop(shop.make_handle, extension=extension), []

    def ask_second_app(session: Session) -> None:
        rename_authors(session)
        pages.append(second.get())

    shop.before_view = ask_second_app
    assert "Dune" in shop.get()
    second.close()
    assert "Herbert" in pages[0]
    assert "uncommitted" not in pages[0], "the second app uses the first app's session"


@pytest.mark.xfail(
    Version(version("flask")) >= Version("3.1.2"),
    reason="Flask ends the app context before it streams a response: "
    "https://github.com/pallets/flask/issues/5774",
    strict=True,
)
def test_session_lives_until_the_last_chunk(shop: Bookshop) -> None:
    """Flask-Admin streams an export, and meanwhile loads the reviews of each book."""
    file = ""
    with suppress(DetachedInstanceError):  # A server cuts off the file then.
        file = shop.get("export/csv/")
    assert "long" in file, "the file is cut off"


# --------------------------------------------------------------- the contract, broken

KEPT: list[t.Any] = []


class HoldsSession(BookView):
    """``ModelView(Book, Session())``: the classic mistake."""

    def __init__(self, model: t.Any, handle: t.Any, **options: t.Any) -> None:
        super().__init__(model, handle, **options)
        self.session: t.Any = Session(handle.get_bind())


class ReplacesHandle(BookView):
    def get_query(self) -> t.Any:
        self.session: t.Any = orm.scoped_session(self.session.session_factory)
        return super().get_query()


class OpensSession(BookView):
    def get_query(self) -> t.Any:
        return Session(self.session.get_bind()).query(Book)


class ClosesBeforeTheStream(BookView):
    def get_export_name(self, *args: t.Any, **options: t.Any) -> str:
        self.session.close()
        return "books.csv"


def closes(session: t.Any, error: object) -> None:
    """The session stays in the registry, and serves the next request."""
    session.close()


def commits(session: t.Any, error: object) -> None:
    session.commit()
    session.remove()


def keeps_rows(session: t.Any, error: object) -> None:
    KEPT.extend(session)


def stops_at_error(session: t.Any, error: object) -> None:
    if error is None:
        session.remove()


killed = partial(test_session_ends_when_an_exception_reaches_the_server, error=Killed)
BROKEN: list[tuple[t.Callable[[Bookshop], None], str, dict[str, t.Any]]] = [
    (test_view_keeps_the_handle, "keeps a session", {"book": HoldsSession}),
    (test_view_keeps_the_handle, "not keep its handle", {"book": ReplacesHandle}),
    (test_db_session_is_a_handle, "keeps a Session", {"book": HoldsSession}),
    (test_three_requests_have_three_sessions, "share", {"teardown": closes}),
    (test_next_request_sees_no_uncommitted_change, "sees", {"teardown": commits}),
    (test_concurrent_request_sees_no_uncommitted_change, "sees", {"scope": lambda: 0}),
    (
        test_next_request_sees_what_another_has_committed,
        "stale",
        {"teardown": keeps_rows},
    ),
    (test_one_request_has_one_session, "several", {"book": OpensSession}),
    (test_one_request_has_one_session, "several", {"scope": object}),
    (test_session_ends_with_its_request, "refers to", {"teardown": closes}),
    (test_session_ends_with_its_request, "not in the pool", {"teardown": keeps_rows}),
    (test_session_ends_when_the_view_raises, "not in", {"teardown": stops_at_error}),
    (killed, "not in the pool", {"teardown": stops_at_error}),
    (test_app_context_in_a_request_has_its_own_session, "shares", {}),
    (test_two_apps_on_one_extension_do_not_share, "first app's", {}),
    (
        test_session_lives_until_the_last_chunk,
        "cut off",
        {"book": ClosesBeforeTheStream},
    ),
]


@pytest.mark.parametrize(("test", "message", "broken"), BROKEN)
def test_contract_can_be_broken(
    test: t.Callable[[Bookshop], None],
    message: str,
    broken: dict[str, t.Any],
    tmp_path: Path,
) -> None:
    """By the assertion that is meant to fail, and not by an error on the way."""
    view = broken.get("book", BookView)
    options = {name: part for name, part in broken.items() if name != "book"}
    shop = Bookshop(partial(scoped_session, **options), tmp_path, book=view)
    with pytest.raises(AssertionError, match=message):
        test(shop)
    KEPT.clear()
    shop.close()


# A reader may stop here: this was the contract.
