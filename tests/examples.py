"""The examples that no drive of an app reaches, and a command that runs any example.

``python -m tests.examples kept-session`` runs the example of a cause, broken and fixed.
"""

import argparse
import typing as t
from concurrent.futures import ThreadPoolExecutor

import flask
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from werkzeug.test import create_environ

from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import Recorder
from session_scoping import Verdict
from session_scoping.drive.record import silence
from session_scoping.fixes import close_fails_and_is_kept
from session_scoping.fixes import ended_elsewhere
from session_scoping.fixes import mass_delete_not_rolled_back
from session_scoping.fixes import not_rolled_back
from session_scoping.fixes import outer_context
from session_scoping.report.verdict import text
from session_scoping.rules.causes import CAUSES
from tests import endings
from tests.apps import APPS
from tests.apps import Example
from tests.apps import verdict_on
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import of_users
from tests.apps.blog import User


# begin mass-delete
# Rows are selected in the list and deleted, and the commit fails, as a deferred
# foreign key may make it fail.
class FastView(ModelView):
    fast_mass_delete = True


# end


def lost_connection(fixed: bool) -> Verdict:
    """Lose the connection of a request."""
    app = flask.Flask("lost")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    database: t.Any = SQLAlchemy(app)
    if fixed:
        close_fails_and_is_kept.fix(database)

    # begin lost-connection
    # The connection closes in the middle of a request, as when it is killed.
    @app.get("/")
    def page() -> str:
        database.session.execute(sa.text("SELECT 1"))
        database.session.connection().connection.dbapi_connection.close()
        return "lost"

    # end

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
        # begin ended-elsewhere
        # A server may close this stream on another thread.
        @app.get("/users")
        def users() -> flask.Response:
            names = (user.name for user in db.session.query(User))
            return flask.Response(flask.stream_with_context(names))

        # end

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
            # begin outer-context
            # A test makes its requests inside an app context.
            with app.app_context():
                client.get("/admin/user/")
                client.get("/admin/user/")
            # end
    return judge(recorder.recording)


def error_page(fixed: bool) -> Verdict:
    """Read in an error page, after a flush has failed."""
    app = blog(of_users(ModelView))()
    if fixed:
        not_rolled_back.fix(app, db, User)
    else:
        # begin not-rolled-back
        # The session has failed when this reads from it.
        @app.errorhandler(sa.exc.SQLAlchemyError)
        def sorry(error: Exception) -> tuple[str, int]:
            return f"Sorry, all {db.session.query(User).count()} of you.", 500

        # end

    @app.get("/nameless")
    def nameless() -> str:
        db.session.add(User())
        db.session.flush()
        return "saved"

    with Recorder() as recorder, silence():
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
    with Recorder() as recorder, silence():
        client.post("/admin/user/action/", data={"action": "delete", "rowid": "1"})
        client.get("/admin/user/")
    return judge(recorder.recording)


class Driven(t.NamedTuple):
    """A function that drives the broken or the fixed app, and what it shows."""

    page: str  # of the cause
    rule: str  # the main rule that it breaks
    fix: str  # its file
    drive: t.Callable[[bool], Verdict]


EXAMPLES = (
    Driven("lost-connection", "recovers", "close_fails_and_is_kept", lost_connection),
    Driven(
        "lost-scoped-connection",
        "recovers",
        "closing_session",
        endings.lost_scoped_connection,
    ),
    Driven("ended-elsewhere", "fresh", "ended_elsewhere", stream),
    Driven("outer-context", "fresh", "outer_context", client_in_context),
    Driven("not-rolled-back", "recovers", "not_rolled_back", error_page),
    Driven("mass-delete", "recovers", "mass_delete_not_rolled_back", mass_delete),
    Driven("streamed-rows", "alive", "own_stream", endings.lazy_stream),
    Driven("session-in-stream", "released", "stream_session", endings.abandoned_stream),
    Driven("failed-commit", "recovers", "failed_commit", endings.refused_commit),
    Driven("raising-teardown", "released", "teardown_raises", endings.failing_teardown),
    Driven("committing-teardown", "isolated", "commits", endings.failing_commit),
    Driven("closed-without-error", "recovers", "never_closed", endings.skipped_close),
    Driven("looping-thread", "released", "loop", endings.looping_thread),
    Driven("context-in-thread", "released", "thread", endings.pushed_on_a_thread),
    Driven(
        "scoped-session-in-thread",
        "released",
        "outside_request",
        endings.scoped_on_a_thread,
    ),
    Driven(
        "outside-request",
        "fresh",
        "outside_request",
        endings.scoped_before_a_request,
    ),
    Driven("mapper-event", "released", "mapper_event", endings.writing_event),
    Driven(
        "read-while-saving",
        "recovers",
        "read_while_saving",
        endings.message_of_a_failure,
    ),
    Driven("autoflush", "recovers", "autoflush", endings.caught_autoflush),
)

CAUSE = {cause.page: cause for cause in CAUSES}


def shown(page: str) -> Driven | Example:
    """Return the broken example that the page of a cause shows.

    That is an app in the file that has the lines for the page. An ``Example`` is
    followed by the same app fixed.
    """
    for driven in EXAMPLES:
        if driven.page == page:
            return driven
    return next(
        example
        for example in APPS
        if example.cause == CAUSE[page].name and f"# begin {page}\n" in source(example)
    )


def source(example: Example) -> str:
    """Return the text of the file of an app."""
    return example.file.read_text(encoding="utf-8")


def run(page: str) -> None:
    """Print what the check says about the example of a cause, broken and fixed."""
    example = shown(page)
    if isinstance(example, Driven):
        broken, fixed = example.drive(False), example.drive(True)
    else:
        pair = APPS[APPS.index(example) :][:2]
        broken, fixed = map(verdict_on, pair)
    print(f"Broken:\n{text(broken)}\n\nFixed:\n{text(fixed)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.examples")
    parser.add_argument("cause", choices=CAUSE, metavar="CAUSE")
    run(parser.parse_args().cause)
