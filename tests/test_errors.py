"""Errors of a session that are evidence by themselves, also where they are caught."""
# mypy: allow-subclassing-any

import logging
import threading
import typing as t
from contextlib import suppress

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker
from sqlalchemy.orm.exc import DetachedInstanceError

from session_scoping import judge
from session_scoping import Recorder
from session_scoping import Verdict
from session_scoping.drive.record import silence
from session_scoping.watch.errors import Errors
from session_scoping.watch.tape import Tape
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import HANDLE
from tests.apps.blog import Post
from tests.apps.blog import User
from tests.endings import RefusingView

HERE = "test_errors.py"
Seen = list[tuple[str, str, str]]  # rule, what was seen, line


def visit(app: flask.Flask, *paths: str) -> Verdict:
    with Recorder() as recorder:
        for path in paths:
            with suppress(Exception):
                app.test_client().get(path)
    return judge(recorder.recording)


def seen(verdict: Verdict) -> Seen:
    return [
        (violation.rule, violation.what.split(": ")[0], named(violation.own))
        for violation in verdict.violations
    ]


def named(place: t.Any) -> str:
    return place.function if place else ""


class FlushingView(RefusingView):
    """A view whose hook flushes a row that is not complete, and catches the error."""

    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        with suppress(sa.exc.SQLAlchemyError):
            db.session.flush()


def test_a_flush_that_fails_and_is_caught_is_named() -> None:
    app = blog(lambda admin: admin.add_view(FlushingView(User, HANDLE)))()
    with Recorder() as recorder, silence():
        app.test_client().post("/admin/user/new/", data={"visits": "1"})
    [violation] = judge(recorder.recording).violations
    assert violation.rule == "recovers"
    assert violation.cause
    assert violation.cause.name == "a failed statement that is not rolled back"
    assert violation.line
    assert violation.line.function == "on_model_change"


def detached(route: t.Callable[[Post], object]) -> flask.Flask:
    """Make an app with a page for a row whose session is gone."""
    app = blog(lambda admin: None)()
    with app.app_context():
        post = db.session.get(Post, 1)

    @app.get("/page")
    def page() -> str:
        db.session.query(User).count()
        return str(route(post))

    return app


def flashes(post: Post) -> str:
    try:
        return str(post.user)
    except DetachedInstanceError as error:
        flask.flash(str(error))
        return ""


def logs(post: Post) -> str:
    try:
        return str(post.user)
    except DetachedInstanceError as error:
        logging.getLogger(HERE).info("no user: %s", error)
        return ""


def logs_itself(post: Post) -> None:
    with suppress(DetachedInstanceError):
        try:
            str(post.user)
        except DetachedInstanceError:
            logging.getLogger(HERE).exception("no user")
            raise


def logs_its_text(post: Post) -> None:
    try:
        str(post.user)
    except DetachedInstanceError as error:
        logging.getLogger(HERE).error(f"no user: {error}")


@pytest.mark.parametrize(
    ("route", "line"),
    [
        (lambda post: post.user, "<lambda>"),
        (flashes, ""),
        (logs, ""),
        (logs_itself, ""),
        (logs_its_text, ""),
    ],
    ids=["an exception", "a message", "a log", "its traceback", "its text"],
)
def test_a_row_of_no_session_is_evidence(
    route: t.Callable[[Post], object], line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, HERE)
    verdict = visit(detached(route), "/page")
    assert ("alive", "a row of no session is used", line) in seen(verdict)


def on_a_thread(work: t.Callable[[], object]) -> None:
    worker = threading.Thread(target=work, name="worker")
    worker.start()
    worker.join()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("use", [lambda post: post.user, logs_itself])
def test_a_row_of_no_session_is_evidence_on_a_thread(
    use: t.Callable[[Post], object],
) -> None:
    app = detached(lambda post: on_a_thread(lambda: use(post)))
    verdict = visit(app, "/page")
    [row] = verdict.recording.detached_rows
    assert (row.thread, row.request) == ("worker", 0)
    found = "a row of no session is used on thread worker"
    line = named(row.place)
    assert line in {"<lambda>", "logs_itself"}
    assert ("alive", found, line) in seen(verdict)


def test_what_the_main_thread_logs_outside_of_requests_is_no_evidence() -> None:
    app = detached(str)
    with app.app_context():
        post = db.session.get(Post, 1)
    with Recorder() as recorder:
        logs_itself(post)
    assert recorder.recording.detached_rows == []


class Unreadable:
    def __str__(self) -> str:
        raise AssertionError("it is formatted")


@pytest.mark.parametrize(
    ("name", "found"), [("sqlalchemy.pool", 0), ("sqlalchemy_shop", 1)]
)
def test_what_sqlalchemy_logs_is_no_evidence(name: str, found: int) -> None:
    app = flask.Flask("logs")
    error = DetachedInstanceError("<Post> is not bound to a Session")

    @app.get("/")
    def page() -> str:
        record = logging.getLogRecordFactory()
        for argument in (error, Unreadable()):
            record(name, logging.INFO, "", 1, "%s", (argument,), None)
        record(name, logging.INFO, "", 1, Unreadable(), {"a": 1}, None)
        return ""

    with Recorder() as recorder:
        app.test_client().get("/")
    [request] = recorder.recording.requests
    assert len(request.said) == found


def test_the_hooks_are_restored() -> None:
    before = logging.getLogRecordFactory(), threading.excepthook
    errors = Errors(Tape())
    errors.start()
    assert logging.getLogRecordFactory() != before[0]
    assert threading.excepthook != before[1]
    errors.stop()
    assert (logging.getLogRecordFactory(), threading.excepthook) == before


def test_hooks_that_other_code_has_replaced_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    makes_record, thread_ends = logging.getLogRecordFactory(), threading.excepthook
    ends = t.cast(t.Any, lambda arguments: None)
    errors = Errors(Tape())
    errors.start()
    logging.setLogRecordFactory(logging.LogRecord)
    monkeypatch.setattr(threading, "excepthook", ends)
    errors.stop()
    assert logging.getLogRecordFactory() is logging.LogRecord
    assert threading.excepthook is ends
    logging.setLogRecordFactory(makes_record)
    threading.excepthook = thread_ends


def test_a_session_that_another_thread_has_used_is_named() -> None:
    """SQLite refuses the connection of another thread."""
    engine = sa.create_engine("sqlite://", connect_args={"check_same_thread": True})
    session = scoped_session(sessionmaker(engine), scopefunc=lambda: 1)
    app = flask.Flask("threads")
    app.get("/")(lambda: str(session.execute(sa.text("SELECT 1")).scalar()))
    with Recorder() as recorder:
        client = app.test_client()
        client.get("/")
        on_a_thread(lambda: client.get("/"))
    session.remove()
    found = judge(recorder.recording).violations
    [violation] = [each for each in found if "another thread" in each.what]
    assert violation.rule == "fresh"
    assert "can only be used in that same thread." in violation.what
    assert violation.cause
    assert violation.cause.name == "a `scoped_session` that is never removed"
