"""Recorders: starting, pausing and stopping them, and what they keep."""
# mypy: allow-subclassing-any

import gc
import subprocess
import sys
import threading
import typing as t
from collections.abc import Iterator
from contextlib import nullcontext
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType
from types import SimpleNamespace
from weakref import ref

import pytest
import sqlalchemy as sa
from flask import flash
from flask import Flask
from flask import g
from flask import Response
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import relationship
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker
from werkzeug.local import LocalProxy

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.filters import BaseSQLAFilter
from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from session_scoping.errors import CannotTell
from session_scoping.recording import Place
from session_scoping.recording import STATEMENT
from session_scoping.recording import View
from session_scoping.watch.keepers import keepers
from session_scoping.watch.places import Places
from session_scoping.watch.statements import Statements
from session_scoping.watch.views import Views
from tests import apps
from tests.apps import raw_session
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import HANDLE
from tests.apps.blog import User
from tests.endings import Turns
from tests.test_faults import make_app
from tests.waiting import wait_for


@pytest.fixture
def shared() -> Iterator[sa.engine.Engine]:
    """An engine that gives all threads the same connection."""
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.pool.StaticPool,
        connect_args={"check_same_thread": False},
    )
    yield engine
    engine.dispose()


def query(engine: sa.engine.Engine) -> str:
    with Session(engine) as session:
        return str(session.execute(sa.text("SELECT 1")).scalar())


def on_a_thread(work: t.Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def count_requests(recorder: Recorder) -> int:
    return len(recorder.recording.requests)


def test_record_does_not_stop_the_recorder_of_its_caller() -> None:
    app = make_app("sqlite://")
    with Recorder() as recorder:
        seen = len(record(app, recorder=recorder).requests)
        assert app.test_client().get("/admin/fish/").status_code == 200
        assert count_requests(recorder) == seen + 1


def test_record_stops_its_own_recorder() -> None:
    app = make_app("sqlite://")
    recording = record(app)
    seen = len(recording.requests)
    app.test_client().get("/admin/fish/")
    assert len(recording.requests) == seen
    assert Recorder.started == []


@pytest.mark.parametrize("name", ["leave_alone", "skip"])
def test_a_string_is_no_list_of_patterns(name: str) -> None:
    """Its `*` would match everything."""
    given: dict[str, t.Any] = {name: "*in write_log"}
    with pytest.raises(
        TypeError, match=rf"{name} is a list of patterns: write \['\*in"
    ):
        record(make_app("sqlite://"), **given)


@pytest.mark.parametrize(
    ("client", "message"),
    [
        ("shop:client", "client is an object of type str: it has to be a function"),
        (lambda: None, "client has to take the app: too many positional arguments"),
        (lambda app: app, "client returns an object of type Flask: it has to return"),
    ],
)
def test_record_says_what_is_wrong_with_a_client(client: t.Any, message: str) -> None:
    with pytest.raises(CannotTell, match=message):
        record(make_app("sqlite://"), client=client)


def test_record_injects_no_fault_that_it_does_not_know() -> None:
    faults: t.Any = ["lost"]
    with pytest.raises(ValueError, match="'lost' is not a valid Fault"):
        record(make_app("sqlite://"), faults=faults)


def test_a_recorder_that_is_started_later_pauses_an_earlier_recorder() -> None:
    client = make_app("sqlite://").test_client()
    with Recorder() as outer:
        client.get("/admin/fish/")
        with Recorder() as inner:
            client.get("/admin/fish/")
            client.get("/admin/fish/")
        client.get("/admin/fish/")
    assert (count_requests(outer), count_requests(inner)) == (2, 2)
    sessions = [len(recorder.recording.sessions) for recorder in (outer, inner)]
    assert sessions == [2, 2]


def test_an_earlier_recorder_can_be_stopped_first() -> None:
    client = make_app("sqlite://").test_client()
    outer, inner = Recorder(), Recorder()
    outer.start()
    inner.start()
    outer.stop()
    client.get("/admin/fish/")
    inner.stop()
    client.get("/admin/fish/")
    assert (count_requests(outer), count_requests(inner)) == (0, 1)


def test_a_recorder_is_not_started_twice() -> None:
    with Recorder() as recorder:
        with pytest.raises(RuntimeError, match="started already"):
            recorder.start()
        assert Recorder.started == [recorder]


def test_recorders_start_and_stop_while_a_thread_is_in_an_event(
    shared: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_statement = Statements.on_statement

    def overtaken(*arguments: t.Any) -> None:
        monkeypatch.setattr(Statements, "on_statement", on_statement)
        on_a_thread(start_and_stop)
        on_statement(*arguments)

    def start_and_stop() -> None:
        with Recorder():
            recorder.stop()

    monkeypatch.setattr(Statements, "on_statement", overtaken)
    with Recorder() as recorder:
        assert query(shared) == "1"
    assert Recorder.started == []


def test_a_process_without_a_recorder_that_was_started_has_no_listener() -> None:
    code = """if True:
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
        from session_scoping import Recorder
        recorder = Recorder()
        engine = create_engine("sqlite://")
        print(*[
            len(each)
            for each in (
                engine.dispatch.before_cursor_execute,
                engine.pool.dispatch.checkout,
                Session().dispatch.after_begin,
            )
        ])
        recorder.start()
        print(len(engine.dispatch.before_cursor_execute))
    """
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["0", "0", "0", "1"]


def test_a_stopped_recorder_can_continue() -> None:
    client = make_app("sqlite://").test_client()
    recorder = Recorder()
    for expected in 1, 2:
        with recorder:
            client.get("/admin/fish/")
        assert count_requests(recorder) == expected


def test_the_line_of_a_connection_is_that_of_the_connection_that_is_out() -> None:
    """Another connection was taken before it, and is returned."""
    app = Flask("ponds")
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.NullPool)
    taken = []

    def take() -> None:
        taken.append(engine.connect())

    @app.get("/")
    def page() -> str:
        with engine.connect():
            take()
        return "one is out"

    with Recorder() as recorder:
        app.test_client().get("/")
    for connection in taken:
        connection.close()
    [unreturned] = recorder.recording.unreturned
    assert unreturned.place is not None
    assert unreturned.place.function == "take"


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite://"]
)
def test_two_databases_in_memory_may_each_have_a_session(url: str) -> None:
    app = Flask("ponds")
    handles = [scoped_session(sessionmaker(sa.create_engine(url))) for _ in range(2)]

    @app.get("/")
    def page() -> str:
        for handle in handles:
            handle.execute(sa.text("SELECT 1"))
        return "both"

    @app.teardown_appcontext
    def remove(error: BaseException | None) -> None:
        for handle in handles:
            handle.remove()

    with Recorder() as recorder:
        app.test_client().get("/")
    assert len(recorder.recording.sessions) == 2
    assert judge(recorder.recording).violations == ()


def test_a_request_returns_a_connection_that_its_sessions_share(
    shared: sa.engine.Engine,
) -> None:
    app = Flask("ponds")

    @app.get("/")
    def page() -> str:
        with Session(shared) as session:
            session.execute(sa.text("SELECT 1"))
            return query(shared)

    with Recorder() as recorder:
        app.test_client().get("/")
    assert recorder.recording.requests[0].taken == 2
    assert judge(recorder.recording).violations == ()


@pytest.mark.parametrize("overtaken_at", ["its query", "its checkout"])
def test_concurrent_requests_return_the_connection_that_they_share(
    shared: sa.engine.Engine, overtaken_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Flask("ponds")
    here = Places.here

    def overtake() -> None:
        monkeypatch.setattr(Places, "here", here)
        on_a_thread(lambda: app.test_client().get("/fast"))

    def overtaken(places: Places) -> tuple[Place | None, Place | None]:
        overtake()
        return here(places)

    @app.get("/slow")
    def slow() -> str:
        if overtaken_at == "its checkout":
            monkeypatch.setattr(Places, "here", overtaken)
        with Session(shared) as session:
            session.execute(sa.text("SELECT 1"))
            if overtaken_at == "its query":
                overtake()
        return "done"

    @app.get("/fast")
    def fast() -> str:
        return query(shared)

    with Recorder() as recorder:
        app.test_client().get("/slow")
    assert [request.taken for request in recorder.recording.requests] == [1, 1]
    assert judge(recorder.recording).violations == ()


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_connection_that_is_shared_can_be_left_out(
    shared: sa.engine.Engine, by_hand: bool
) -> None:
    app, left = Flask("ponds"), []

    @app.get("/")
    def page() -> str:
        left.append(shared.connect() if by_hand else Session(shared).connection())
        return "one is out"

    with Recorder() as recorder:
        app.test_client().get("/")
    left[0].close()
    [violation] = judge(recorder.recording).violations
    said = "connections taken: 1, returned: 0" if by_hand else "is not closed"
    assert said in violation.what


def test_a_connection_is_returned_without_the_lock_of_the_recording(
    shared: sa.engine.Engine,
) -> None:
    """The garbage collector returns one at any moment, and may hold other locks."""
    with Recorder() as recorder:
        connection = shared.raw_connection()
        thread = threading.Thread(target=connection.close, daemon=True)
        with recorder._tape.lock:
            thread.start()
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize(("takers", "unseen"), [(1, False), (1, True), (2, False)])
def test_a_transaction_that_is_open_in_the_pool_is_seen(
    tmp_path: Path, takers: int, unseen: bool
) -> None:
    """``unseen``: an earlier request returns it while no recorder watches."""
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/ponds.db",
        poolclass=sa.pool.QueuePool if takers == 1 else sa.pool.StaticPool,
        pool_reset_on_return=None,
    )
    app, kept = Flask("ponds"), []

    @app.get("/keep")
    def keep() -> str:
        kept.append(engine.connect())
        return "kept"

    @app.get("/")
    def page() -> str:
        connections = [engine.raw_connection() for _ in range(takers)]
        connections[0].cursor().execute("CREATE TABLE pond (id INTEGER)")
        connections[0].cursor().execute("INSERT INTO pond VALUES (1)")
        for connection in connections:
            connection.close()
        return "done"

    with Recorder() as recorder:
        if unseen:
            app.test_client().get("/keep")
            recorder.stop()
            kept[0].close()
            recorder.start()
        app.test_client().get("/")
    engine.dispose()
    assert recorder.recording.requests[-1].left_in_transaction


def test_of_two_first_requests_each_knows_its_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second begins while the recorder still learns the views of the app."""
    app = make_app("sqlite://")
    record, waits = Views._record, threading.Event()

    class Lock:
        """Says that the second request has to wait for the first."""

        def __init__(self, lock: t.Any) -> None:
            self.lock = lock

        def __enter__(self) -> None:
            if threading.current_thread() is second:
                waits.set()
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    def ask() -> None:
        app.test_client().get("/admin/fish/")
        waits.set()

    def overtaken(views: Views, view: t.Any) -> View:
        if second.ident is None:
            second.start()
            wait_for(waits)
        return record(views, view)

    second = threading.Thread(target=ask)
    monkeypatch.setattr(Views, "_record", overtaken)
    with Recorder() as recorder:
        monkeypatch.setattr(recorder._views, "_lock", Lock(recorder._views._lock))
        app.test_client().get("/admin/fish/")
        second.join()
    recording = recorder.recording
    endpoints = [view.endpoint for view in recording.views]
    assert endpoints == ["admin", "fish"]
    assert [request.view for request in recording.requests] == [1, 1]


def test_building_marks_the_sessions_that_are_made_in_its_block() -> None:
    engine = sa.create_engine("sqlite://")
    with Recorder() as recorder:
        with suppress(ZeroDivisionError), recorder.building():
            Session(engine).close()
            raise ZeroDivisionError
        Session(engine).close()
    assert [session.at_startup for session in recorder.recording.sessions] == [
        True,
        False,
    ]


def test_a_session_names_its_registry_in_a_later_recording_too() -> None:
    """Each ``scoped_session`` has a number, and a session made by hand has none."""
    first, second = [scoped_session(sessionmaker()) for _ in range(2)]
    with Recorder() as recorder:
        sessions = [first(), second(), Session()]
        seen = [session.registry for session in recorder.recording.sessions]
        recorder.clear()
        first.remove()
        for session in [*sessions, first()]:
            session.add(User())
        later = [session.registry for session in recorder.recording.sessions]
    assert seen == [0, 1, None]
    assert sorted(later, key=str) == [0, 0, 1, None]
    second.remove()
    first.remove()


class OfNames(BaseSQLAFilter):
    def get_options(self, view: object) -> list[tuple[str, str]]:
        return names()

    def apply(self, query: t.Any, value: str, alias: object = None) -> t.Any:
        return query.filter(User.name == value)

    def operation(self) -> str:
        return "is"


def names() -> list[tuple[str, str]]:
    return [(user.name, user.name) for user in db.session.query(User).all()]


def add_filtered(admin: t.Any) -> None:
    """Add a view whose filter has options, and which counts rows as it is defined."""
    assert db.session.query(User).count() == 6

    class View(ModelView):
        column_filters = [OfNames(User.name, "name")]
        column_labels = {"name": str(db.session.query(User).count())}
        table = sa.Table("user", sa.MetaData(), autoload_with=db.engine)

    admin.add_view(View(User, HANDLE))


def test_building_notes_the_queries_whose_answer_a_view_may_keep() -> None:
    """The seeding of the database is not noted, nor what a view does not keep."""
    with Recorder() as recorder:
        with recorder.building():
            app = blog(add_filtered)()
        seen = recorder.recording.startup_queries
        assert [query.own.function for query in seen] == ["View", "names"]
        app.add_url_rule("/names", view_func=lambda: dict(names()))
        app.test_client().get("/admin/user/")
        assert [query.repeated for query in seen] == [False, False]
        app.test_client().get("/names")
        assert [query.repeated for query in seen] == [False, True]
    with Recorder() as recorder:
        blog(add_filtered)()
    assert recorder.recording.startup_queries == []


@pytest.mark.filterwarnings("ignore:Passing a session object")
def test_a_recorder_does_not_keep_the_session_of_a_view() -> None:
    app = raw_session.broken()
    view = app.extensions["admin"][0]._views[1]
    with Recorder() as recorder:
        recorder.learn(app)
        session = ref(view.session)
        view.session = None
        gc.collect()
        assert session() is None
    assert recorder.recording.views[1].replaced


def test_a_recorder_never_asks_a_handle_that_is_a_proxy_or_a_property() -> None:
    asked = []

    def ask() -> Session:
        asked.append(True)
        return Session()

    class View:
        name = endpoint = "user"
        model = Recorder

        @property
        def session(self) -> Session:
            return ask()

    app, asking = Flask("proxies"), View()
    proxied = type("ProxiedView", (View,), {"session": LocalProxy(ask)})()
    app.extensions["admin"] = [SimpleNamespace(_views=[asking, proxied])]
    with Recorder() as recorder:
        recorder.learn(app)
    handles = [(view.handle, view.session) for view in recorder.recording.views]
    assert handles == [
        ("builtins.property", None),
        ("werkzeug.local.LocalProxy", None),
    ]
    assert asked == []


def new_session() -> Session:
    return Session()


@pytest.mark.parametrize("maker", [new_session, Session], ids=["a function", "a class"])
def test_a_session_is_made_by_the_proxy_that_is_the_handle(
    maker: t.Callable[[], Session],
) -> None:
    proxy, other = LocalProxy(maker), LocalProxy(maker)
    view = ModelView(User, HANDLE)
    with Recorder() as recorder:
        app = blog(lambda admin: admin.add_view(view))()
        t.cast(t.Any, view).session = proxy
        recorder.learn(app)
        made = [t.cast(Session, each).info for each in (proxy, other)]
    sessions = recorder.recording.sessions[-len(made) :]
    assert [session.handle_of for session in sessions] == [1, None]


def test_a_search_for_keepers_never_asks_a_proxy() -> None:
    session, asked = Session(), []

    def ask(kept: Session = session) -> Session:
        asked.append(kept)
        return kept

    proxies = [LocalProxy(ask)]
    view = SimpleNamespace(proxies=proxies)
    del ask
    [(path, number)] = keepers([session], [view])
    assert "LocalProxy" in path, path
    assert number == 0
    assert asked == []


def test_a_session_on_the_connection_of_another_session_is_part_of_it() -> None:
    engine = sa.create_engine("sqlite://")
    app = Flask("parts")

    @app.get("/")
    def page() -> str:
        with Session(engine) as owner:
            connection = owner.connection()
            with Session(connection) as part:
                part.execute(sa.text("SELECT 1"))
            owner.execute(sa.text("SELECT 2"))
        with engine.connect() as connection, Session(connection) as alone:
            alone.execute(sa.text("SELECT 3"))
        return "done"

    with Recorder() as recorder:
        assert app.test_client().get("/").status_code == 200
    [request] = recorder.recording.requests
    assert [use.session for use in request.uses] == [0, 2]


def test_a_kept_session_on_a_connection_of_its_own_serves_each_request() -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    app = Flask("shop")
    kept: list[Session] = []

    @app.get("/")
    def page() -> str:
        if not kept:
            kept.append(Session(engine.connect()))
        kept[0].connection().execute(sa.text("SELECT 1"))
        return "done"

    with Recorder() as recorder:
        for _ in range(2):
            app.test_client().get("/").close()
    used = [[use.session for use in each.uses] for each in recorder.recording.requests]
    assert used == [[0], [0]]
    kept[0].close()


def test_sessions_on_the_connection_of_a_test_are_not_part_of_each_other() -> None:
    """A test rolls all back at the end, as SQLAlchemy's documentation describes it."""
    engine = sa.create_engine("sqlite://")
    app = Flask("joined")

    @app.get("/")
    def page() -> str:
        with Session(connection) as own:
            own.execute(sa.text("SELECT 1"))
        return "done"

    with engine.connect() as connection, connection.begin():
        connection.begin_nested()  # so that each session begins with a statement
        with Recorder() as recorder, Session(connection) as of_test:
            for _ in range(2):
                of_test.execute(sa.text("SELECT 2"))
                assert app.test_client().get("/").status_code == 200
    engine.dispose()
    requests = recorder.recording.requests
    assert [[use.session for use in request.uses] for request in requests] == [[1], [2]]
    assert judge(recorder.recording).violations == ()


def test_a_path_says_that_a_module_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Session()
    for module in (sa, apps):
        monkeypatch.setattr(module, "sessions", [kept], raising=False)
        [(path, _)] = keepers([kept], [])
        monkeypatch.undo()
        of_app = module is apps
        assert path[0] == f"module {module.__name__}{'' if of_app else ' (installed)'}"


def test_a_path_names_the_variable_of_a_closure_that_keeps_the_session() -> None:
    """A function of a view's class has several: the first is not meant."""
    alpha, kept, zulu = object(), Session(), object()

    class View:
        def get_query(self) -> object:
            return alpha, kept, zulu

    target = [kept]
    [(path, _)] = keepers(target, [View()])
    assert path[-1].endswith("get_query (its variable kept)"), path


def test_an_error_page_ends_the_request_although_nothing_reads_it() -> None:
    app = Flask("errors")

    @app.get("/stream")
    def stream() -> Response:
        return Response(iter("abc"), 503)

    client = app.test_client()
    with Recorder() as recorder:
        page, streamed = client.get("/missing"), client.get("/stream")
        ends = [request.ended > 0 for request in recorder.recording.requests]
    assert ends == [True, False]
    assert (page.status_code, streamed.status_code) == (404, 503)


@pytest.mark.parametrize(
    ("catching", "line", "by_query"),
    [
        (lambda: db.session.query(User).count(), "<lambda>", True),
        (lambda: db.session.flush(), "<lambda>", False),
        (lambda: db.session.commit(), "<lambda>", False),
        (lambda: db.session.rollback(), None, False),
    ],
    ids=["a query", "a flush", "a commit", "a rollback"],
)
@pytest.mark.parametrize("left_alone", [False, True])
def test_a_failed_flush_is_recorded(
    catching: t.Callable[[], object], line: str | None, by_query: bool, left_alone: bool
) -> None:
    app = blog(lambda admin: None)()

    @app.get("/nameless")
    def nameless() -> str:
        db.session.add(User())
        with suppress(sa.exc.IntegrityError):
            catching()
        db.session.rollback()
        return "caught"

    with Recorder(leave_alone=["*"] if left_alone else []) as recorder:
        assert app.test_client().get("/nameless").status_code == 200
    [request] = recorder.recording.requests
    found = request.flush_failed_at and request.flush_failed_at.function
    assert found == (None if left_alone else line)
    assert request.autoflush_failed == (by_query and not left_alone)


def test_a_message_that_names_an_error_of_a_session_is_recorded() -> None:
    app = Flask("messages")
    app.secret_key = "messages"

    @app.get("/")
    def page() -> str:
        flash(
            "Failed. Object '<User at 0x7f>' is already attached to session '2'\nMore"
        )
        flash("Failed.")
        return "done"

    with Recorder() as recorder:
        app.test_client().get("/")
    [request] = recorder.recording.requests
    assert request.said == [
        "Failed. Object '<User>' is already attached to session '2'"
    ]


def test_the_answer_to_head_is_over_when_it_is_closed() -> None:
    """A server does not iterate over it, and closes it."""
    engine = sa.create_engine("sqlite://")
    app = Flask(__name__)

    @app.get("/")
    def stream() -> Response:
        session = Session(engine)
        session.execute(sa.text("SELECT 1"))

        def chunks() -> Iterator[bytes]:
            try:
                yield b"begun"
                yield b"a chunk"
            finally:
                session.close()

        begun = chunks()
        next(begun)
        return Response(begun)

    with Recorder() as recorder:
        app.test_client().head("/").close()
    [request] = recorder.recording.requests
    assert request.ended
    assert [use.closed for use in request.uses] == [True]


@pytest.mark.parametrize(("nested", "commits"), [(True, 0), (False, 1)])
def test_the_end_of_a_savepoint_is_no_commit(nested: bool, commits: int) -> None:
    engine = sa.create_engine("sqlite://")
    app = Flask(__name__)

    @app.get("/")
    def index() -> str:
        g.session = Session(engine)
        g.session.execute(sa.text("SELECT 1"))
        return ""

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        with g.session.begin_nested() if nested else nullcontext():
            g.session.execute(sa.text("SELECT 1"))
        if not nested:
            g.session.commit()
        g.session.close()

    with Recorder() as recorder:
        app.test_client().get("/")
    assert len(recorder.recording.late_commits) == commits


def test_a_thread_at_work_is_not_accused() -> None:
    """It may close its session later. A thread that has ended cannot."""
    engine = sa.create_engine(
        "sqlite://",
        poolclass=sa.pool.StaticPool,
        connect_args={"check_same_thread": False},
    )
    turns, sessions = Turns(), []

    def work() -> None:
        sessions.append(Session(engine))
        sessions[0].execute(sa.text("SELECT 1"))
        turns.wait(60)

    with Recorder() as recorder, turns.of(work):
        recorder.stop()
    [session] = recorder.recording.sessions
    assert [outside.at_work for outside in session.outside] == [True]
    assert not session.closed
    assert judge(recorder.recording).violations == ()


def test_what_only_a_compiled_statement_keeps_is_not_kept() -> None:
    """A comparison with a row keeps what the row has loaded, in SQLAlchemy's cache."""
    Base: t.Any = declarative_base()

    class Picture(Base):
        __tablename__ = "picture"
        id = sa.Column(sa.Integer, primary_key=True)

    class Owner(Base):
        __tablename__ = "owner"
        id = sa.Column(sa.Integer, primary_key=True)
        picture_id = sa.Column(sa.Integer, sa.ForeignKey("picture.id"))
        picture = relationship(Picture)

    class Work(Base):
        __tablename__ = "work"
        id = sa.Column(sa.Integer, primary_key=True)
        owner_id = sa.Column(sa.Integer, sa.ForeignKey("owner.id"))
        owner = relationship(Owner)

    engine = sa.create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        owner = Owner(picture=Picture())
        session.add(owner)
        session.commit()
        picture = ref(owner.picture)
        assert session.query(Work).filter(Work.owner == owner).all() == []
    del owner
    gc.collect()
    kept = picture()
    assert kept is not None
    assert keepers([kept], []) == [([STATEMENT], None)]
    engine.dispose()


def test_a_path_names_the_line_of_a_cached_function() -> None:
    kept = Session()
    line = test_a_path_names_the_line_of_a_cached_function.__code__.co_firstlineno + 4

    @lru_cache
    def cached() -> Session:
        return kept

    cached()
    [(path, _)] = keepers([kept], [SimpleNamespace(cached=cached)])
    assert f"decorated tests/test_recorder.py:{line} in cached" in path, path


def test_a_path_is_found_although_a_thread_adds_to_what_it_leads_through() -> None:
    kept = Session()
    cache = {"other": None, "session": kept}
    view = SimpleNamespace(first=None, cache=cache)

    def add_later(name: str) -> None:
        cache[name] = None
        setattr(view, name, None)

    def add(frame: FrameType, event: str, _: object) -> t.Any:
        """Add an entry before each line of the search for keepers."""
        if frame.f_code.co_filename != keepers.__code__.co_filename:
            return None
        if event == "line":
            name = f"later_{len(cache)}"
            on_a_thread(lambda: add_later(name))
        return add

    before = sys.gettrace()
    sys.settrace(add)
    try:
        [(path, _)] = keepers([kept], [view])
    finally:
        sys.settrace(before)
    assert path == ["SimpleNamespace", "cache", "session"], path


def test_garbage_that_opens_a_session_is_collected_while_one_is_recorded() -> None:
    """The finalizer runs on the thread that records, in the middle of it."""
    made: list[Session] = []

    class Collecting(list[t.Any]):
        def append(self, item: t.Any) -> None:
            gc.collect()
            super().append(item)
            gc.collect()

    class Log:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            made.append(Session())

    def work() -> None:
        made.append(Session())

    gc.disable()
    try:
        with Recorder() as recorder:
            recorder.recording.sessions = Collecting()
            Log()
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            thread.join(60)  # without end, if the lock is taken twice
            assert not thread.is_alive()
    finally:
        gc.enable()
    numbers = [session.number for session in recorder.recording.sessions]
    assert len(made) == 2
    assert numbers == [0, 1]
