"""Each way in which a step can fail is tried, for real, and what is left is found."""
# mypy: allow-subclassing-any

import gc
import threading
import typing as t
from collections import Counter
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping.drive.faults import in_memory
from session_scoping.drive.record import record
from session_scoping.fixes.close_fails_and_is_kept import FlaskClosingSession
from session_scoping.recording import Fault
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.judge import judge
from session_scoping.watch.recorder import Recorder
from tests.apps import LEFT_IN_REGISTRY


def make_app(
    url: str, session_class: t.Any = None, view: t.Any = ModelView, **options: t.Any
) -> flask.Flask:
    app = flask.Flask("pond")
    app.secret_key = "pond"
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["PROPAGATE_EXCEPTIONS"] = False
    options["class_"] = session_class or FlaskClosingSession
    db: t.Any = SQLAlchemy(app, session_options=options)

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


def faults(recording: Recording, operation: str) -> Counter[Fault]:
    failed = (request for request in recording.requests if request.does == operation)
    return Counter(request.injected.fault for request in failed if request.injected)


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
    every = {
        request.injected.fault for request in recording.requests if request.injected
    }
    assert every == {*Fault}


def test_a_connection_is_lost_in_the_words_of_the_driver(url: str) -> None:
    recording = record(make_app(url), faults=True)
    lost = [
        request
        for request in recording.requests
        if request.injected and request.injected.fault == Fault.LOST
    ]
    assert lost
    for request in lost:
        assert "Cannot operate on a closed database" in request.exception


def test_an_in_memory_database_keeps_its_connection() -> None:
    """It would be lost with it, and with it every row."""
    recording = record(make_app("sqlite://"), write=True, faults=True)
    assert judge(recording).holds
    found = {
        request.injected.fault for request in recording.requests if request.injected
    }
    assert found == {Fault.BEFORE, Fault.AFTER, Fault.COMMIT}


def test_a_session_that_cannot_be_closed_stays_in_the_registry(url: str) -> None:
    verdict = judge(record(make_app(url, Session), faults=True))
    assert {
        violation.cause.name for violation in verdict.violations if violation.cause
    } == {LEFT_IN_REGISTRY}
    assert "recovers" in {violation.rule for violation in verdict.violations}
    recording = verdict.recording
    unclosed = {
        request.number: [use.session for use in request.uses if use.close_error]
        for request in recording.requests
    }
    assert all(unclosed[number] for number in broken_in(verdict))
    first = {
        recording.sessions[session].born_in or 0
        for left in unclosed.values()
        for session in left
    }
    assert {fault_of(recording.requests[number]) for number in first} == {
        Fault.ROLLBACK
    }


def test_a_later_request_that_gets_it_has_the_same_cause(url: str) -> None:
    """With a session for each thread it is the next request, which then closes it."""
    app = make_app(url, Session, scopefunc=threading.get_ident)
    verdict = judge(record(app, faults=True))
    assert {
        (violation.rule, violation.cause and violation.cause.name)
        for violation in verdict.violations
    } == {("fresh", LEFT_IN_REGISTRY)}


def test_the_request_that_left_it_is_reported_when_it_is_closed_later(url: str) -> None:
    """By a request in the same scope, after it was found that something keeps it."""
    app = make_app(url, Session, scopefunc=lambda: "the one scope")

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
    [one] = judge(recorder.recording).violations
    assert one.rule == "released"
    assert one.cause is not None
    assert one.cause.name == LEFT_IN_REGISTRY


@pytest.mark.parametrize("lost", [0, 1])
def test_one_of_two_connections_is_lost(tmp_path: Path, lost: int) -> None:
    """The session is closed, and the other connection is back in its pool: SQLAlchemy
    goes through them in the order of a set, which another time is another one."""
    app = flask.Flask("ponds")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'pond.db'}"
    app.config["SQLALCHEMY_BINDS"] = {"other": f"sqlite:///{tmp_path / 'other.db'}"}
    db: t.Any = SQLAlchemy(app, session_options={"class_": FlaskClosingSession})

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
        ("sqlite:///:memory:", True),
        ("sqlite://?check_same_thread=False", True),
        ("sqlite:///file::memory:?uri=true", True),
        ("sqlite:///file:pond?mode=memory&uri=true", True),
        ("sqlite+pysqlite:///pond.db", False),
        ("sqlite:////tmp/pond.db?timeout=5", False),
        ("postgresql://user:***@host/memory", False),
    ],
)
def test_a_database_in_memory_is_known(url: str, memory: bool) -> None:
    assert in_memory(url) == memory


class Keeps(ModelView):
    """Keeps every session: a leak that has nothing to do with what fails."""

    kept: t.ClassVar[list[t.Any]] = []

    def get_list(self, *args: t.Any, **more: t.Any) -> t.Any:
        self.kept.append(flask.current_app.extensions["sqlalchemy"].session())
        return super().get_list(*args, **more)


def test_a_leak_keeps_its_own_name_when_connections_are_lost(url: str) -> None:
    """Also where a server has frozen what keeps them, before it forks."""
    gc.freeze()
    Keeps.kept.clear()
    verdict = judge(record(make_app(url, view=Keeps), faults=True))
    Keeps.kept.clear()
    causes = {
        violation.cause.name for violation in verdict.violations if violation.cause
    }
    assert causes == {"a session kept beyond its request"}


def test_an_error_page_that_does_not_roll_back_is_found(url: str) -> None:
    app = make_app(url)

    @app.errorhandler(sa.exc.SQLAlchemyError)
    def sorry(error: Exception) -> tuple[str, int]:
        app.extensions["sqlalchemy"].session.execute(sa.text("SELECT 1"))
        return "sorry", 500

    verdict = judge(record(app, faults=True))
    causes = {
        violation.cause.name for violation in verdict.violations if violation.cause
    }
    assert causes == {"a failed statement that is not rolled back"}


def broken_in(verdict: t.Any) -> set[int]:
    return {number for violation in verdict.violations for number in violation.requests}


class Careless(ModelView):
    """Keeps the session when something goes wrong, and only then."""

    kept: t.ClassVar[list[t.Any]] = []

    def get_list(self, *args: t.Any, **more: t.Any) -> t.Any:
        try:
            return super().get_list(*args, **more)
        except sa.exc.SQLAlchemyError:
            self.kept.append(flask.current_app.extensions["sqlalchemy"].session())
            raise


def test_a_session_kept_after_a_fault_is_found(url: str) -> None:
    Careless.kept.clear()
    verdict = judge(record(make_app(url, view=Careless), faults=True))
    Careless.kept.clear()
    assert {violation.rule for violation in verdict.violations} == {"recovers"}
    found = {
        fault_of(verdict.recording.requests[number]) for number in broken_in(verdict)
    }
    # Without a connection it holds nothing.
    assert found == {Fault.BEFORE, Fault.AFTER, Fault.LOST}
