"""Injected faults: every operation fails in every way, and what it leaves is found."""
# mypy: allow-subclassing-any

import gc
import sqlite3
import threading
import typing as t
from collections import Counter
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy.engine import make_url

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.faults import FAILED
from session_scoping.drive.record import record
from session_scoping.fixes import close_fails_and_is_kept
from session_scoping.recording import Fault
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import Verdict
from session_scoping.watch.connections import in_memory
from session_scoping.watch.recorder import Recorder
from tests.apps import LEFT_IN_REGISTRY


def make_app(
    url: str, session_class: t.Any = None, view: t.Any = ModelView, **options: t.Any
) -> flask.Flask:
    app = flask.Flask("pond")
    app.secret_key = "pond"
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["PROPAGATE_EXCEPTIONS"] = False
    if session_class is not None:
        options["class_"] = session_class
    db: t.Any = SQLAlchemy(app, session_options=options)
    if session_class is None:
        close_fails_and_is_kept.fix(db)

    class Fish(db.Model):
        id = db.Column(db.Integer, primary_key=True)
        name = db.Column(db.String(20), unique=True)

    with app.app_context():
        db.create_all()
        db.session.add(Fish(name="carp"))
        db.session.commit()
    Admin(app, name="Pond").add_view(view(Fish, db))
    return app


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'pond.db'}"


def fault_of(request: Request) -> Fault | None:
    return request.injected.fault if request.injected else None


def faults(recording: Recording, operation: str = "") -> Counter[Fault | None]:
    """Count the injected faults, of an operation or of all."""
    return Counter(
        fault_of(request)
        for request in recording.requests
        if request.injected and operation in {"", request.does}
    )


def rules(verdict: Verdict) -> set[str]:
    return {violation.rule for violation in verdict.violations}


def names_of_causes(verdict: Verdict) -> set[str]:
    return {
        violation.cause.name if violation.cause else ""
        for violation in verdict.violations
    }


def requests_that_break_rules(verdict: Verdict) -> set[int]:
    return {number for violation in verdict.violations for number in violation.requests}


def test_every_operation_fails_in_every_way(url: str) -> None:
    recording = record(make_app(url), write=True, faults=True)
    assert judge(recording).holds
    reading = faults(recording, "list")
    assert reading == {
        Fault.EXHAUSTED: 1,
        Fault.BEFORE: 2,
        Fault.LOST: 2,
        Fault.AFTER: 2,
        Fault.ROLLBACK: 1,
    }
    writing = faults(recording, "create")
    assert {*writing} == {
        Fault.EXHAUSTED,
        Fault.BEFORE,
        Fault.LOST,
        Fault.AFTER,
        Fault.COMMIT,
    }
    assert {*faults(recording, "create, invalid"), Fault.COMMIT} >= {*reading}
    # Only the bookshop has views that are killed.
    assert {*faults(recording)} == {*Fault} - {Fault.KILLED}


def test_a_lost_connection_raises_the_error_of_the_driver(url: str) -> None:
    recording = record(make_app(url), faults=True)
    lost = [
        request for request in recording.requests if fault_of(request) == Fault.LOST
    ]
    assert lost
    for request in lost:
        assert "Cannot operate on a closed database" in request.exception


@pytest.mark.parametrize("write", [False, True])
def test_a_fault_is_an_error_of_the_driver(url: str, write: bool) -> None:
    """SQLAlchemy handles it, as it handles the errors that the driver raises."""
    handled: Counter[type[BaseException]] = Counter()

    def handle(context: sa.engine.ExceptionContext) -> None:
        if FAILED in str(context.original_exception):
            handled[type(context.original_exception)] += 1

    sa.event.listen(sa.engine.Engine, "handle_error", handle)
    try:
        recording = record(make_app(url), write=write, faults=True)
    finally:
        sa.event.remove(sa.engine.Engine, "handle_error", handle)
    raised = faults(recording)
    # The other faults make the driver, or the pool, raise their own errors.
    number = raised[Fault.BEFORE] + raised[Fault.AFTER] + raised[Fault.COMMIT]
    assert handled == {sqlite3.OperationalError: number}
    assert number


def test_an_in_memory_database_keeps_its_connection() -> None:
    """The connection is the database: without it every row is lost."""
    recording = record(make_app("sqlite://"), write=True, faults=True)
    assert judge(recording).holds
    assert {*faults(recording)} == {Fault.BEFORE, Fault.AFTER, Fault.COMMIT}


def test_a_session_that_cannot_be_closed_stays_in_the_registry(url: str) -> None:
    verdict = judge(record(make_app(url, Session), faults=True))
    assert names_of_causes(verdict) == {LEFT_IN_REGISTRY}
    assert "recovers" in rules(verdict)
    recording = verdict.recording
    unclosed = {
        request.number: [use.session for use in request.uses if use.close_error]
        for request in recording.requests
    }
    assert all(unclosed[number] for number in requests_that_break_rules(verdict))
    first = {
        recording.sessions[session].born_in or 0
        for left in unclosed.values()
        for session in left
    }
    assert {fault_of(recording.requests[number]) for number in first} == {
        Fault.ROLLBACK
    }


def test_no_later_request_gets_the_unclosed_session_at_random(url: str) -> None:
    """The address of a context is its key, which a later context may have, too."""
    app = make_app(url, Session)
    with Recorder() as recorder:
        recording = record(app, faults=True, recorder=recorder)
        registry = app.extensions["sqlalchemy"].session.registry.registry
        left = [key for key in registry if type(key) is object]
        assert len(left) == len(registry) > 1
    assert "fresh" not in rules(judge(recording))


def test_a_later_request_with_the_unclosed_session_has_the_same_cause(url: str) -> None:
    """With a session for each thread, that is the next request, which closes it."""
    app = make_app(url, Session, scopefunc=threading.get_ident)
    verdict = judge(record(app, faults=True))
    assert rules(verdict) == {"recovers"}
    assert names_of_causes(verdict) == {LEFT_IN_REGISTRY}


def test_an_unclosed_session_is_reported_although_a_later_request_closes_it(
    url: str,
) -> None:
    app = make_app(url, Session, scopefunc=lambda: "a single scope")

    @app.get("/lost")
    def lost() -> str:
        connection = app.extensions["sqlalchemy"].session.connection()
        connection.connection.dbapi_connection.close()
        return "lost"

    with Recorder() as recorder:
        with pytest.raises(sa.exc.ProgrammingError):
            app.test_client().get("/lost")
        recorder.find_kept()
        assert app.test_client().get("/nowhere").status_code == 404
    verdict = judge(recorder.recording)
    assert len(verdict.violations) == 1
    assert rules(verdict) == {"recovers"}
    assert names_of_causes(verdict) == {LEFT_IN_REGISTRY}


@pytest.mark.parametrize("lost", [0, 1])
def test_one_of_two_connections_is_lost(tmp_path: Path, lost: int) -> None:
    """The other connection is returned, in whatever order SQLAlchemy closes them."""
    app = flask.Flask("ponds")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'pond.db'}"
    app.config["SQLALCHEMY_BINDS"] = {"other": f"sqlite:///{tmp_path / 'other.db'}"}
    db: t.Any = SQLAlchemy(app)
    close_fails_and_is_kept.fix(db)

    @app.get("/")
    def page() -> str:
        binds = [{"bind": engine} for engine in db.engines.values()]
        for bind in binds:
            db.session.execute(sa.text("SELECT 1"), bind_arguments=bind)
        dead = db.session.connection(bind_arguments=binds[lost])
        dead.connection.dbapi_connection.close()
        return "both"

    with Recorder() as recorder:
        for _ in range(10):
            assert app.test_client().get("/").status_code == 200
    assert judge(recorder.recording).violations == ()


@pytest.mark.parametrize(
    ("url", "memory"),
    [
        ("sqlite://", True),
        ("sqlite+pysqlite://", True),
        ("sqlite:///", True),
        ("sqlite:///:memory:", True),
        ("sqlite://?check_same_thread=False", True),
        ("sqlite:///file::memory:?uri=true", True),
        ("sqlite:///file:pond?mode=memory&uri=true", True),
        ("sqlite+pysqlite:///pond.db", False),
        ("sqlite:////tmp/pond.db?timeout=5", False),
        ("postgresql://user:***@host/memory", False),
    ],
)
def test_a_database_in_memory_is_recognised(url: str, memory: bool) -> None:
    assert in_memory(make_url(url)) == memory


class Keeps(ModelView):
    """Keeps every session: a leak that has nothing to do with faults."""

    kept: t.ClassVar[list[t.Any]] = []

    def get_list(self, *args: t.Any, **more: t.Any) -> t.Any:
        self.kept.append(flask.current_app.extensions["sqlalchemy"].session())
        return super().get_list(*args, **more)


def test_a_leak_has_its_own_cause_although_connections_are_lost(url: str) -> None:
    """Its keeper is frozen, as a server does before it forks."""
    gc.freeze()
    Keeps.kept.clear()
    verdict = judge(record(make_app(url, view=Keeps), faults=True))
    Keeps.kept.clear()
    assert names_of_causes(verdict) == {"a session kept beyond its request"}


def test_an_error_page_that_does_not_roll_back_is_found(url: str) -> None:
    app = make_app(url)

    @app.errorhandler(sa.exc.SQLAlchemyError)
    def sorry(error: Exception) -> tuple[str, int]:
        app.extensions["sqlalchemy"].session.execute(sa.text("SELECT 1"))
        return "sorry", 500

    verdict = judge(record(app, faults=True))
    assert names_of_causes(verdict) == {"a failed statement that is not rolled back"}


class Careless(ModelView):
    """Keeps the session only when an operation fails."""

    kept: t.ClassVar[list[t.Any]] = []

    def get_list(self, *args: t.Any, **more: t.Any) -> t.Any:
        try:
            return super().get_list(*args, **more)
        except sa.exc.SQLAlchemyError:
            self.kept.append(flask.current_app.extensions["sqlalchemy"].session())
            raise


def test_a_session_kept_only_after_a_fault_breaks_recovers(url: str) -> None:
    Careless.kept.clear()
    verdict = judge(record(make_app(url, view=Careless), faults=True))
    Careless.kept.clear()
    assert rules(verdict) == {"recovers"}
    found = {
        fault_of(verdict.recording.requests[number])
        for number in requests_that_break_rules(verdict)
    }
    # Without a connection it holds nothing.
    assert found == {Fault.BEFORE, Fault.AFTER, Fault.LOST}
