"""What the crawler drives, and the writes that it stops."""

# mypy: allow-subclassing-any

import threading
import typing as t
from pathlib import Path
from uuid import UUID

import flask
import pytest
import sqlalchemy
from flask.testing import FlaskClient
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import event
from sqlalchemy import ForeignKey
from sqlalchemy import Integer
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import relationship
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import QueuePool
from werkzeug.wsgi import ClosingIterator

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.fileadmin import FileAdmin
from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import record
from session_scoping import Verdict
from session_scoping.drive.operations import absent_id
from session_scoping.errors import CannotTell
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.rules import Rule

pytestmark = pytest.mark.filterwarnings("ignore:Passing a session object")

Base: t.Any = declarative_base()
INSERT = text("INSERT INTO note VALUES (NULL)")


class Note(Base):
    __tablename__ = "note"
    id = Column(Integer, primary_key=True)


class Shop:
    """An app with a custom page, and the number of rows in its database."""

    def __init__(self, folder: Path, page: t.Callable[["Shop"], t.Any]) -> None:
        self.app = app = flask.Flask("shop")
        app.secret_key = "shop"
        self.engine = create_engine(f"sqlite:///{folder / 'shop.db'}")
        self.session: t.Any = scoped_session(sessionmaker(self.engine))
        Base.metadata.create_all(self.engine)

        class Page(BaseView):
            @expose("/")
            def index(view) -> t.Any:
                return page(self)

        @app.get("/write")
        def write_page() -> str:
            self.write()
            return "written"

        app.teardown_appcontext(lambda error: self.session.remove())
        admin = Admin(app)
        admin.add_view(ModelView(Note, self.session, endpoint="note"))
        admin.add_view(Page(name="Page", endpoint="page"))

    def write(self) -> None:
        try:
            self.session.execute(INSERT)
            self.session.commit()
        finally:
            self.session.remove()

    def verdict(self) -> Verdict:
        return judge(record(self.app))

    def rows(self) -> int:
        with self.engine.connect() as connection:
            number = connection.execute(text("SELECT count(*) FROM note")).scalar()
        return int(number or 0)


MakeShop = t.Callable[..., Shop]


@pytest.fixture
def make_shop(tmp_path: Path) -> t.Iterator[MakeShop]:
    """Make a shop, whose custom page shows a word unless the test brings a page."""
    shops: list[Shop] = []

    def make(page: t.Callable[[Shop], t.Any] = lambda shop: "done") -> Shop:
        shops.append(Shop(tmp_path, page))
        return shops[-1]

    yield make
    for shop in shops:
        shop.engine.dispose()


def test_the_error_of_a_client_that_does_not_reach_the_app_is_reported(
    make_shop: MakeShop,
) -> None:
    class Client(FlaskClient):
        def open(self, *args: t.Any, **options: t.Any) -> t.Any:
            raise LookupError("no token")

    shop = make_shop()
    message = r"the test client fails: LookupError: no token \(tests/test_crawler"
    with pytest.raises(CannotTell, match=message):
        record(shop.app, client=lambda app: Client(app, flask.Response))


def test_a_middleware_that_removes_the_session_at_the_end_is_sound(
    make_shop: MakeShop,
) -> None:
    """It does so when the server closes the response, and not when the app returns."""
    shop = make_shop()
    shop.app.teardown_appcontext_funcs.clear()
    before: t.Any = shop.app.wsgi_app

    def middleware(environ: t.Any, start_response: t.Any) -> t.Any:
        return ClosingIterator(before(environ, start_response), [shop.session.remove])

    shop.app.wsgi_app = middleware  # type: ignore[method-assign]
    verdict = shop.verdict()
    assert verdict.holds, verdict.sentence
    assert all(request.ended for request in verdict.recording.requests)


def test_a_page_that_logs_out_comes_last(make_shop: MakeShop) -> None:
    """Any page without an argument can log out, as in Flask-Admin's own example."""
    shop = make_shop()
    names = [request.does for request in record(shop.app).requests]
    assert names[-1].startswith("page ")
    assert not any(name.startswith("page ") for name in names[: names.index("list")])


class Members:
    """An app whose views need a login, with pages that end it, and a leak."""

    def __init__(self, folder: Path, ends_login: str) -> None:
        """``ends_login``: the name of a page that ends the login."""
        self.app = app = flask.Flask("members")
        app.secret_key = "members"
        engine = create_engine(f"sqlite:///{folder / 'members.db'}")
        session: t.Any = scoped_session(sessionmaker(engine))
        Base.metadata.create_all(engine)
        app.teardown_appcontext(lambda error: session.remove())
        tickets: set[str] = set()  # of those who are logged in
        self.tickets = tickets

        class Private:
            def is_accessible(self) -> bool:
                return flask.session.get("ticket") in tickets

        class Leaves:
            @expose(f"/{ends_login}")
            def leave(self) -> str:
                tickets.clear()  # everywhere
                return "Bye"

        class Index(Leaves, AdminIndexView):
            pass

        class NoteView(Private, ModelView):
            def on_model_change(self, form: t.Any, model: t.Any, created: bool) -> None:
                Session(engine).query(Note).all()

        class Stats(Leaves, Private, BaseView):
            @expose("/")
            def index(self) -> str:
                return str(Session(engine).query(Note).count())

        admin = Admin(app, index_view=Index(name="Members"))
        admin.add_view(NoteView(Note, session, endpoint="note"))
        admin.add_view(Stats(name="Stats", endpoint="stats"))

    def enter(self, app: flask.Flask) -> FlaskClient:
        client = app.test_client()
        with client.session_transaction() as kept:
            kept["ticket"] = str(len(self.tickets))
            self.tickets.add(kept["ticket"])
        return client


def test_a_list_that_does_not_open_is_not_said_to_show_no_row(
    make_shop: MakeShop,
) -> None:
    class BrokenView(ModelView):
        def get_list(self, *_: t.Any, **__: t.Any) -> t.Any:
            raise LookupError("no list")

    shop = make_shop()
    [admin] = shop.app.extensions["admin"]
    admin.add_view(BrokenView(Note, shop.session, endpoint="broken"))
    recording = record(shop.app)
    assert {
        recording.views[each.view].endpoint: f"{each.operation}: {each.why}"
        for each in recording.unseen
    } == {
        "note": "edit form: the list shows no row to do it with",
        "broken": "edit form: the list does not open",
    }


@pytest.mark.parametrize("ends_login", ["logout/", "sign-off", "bye"])
def test_a_page_that_ends_the_login_hides_nothing(
    tmp_path: Path, ends_login: str
) -> None:
    members = Members(tmp_path, ends_login)
    recording = record(members.app, client=members.enter, write=True)
    verdict = judge(recording)
    found = {
        verdict.label(view): request.does
        for violation in verdict.violations
        for view in [violation.view]
        for request in [recording.requests[violation.requests[0]]]
    }
    assert found == {"NoteView": "create", "Stats": "page index"}
    done = [request.does for request in recording.requests]
    is_last = done.index("page leave") > done.index("create")
    assert is_last == (ends_login != "bye")


def test_a_missing_row_is_opened(make_shop: MakeShop) -> None:
    """Flask-Admin flashes a message then, which takes a secret key."""
    shop = make_shop()
    recording = record(shop.app)
    assert {request.status for request in requests_for_missing_rows(recording)} == {302}
    assert "edit form, no such row" not in {
        str(task.operation) for task in recording.unseen
    }
    shop.app.secret_key = None
    assert requests_for_missing_rows(record(shop.app)) == []


def requests_for_missing_rows(recording: Recording) -> list[Request]:
    return [request for request in recording.requests if "no such row" in request.does]


def test_an_error_for_a_missing_row_is_noted_and_no_failure(
    make_shop: MakeShop,
) -> None:

    class Strict(ModelView):
        def get_one(self, id: t.Any) -> t.Any:
            return shop.session.query(Note).filter_by(id=id).one()

    shop = make_shop()
    view = Strict(Note, shop.session, endpoint="strict")
    shop.app.extensions["admin"][0].add_view(view)
    verdict = shop.verdict()
    assert {
        request.status for request in requests_for_missing_rows(verdict.recording)
    } == {302, 500}
    why = {str(task.operation): task.why for task in verdict.recording.unseen}
    assert "NoResultFound" in why["edit form, no such row"]
    assert verdict.failures == []
    assert verdict.cell(Rule.RECOVERS, 2).state == "not tried"


@pytest.mark.parametrize(
    ("kind", "python_type"), [("Integer", int), ("String", str), ("Uuid", UUID)]
)
def test_a_missing_row_has_a_key_of_the_right_type(
    kind: str, python_type: t.Callable[[str], object]
) -> None:
    if not hasattr(sqlalchemy, kind):
        pytest.skip(f"this SQLAlchemy has no {kind}")
    base: t.Any = declarative_base()

    class Thing(base):
        __tablename__ = "thing"
        id = Column(getattr(sqlalchemy, kind)(), primary_key=True)

    assert python_type(absent_id(Thing))


def test_pages_of_flask_admin_that_need_an_argument_are_left_out(
    make_shop: MakeShop, tmp_path: Path
) -> None:
    shop = make_shop()
    shop.app.extensions["admin"][0].add_view(
        FileAdmin(str(tmp_path), endpoint="files", name="Files")
    )
    recording = record(shop.app)
    driven = {request.does for request in recording.requests if request.view == 3}
    assert driven == {"page index_view"}
    assert [
        request.exception for request in recording.requests if request.exception
    ] == []


def test_a_request_that_needs_a_lock_does_not_wait(make_shop: MakeShop) -> None:
    """With ``BEGIN IMMEDIATE`` a request waits five seconds for another's end."""

    @event.listens_for(Engine, "connect")
    def no_begin_of_the_driver(connection: t.Any, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(Engine, "begin")
    def begin(connection: t.Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        shop = make_shop()
        verdict = judge(record(shop.app, write=True))
    finally:
        event.remove(Engine, "connect", no_begin_of_the_driver)
        event.remove(Engine, "begin", begin)
        shop.engine.dispose()
    assert verdict.holds
    assert verdict.failures == []
    assert verdict.recording.notes == []


def test_a_request_that_makes_the_other_wait_is_noted(make_shop: MakeShop) -> None:
    lock = threading.Lock()

    def page(shop: Shop) -> str:
        with lock:
            return str(shop.session.query(Note).count())

    shop = make_shop(page)
    verdict = shop.verdict()
    assert verdict.holds
    [note] = verdict.recording.notes
    assert note.startswith("Page: page index: it was not overtaken to the end")


def test_leaked_connections_do_not_stop_the_drive(make_shop: MakeShop) -> None:
    """A request that finds its pool empty would wait for half a minute."""
    taken: list[t.Any] = []

    def leak(shop: Shop) -> str:
        taken.append(shop.engine.connect())
        return "done"

    shop = make_shop(leak)
    shop.engine.dispose()
    shop.engine = shop.session.session_factory.kw["bind"] = create_engine(
        shop.engine.url, poolclass=QueuePool, pool_size=5, max_overflow=0
    )
    shop.engine.pool._timeout = 0  # type: ignore[attr-defined]
    recording = record(shop.app)
    for connection in taken:
        connection.close()
    shop.engine.dispose()
    waited = [
        request.exception
        for request in recording.requests
        if "TimeoutError" in request.exception
    ]
    assert waited == []
    assert any(
        "connections taken" in violation.what
        for violation in judge(recording).violations
    )


def test_rows_that_sqlalchemy_caches_break_no_rule(make_shop: MakeShop) -> None:
    """A statement that compares with a row is cached, and keeps what the row loaded."""

    class Team(Base):
        __tablename__ = "team"
        id = Column(Integer, primary_key=True)

    class Member(Base):
        __tablename__ = "member"
        id = Column(Integer, primary_key=True)
        team_id = Column(Integer, ForeignKey("team.id"))
        team = relationship(Team)
        notes = relationship("Line", back_populates="member")

    class Line(Base):
        __tablename__ = "line"
        id = Column(Integer, primary_key=True)
        member_id = Column(Integer, ForeignKey("member.id"))
        member = relationship(Member, back_populates="notes")

    shop = make_shop()

    class MemberView(ModelView):
        column_list = ("team", "lines")
        column_formatters: t.Any = {
            "lines": lambda view, context, model, name: (
                shop.session.query(Line).filter(Line.member == model).count()
            )
        }

    shop.session.add(Member(team=Team(), notes=[Line()]))
    shop.session.commit()
    shop.session.remove()
    shop.app.extensions["admin"][0].add_view(MemberView(Member, shop.session))
    verdict = shop.verdict()
    assert verdict.holds, verdict.violations
    assert verdict.cell(Rule.RELEASED, 3).state == "holds"


def test_a_transaction_older_than_the_recording_is_found(make_shop: MakeShop) -> None:
    shop = make_shop()
    shop.app.teardown_appcontext_funcs.clear()  # no `remove()`
    with shop.app.test_client() as client:
        client.get("/admin/note/")
    verdict = shop.verdict()
    [first, *_] = [
        request for request in verdict.recording.requests if request.does == "list"
    ]
    assert [use.session for use in first.uses] == [0]
    assert "fresh" in {violation.rule for violation in verdict.violations}
    shop.session.remove()
