"""An example that holds runs each fix that a report prints.

Most examples are in ``tests/apps``. Here are those that no drive of an app reaches.
"""

import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import pytest
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from werkzeug.test import create_environ

from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import Recorder
from session_scoping import Verdict
from session_scoping.fixes import close_fails_and_is_kept
from session_scoping.fixes import code
from session_scoping.fixes import ended_elsewhere
from session_scoping.fixes import mass_delete_not_rolled_back
from session_scoping.fixes import not_rolled_back
from session_scoping.fixes import outer_context
from session_scoping.report.verdict import text
from session_scoping.rules.causes import CAUSES
from tests.apps import APPS
from tests.apps import CONTEXT
from tests.apps import LEFT_IN_REGISTRY
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import of_users
from tests.apps.blog import User
from tests.printed import all_lines_run
from tests.printed import FIXES

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
]
ENDED_ELSEWHERE = "a stream that was ended on another thread than it began on"
MASS_DELETE = "Flask-Admin: a mass delete is not rolled back when its commit fails"
NOT_ROLLED_BACK = "a failed statement that is not rolled back"


class FastView(ModelView):
    fast_mass_delete = True


def lost_connection(fixed: bool) -> Verdict:
    """Lose the connection of a request."""
    app = flask.Flask("lost")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    closing = close_fails_and_is_kept.FlaskClosingSession
    options = {"class_": closing if fixed else Session}
    lost: t.Any = SQLAlchemy(app, session_options=options)

    @app.get("/")
    def page() -> str:
        lost.session.execute(sa.text("SELECT 1"))
        lost.session.connection().connection.dbapi_connection.close()
        return "lost"

    with Recorder() as recorder:
        try:
            app.test_client().get("/")
        except sa.exc.ProgrammingError:
            assert not fixed
    return judge(recorder.recording)


def stream(fixed: bool) -> Verdict:
    """Iterate over a stream on a thread, and close it on another thread."""
    app = blog(of_users(ModelView))()
    if fixed:
        ended_elsewhere.fix(app, db, User)
    else:

        @app.get("/users")
        def users() -> flask.Response:
            names = (user.name for user in db.session.query(User))
            return flask.Response(flask.stream_with_context(names))

    def start(path: str) -> t.Any:
        body = app(create_environ(path), lambda *_: lambda _: None)
        next(iter(body))
        return body

    with Recorder() as recorder, ThreadPoolExecutor(1) as worker:
        body = worker.submit(start, "/users").result()
        try:
            body.close()
        except (LookupError, ValueError):
            assert not fixed
        for _ in range(2):
            worker.submit(lambda: start("/admin/user/").close()).result()
    return judge(recorder.recording)


def client_in_context(fixed: bool) -> Verdict:
    """Make requests inside an app context, as a test does."""
    app = blog(of_users(ModelView))()
    client = app.test_client()
    with Recorder() as recorder:
        if fixed:
            outer_context.fix(app, client, db, User)
        else:
            with app.app_context():
                client.get("/admin/user/")
                client.get("/admin/user/")
    return judge(recorder.recording)


def error_page(fixed: bool) -> Verdict:
    """Read in an error page, after a flush has failed."""
    app = blog(of_users(ModelView))()
    if fixed:
        not_rolled_back.fix(app, db, User)
    else:

        @app.errorhandler(sa.exc.SQLAlchemyError)
        def sorry(error: Exception) -> tuple[str, int]:
            return f"Sorry, all {db.session.query(User).count()} of you.", 500

    @app.get("/nameless")
    def nameless() -> str:
        db.session.add(User())
        db.session.flush()
        return "saved"

    with Recorder() as recorder:
        assert app.test_client().get("/nameless").status_code == 500
    return judge(recorder.recording)


def mass_delete(fixed: bool) -> Verdict:
    """Let the commit of Flask-Admin's delete action fail, and make another request."""
    view = mass_delete_not_rolled_back.fix(db, FastView) if fixed else FastView
    app = blog(of_users(view))()
    with app.app_context():
        engine = db.engine

    @sa.event.listens_for(engine, "commit")
    def refuse(connection: sa.engine.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("refused"))

    client = app.test_client()
    with Recorder() as recorder:
        client.post("/admin/user/action/", data={"action": "delete", "rowid": "1"})
        client.get("/admin/user/")
    return judge(recorder.recording)


# By the file of the fix: the cause, and a function that drives the broken or fixed app.
EXAMPLES: dict[str, tuple[str, t.Callable[[bool], Verdict]]] = {
    "close_fails_and_is_kept": (LEFT_IN_REGISTRY, lost_connection),
    "ended_elsewhere": (ENDED_ELSEWHERE, stream),
    "outer_context": (CONTEXT, client_in_context),
    "not_rolled_back": (NOT_ROLLED_BACK, error_page),
    "mass_delete_not_rolled_back": (MASS_DELETE, mass_delete),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_broken_example_has_its_cause(name: str) -> None:
    cause, drive = EXAMPLES[name]
    verdict = drive(False)
    found = {
        violation.cause.name for violation in verdict.violations if violation.cause
    }
    assert found == {cause}, text(verdict)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_fixed_example_holds(name: str) -> None:
    _, drive = EXAMPLES[name]
    with all_lines_run(name):
        verdict = drive(True)
    assert verdict.violations == (), text(verdict)
    assert verdict.recording.requests


def test_every_cause_has_an_example() -> None:
    known = {cause.name for cause in CAUSES} - {"Flask-Admin itself"}  # test_survey
    here = {cause for cause, _ in EXAMPLES.values()}
    assert known == {example.cause for example in APPS} - {""} | here


def test_every_fix_is_run_by_an_example() -> None:
    assert {example.fix for example in APPS} - {""} | {*EXAMPLES} == {*FIXES}


def test_printed_code_is_that_of_a_fix() -> None:
    no_code = {
        'pip install "flask-admin>=2.2.1"',
        "Delete the call: the session is removed when the request is over.",
        "# report it to Flask-Admin, with what this prints about its own code:\n"
        "session-scoping upgrade flask-admin==2.2.1 flask-admin==THIS_RELEASE",
    }
    printed = {cause.fix for cause in CAUSES}
    assert printed == {code(name) for name in FIXES} | no_code
