"""Apps that end a request, a stream or a thread wrongly, and the same apps fixed.

No drive of an admin reaches them. Each function makes the broken or the fixed app,
makes requests, and returns the verdict.
"""
# mypy: allow-subclassing-any

import threading
import typing as t
from contextlib import contextmanager
from contextlib import suppress
from queue import Queue

import flask
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import Recorder
from session_scoping import Verdict
from session_scoping.drive.record import silence
from session_scoping.fixes import autoflush
from session_scoping.fixes import closing_session
from session_scoping.fixes import commits
from session_scoping.fixes import failed_commit
from session_scoping.fixes import loop
from session_scoping.fixes import mapper_event
from session_scoping.fixes import never_closed
from session_scoping.fixes import outside_request
from session_scoping.fixes import own_stream
from session_scoping.fixes import read_while_saving
from session_scoping.fixes import stream_session
from session_scoping.fixes import teardown_raises
from session_scoping.fixes import thread
from tests.apps.blog import blog
from tests.apps.blog import db
from tests.apps.blog import HANDLE
from tests.apps.blog import of_users
from tests.apps.blog import Post
from tests.apps.blog import User
from tests.apps.engines import connect
from tests.apps.scopes import add_users
from tests.apps.scopes import app_with
from tests.apps.scopes import scoped
from tests.apps.scopes import User as ScopedUser


def make_blog(view: t.Any = ModelView) -> flask.Flask:
    return blog(of_users(view))()


def verdict_on(drive: t.Callable[[], object]) -> Verdict:
    """Return the verdict on what a function does, which may fail."""
    with Recorder() as recorder, silence():
        drive()
    return judge(recorder.recording)


def get(app: flask.Flask, *paths: str) -> None:
    """Request pages, and read them. A page may fail, or break off."""
    for path in paths:
        with suppress(Exception):
            app.test_client().get(path).get_data()


def on_a_thread(work: t.Callable[[], object]) -> None:
    worker = threading.Thread(target=work)
    worker.start()
    worker.join()


# --------------------------------------------------------------------------- streams


def lazy_stream(fixed: bool) -> Verdict:
    """Stream rows, whose columns are loaded when the response is sent."""
    app = make_blog()
    if fixed:
        own_stream.fix(app, db, User)
    else:
        # begin streamed-rows
        @app.get("/users")
        def users() -> flask.Response:
            found = db.session.query(User).all()
            db.session.commit()  # the rows are loaded again when they are used
            return flask.Response(f"{user.name}\n" for user in found)

        # end

    return verdict_on(lambda: get(app, "/users"))


def abandoned_stream(fixed: bool) -> Verdict:
    """Leave a stream that has a session of its own before its end."""
    app = make_blog()
    with app.app_context():
        engine = db.engine
    if fixed:
        stream_session.fix(app, engine, User)
    else:
        # begin session-in-stream
        def names() -> t.Iterator[str]:
            session = Session(engine)
            yield from map(str, session.query(User))
            session.close()  # is not reached if the client leaves

        app.add_url_rule("/users", view_func=lambda: flask.Response(names()))
        # end

    def leave() -> None:
        response = app.test_client().get("/users")
        assert next(iter(response.response))
        response.close()

    return verdict_on(leave)


# ------------------------------------------------------------------------- teardowns


def failing_teardown(fixed: bool) -> Verdict:
    """Let a teardown raise, so that the teardown that removes is not reached."""
    app = make_blog()

    # begin raising-teardown
    def flush_log() -> None:
        raise OSError("the disk is full")

    # end

    if fixed:
        teardown_raises.fix(app, flush_log)
    else:
        # begin raising-teardown
        app.teardown_appcontext(lambda error: flush_log())
        # end
    return verdict_on(lambda: get(app, "/admin/user/"))


def failing_commit(fixed: bool) -> Verdict:
    """Commit in a teardown what the database refuses."""
    app = make_blog()
    if fixed:
        commits.fix(app, db.session)
    else:
        # begin committing-teardown
        # This saves what a view has changed and given up.
        app.teardown_appcontext(lambda error: db.session.commit())
        # end

    @app.get("/nameless")
    def nameless() -> str:
        db.session.add(User())
        return "added"

    return verdict_on(lambda: get(app, "/nameless"))


def refused_commit(fixed: bool) -> Verdict:
    """Commit what the database refuses only then: a row of nobody."""
    app = flask.Flask("refused")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    book: t.Any = SQLAlchemy(app)

    class Author(book.Model):
        id = book.Column(book.Integer, primary_key=True)

    class Entry(book.Model):
        id = book.Column(book.Integer, primary_key=True)
        by = book.ForeignKey(Author.id, deferrable=True, initially="DEFERRED")
        author_id = book.Column(by)

    with app.app_context():
        listen = sa.event.listens_for(book.engine, "connect")
        listen(lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        book.create_all()

    @app.get("/new")
    def new() -> str:
        book.session.add(Entry(author_id=99))
        if fixed:
            failed_commit.fix(book)
        else:
            # begin failed-commit
            # The database refuses this, as the author of the entry does not exist.
            book.session.commit()
            # end
        return "added"

    def drive() -> None:
        assert app.test_client().get("/new").status_code == 500

    return verdict_on(drive)


def skipped_close(fixed: bool) -> Verdict:
    """Close the session in a function that is skipped when the view raises."""
    app = make_blog()
    app.testing = True  # Flask passes the exception on
    with app.app_context():
        make_session = sessionmaker(db.engine)

    @app.before_request
    def open_session() -> None:
        flask.g.session = make_session()

    @app.get("/users/<int:number>")
    def name(number: int) -> str:
        return str(flask.g.session.get(User, number).name)

    if fixed:
        never_closed.fix(app)
    else:
        # begin closed-without-error
        # This is skipped when the view raises.
        @app.after_request
        def close_session(response: flask.Response) -> flask.Response:
            flask.g.session.close()
            return response

        # end

    return verdict_on(lambda: get(app, "/users/1", "/users/99"))


def lost_scoped_connection(fixed: bool) -> Verdict:
    """Lose the connection of a plain ``scoped_session``."""
    engine = connect()
    session = closing_session.fix(engine) if fixed else scoped(engine)
    app = flask.Flask("lost")
    app.teardown_appcontext(lambda error: session.remove())

    # begin lost-scoped-connection
    # The connection closes in the middle of a request, as when it is killed.
    @app.get("/")
    def page() -> str:
        session.execute(sa.text("SELECT 1"))
        session.connection().connection.dbapi_connection.close()
        return "lost"

    # end

    return verdict_on(lambda: get(app, "/"))


# --------------------------------------------------------------------------- threads


class Turns(threading.Event):
    """Lets a loop go on, a turn at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Queue[bool] = Queue()
        self.waiting: Queue[None] = Queue()

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting.put(None)
        return self.answers.get()

    @contextmanager
    def of(self, work: t.Callable[[], None]) -> t.Iterator[t.Callable[[], None]]:
        """Run a loop on a thread. Gives a function that lets it do a turn."""
        worker = threading.Thread(target=work)
        worker.start()
        self.waiting.get()

        def turn() -> None:
            self.answers.put(False)
            self.waiting.get()

        yield turn
        self.answers.put(True)
        worker.join()


def looping_thread(fixed: bool) -> Verdict:
    """Let a thread read in each turn of a loop."""
    app, turns, counts = make_blog(), Turns(), list[int]()

    # begin looping-thread
    # This runs on a thread. The app context is around the loop.
    def count_users() -> None:
        with app.app_context():
            while not turns.wait(60):
                counts.append(db.session.query(User).count())

    # end

    work = loop.fix(app, db, User, counts, turns) if fixed else count_users
    with turns.of(work) as turn:

        def drive() -> None:
            turn()
            get(app, "/admin/user/")
            turn()

        verdict = verdict_on(drive)
    assert counts == [6, 6]
    return verdict


def pushed_on_a_thread(fixed: bool) -> Verdict:
    """Push an app context on a thread."""
    app, counts = make_blog(), list[int]()

    # begin context-in-thread
    # This runs on a thread. Nothing ends the app context.
    def count_users() -> None:
        app.app_context().push()
        counts.append(db.session.query(User).count())

    # end

    work = thread.fix(app, db, User, counts) if fixed else count_users
    return verdict_on(lambda: on_a_thread(work))


def users_of_scopes() -> tuple[flask.Flask, t.Any]:
    """Make an app with a ``scoped_session`` that is removed after each request."""
    sessions = []

    def build(app: flask.Flask, admin: t.Any, engine: sa.engine.Engine) -> None:
        session = add_users(admin, scoped(engine))
        app.teardown_appcontext(lambda error: session.remove())
        sessions.append(session)

    return app_with(build)(), sessions[0]


def scoped_on_a_thread(fixed: bool) -> Verdict:
    """Use a ``scoped_session`` on a thread."""
    app, session = users_of_scopes()

    # begin scoped-session-in-thread
    # This runs on a thread.
    def name_of(key: int) -> str:
        return str(session.get(ScopedUser, key).name)

    # end

    name = outside_request.fix(session, ScopedUser) if fixed else name_of

    def drive() -> None:
        get(app, "/admin/user/")
        on_a_thread(lambda: name(1))

    return verdict_on(drive)


def scoped_before_a_request(fixed: bool) -> Verdict:
    """Use a ``scoped_session`` before Flask gets the request."""
    app, session = users_of_scopes()

    # begin outside-request
    # This runs before Flask gets the request, as in a WSGI middleware.
    def name_of(key: int) -> str:
        return str(session.get(ScopedUser, key).name)

    # end

    name = outside_request.fix(session, ScopedUser) if fixed else name_of

    def drive() -> None:
        name(1)
        get(app, "/admin/user/", "/admin/user/")

    return verdict_on(drive)


# ---------------------------------------------------------------------------- events


def writing_event(fixed: bool) -> Verdict:
    """Write another row while a row is flushed."""
    Base: t.Any = declarative_base()

    class Author(Base):
        __tablename__ = "author"
        id = Column(Integer, primary_key=True)
        name = Column(String(40))

    class Entry(Base):
        __tablename__ = "entry"
        id = Column(Integer, primary_key=True)
        title = Column(String(40))

    # begin mapper-event
    # This listens to after_insert, so that it runs inside a flush.
    def add_entry(mapper: object, connection: t.Any, author: t.Any) -> None:
        session = Session(connection)
        session.add(Entry(title=f"I am {author.name}"))
        session.flush()

    # end

    if fixed:
        mapper_event.fix(Author, Entry)
    else:
        sa.event.listen(Author, "after_insert", add_entry)
    engine = connect()
    Base.metadata.create_all(engine)
    session = scoped(engine)
    app = flask.Flask("authors")
    app.teardown_appcontext(lambda error: session.remove())

    @app.get("/new")
    def new() -> str:
        session.add(Author(name="Gil"))
        session.commit()
        assert session.query(Entry).count() == 1
        return "added"

    def drive() -> None:
        assert app.test_client().get("/new").status_code == 200

    return verdict_on(drive)


class RefusingView(ModelView):
    """A view whose form leaves out what the database needs."""

    form_columns = ("visits",)


# begin autoflush
class CatchingView(RefusingView):
    """A view with a hook that queries before its row is complete."""

    def on_model_change(self, form: t.Any, model: t.Any, is_created: bool) -> None:
        with suppress(Exception):
            model.name = f"The author of {db.session.query(Post).first().title}"


# end


def caught_autoflush(fixed: bool) -> Verdict:
    """Save a row whose name a hook takes from another row."""
    view = autoflush.fix(db, RefusingView, Post) if fixed else CatchingView
    app = blog(lambda admin: admin.add_view(view(User, HANDLE)))()

    def drive() -> None:
        answer = app.test_client().post("/admin/user/new/", data={"visits": "1"})
        assert answer.status_code == (302 if fixed else 200)  # saved, or shown again

    return verdict_on(drive)


def message_of_a_failure(fixed: bool) -> Verdict:
    """Read from the session whenever Flask-Admin shows a message."""
    view = read_while_saving.fix(db, RefusingView) if fixed else RefusingView
    app = blog(lambda admin: admin.add_view(view(User, HANDLE)))()

    # begin read-while-saving
    # Flask-Admin shows this message before it rolls back.
    @flask.message_flashed.connect_via(app)
    def count_users(app: flask.Flask, **_: object) -> None:
        db.session.query(User).count()

    # end
    return verdict_on(
        lambda: app.test_client().post("/admin/user/new/", data={"visits": "1"})
    )
