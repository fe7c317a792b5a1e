"""What an app writes while its pages are read is rolled back, on SQLite."""
# mypy: allow-subclassing-any

import threading
import time
import typing as t
from contextlib import suppress
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
import sqlalchemy.orm
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import record
from session_scoping import Verdict
from session_scoping.drive.dry_run import is_missing
from session_scoping.errors import CannotTell
from session_scoping.recording import Fault
from session_scoping.recording import LIST
from session_scoping.report.verdict import text
from tests.nasty import dump
from tests.nasty import EVERYWHERE
from tests.nasty import Nasty
from tests.nasty import ON_SQLITE
from tests.nasty import page_writes
from tests.nasty import prove_nothing_is_written
from tests.nasty import row
from tests.nasty import statement
from tests.nasty import Write
from tests.waiting import wait_for

# Their writes are not sent by SQLAlchemy, or not by the request's own thread.
UNSEEN = {"cursor_of_session", "on_a_thread", "when_the_answer_is_sent"}
WRITES = [*EVERYWHERE, *ON_SQLITE]


def views_that_write(verdict: Verdict) -> set[str]:
    """Return the endpoints of the views whose requests have writes."""
    recording = verdict.recording
    views = {
        recording.requests[write.request].view
        for write in recording.writes
        if write.request is not None
    }
    return {recording.views[view].endpoint for view in views if view is not None}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'nasty.db'}"


def test_reading_writes_nothing(url: str) -> None:
    verdict = prove_nothing_is_written(url, WRITES)
    assert not verdict.violations, text(verdict)
    assert views_that_write(verdict) == {write.__name__ for write in WRITES} - UNSEEN
    outside = {write.own for write in verdict.recording.writes if write.request is None}
    assert {place.function for place in outside if place} == {"row"}


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
def test_these_pages_do_write(write: Write, url: str) -> None:
    assert page_writes(url, write)


# ------------------------------------------------------------------------ what is noted


def verdict_on(url: str, *writes: Write, **how: t.Any) -> Verdict:
    nasty = Nasty(url, writes)
    try:
        return judge(record(nasty.app, **how))
    finally:
        nasty.dispose()


def write_and_read_again(nasty: Nasty) -> str:
    note = nasty.Note(text="new")
    nasty.db.session.add(note)
    nasty.db.session.commit()
    return str(note.text)


def write_and_find_nothing(nasty: Nasty) -> str:
    row(nasty)
    newest = sa.select(nasty.Note).where(nasty.Note.text == "new")
    return str(nasty.db.session.scalars(newest).one().text)


@pytest.mark.parametrize("page", [write_and_read_again, write_and_find_nothing])
def test_a_page_that_misses_its_own_row_is_noted(page: Write, url: str) -> None:
    verdict = verdict_on(url, page, faults=[Fault.BEFORE])
    assert verdict.holds, text(verdict)
    assert not verdict.failures
    assert {request.does for request in verdict.hindered} == {"page index"}
    assert "Did not work because nothing is written while pages are read" in text(
        verdict
    )


def refuse_and_go_on(nasty: Nasty) -> str:
    """A statement fails, and nothing rolls back: an app may meet that."""
    with suppress(SQLAlchemyError):
        nasty.db.session.execute(sa.text("VACUUM"))
    return str(nasty.db.session.query(nasty.Note).count())


def refuse_and_fail(nasty: Nasty) -> None:
    nasty.db.session.execute(sa.text("VACUUM"))


def test_a_refusal_is_an_error_of_the_driver(url: str) -> None:
    verdict = verdict_on(url, refuse_and_go_on, refuse_and_fail)
    assert verdict.holds, text(verdict)
    assert all(write.refused for write in verdict.recording.writes)
    errors = {request.exception.partition(": ")[0] for request in verdict.hindered}
    assert errors == {"OperationalError"}
    [first, second] = verdict.notes
    assert "refuse_and_go_on writes while pages are read" in first
    assert "`VACUUM`: refused, because a rollback would not undo it" in second


def change_without_commit(nasty: Nasty) -> None:
    nasty.db.session.get(nasty.Note, 1).text = "changed"
    nasty.db.session.flush()


def test_a_teardown_that_fails_by_a_refusal_is_not_accused(url: str) -> None:
    def vacuum_in_a_teardown(nasty: Nasty) -> None:
        flask.g.write_at_the_end = statement("VACUUM")

    verdict = judge(record(Nasty(url, [vacuum_in_a_teardown]).app))
    assert not verdict.violations, text(verdict)
    assert "`VACUUM`: refused" in verdict.notes[0]
    failed = {request.teardown_failed_at for request in verdict.hindered}
    assert {place.function for place in failed if place} == {"write"}


def test_a_write_that_the_app_does_not_commit_is_noted(url: str) -> None:
    [note] = verdict_on(url, change_without_commit).notes
    assert note.endswith("rolled back; the app itself does not commit it")


# --------------------------------------------------------------- what is left as it was


def test_a_page_with_its_own_begin_works(url: str) -> None:
    """SQLAlchemy's documentation shows this for SQLite."""
    nasty = Nasty(url, [row])

    @sa.event.listens_for(nasty.engine, "begin")
    def begin(connection: t.Any) -> None:
        connection.exec_driver_sql("BEGIN")

    before = dump(url)
    assert judge(record(nasty.app)).holds
    assert dump(url) == before
    nasty.dispose()


def test_a_session_that_is_left_open_commits_nothing_later(url: str) -> None:
    left: list[t.Any] = []

    def leave(nasty: Nasty) -> None:
        session = sa.orm.Session(nasty.engine)
        session.execute(sa.text("UPDATE note SET text = 'left'"))
        left.append(session)

    nasty = Nasty(url, [leave])
    before = dump(url)
    record(nasty.app)
    for session in left:
        session.commit()
    assert dump(url) == before
    nasty.dispose()


def test_a_thread_that_is_still_at_work_commits_nothing_later(url: str) -> None:
    """It would commit the rest of its transaction."""
    began, go_on = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []
    errors: list[Exception] = []

    def start(nasty: Nasty) -> None:
        def work() -> None:
            with nasty.app.app_context():
                nasty.db.session.execute(sa.text("UPDATE note SET text = 'first'"))
                began.set()
                wait_for(go_on)
                try:
                    nasty.db.session.execute(sa.text("UPDATE note SET text = 'then'"))
                    nasty.db.session.commit()
                except SQLAlchemyError as error:
                    errors.append(error)

        if not threads:
            threads.append(threading.Thread(target=work))
            threads[0].start()
            wait_for(began)

    nasty = Nasty(url, [start])
    before = dump(url)
    record(nasty.app)
    go_on.set()
    threads[0].join()
    assert len(errors) == 1
    assert dump(url) == before
    nasty.dispose()


def test_reading_makes_no_database(tmp_path: Path) -> None:
    path = tmp_path / "not yet.db"
    app = flask.Flask("new")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path}"
    db: t.Any = SQLAlchemy(app)

    class Note(db.Model):
        id = db.Column(db.Integer, primary_key=True)

    Admin(app).add_view(ModelView(Note, db))
    with pytest.raises(CannotTell, match="unable to open database file: does the data"):
        record(app)
    assert not path.exists()


def test_what_is_a_missing_file(tmp_path: Path) -> None:
    there = tmp_path / "a b.db"
    there.touch()
    for database in ("", ":memory:", "file::memory:?mode=memory", str(there)):
        assert not is_missing(database)
    assert not is_missing(f"file:{tmp_path}/a%20b.db?mode=ro")
    assert is_missing(f"file:{tmp_path}/b.db?mode=rwc")
    assert is_missing(str(tmp_path / "b.db"))


# ------------------------------------------------------------------- skipped endpoints


def test_a_skipped_page_is_not_opened(url: str) -> None:
    opened: list[str] = []

    def send(nasty: Nasty) -> None:
        opened.append("send")

    def show(nasty: Nasty) -> None:
        opened.append("show")

    recording = verdict_on(url, send, show, skip=["send.*", "note.export"]).recording
    assert {*opened} == {"show"}
    assert {(str(found.operation), found.why) for found in recording.unseen} == {
        ("page index", "skipped by send.*")
    }


def test_with_write_a_skipped_endpoint_is_not_posted_to(url: str) -> None:
    skip = ["note.action_view", "note.delete_view", "note.ajax_update"]
    recording = verdict_on(url, write=True, skip=skip).recording
    posted = {
        request.path.partition("?")[0]
        for request in recording.requests
        if request.method == "POST"
    }
    assert posted == {"/admin/note/new/", "/admin/note/edit/"}
    why = {str(found.operation): found.why for found in recording.unseen}
    assert why["bulk delete"] == "skipped by note.action_view"
    assert why["delete"] == "skipped by note.delete_view"
    assert "removed past the admin" in "\n".join(recording.notes)


def test_a_pattern_that_matches_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(CannotTell, match="no endpoint of nasty matches nots"):
        verdict_on(url, skip=["nots.*"])


def test_a_login_is_written(url: str) -> None:
    """The app may keep its logins in a table, and look there at each request."""

    def leave(nasty: Nasty) -> None:
        flask.session.clear()

    def stay(nasty: Nasty) -> None:
        pass

    nasty = Nasty(url, [leave, stay])

    @nasty.app.before_request
    def check() -> None:
        if nasty.db.session.get(nasty.Note, flask.session.get("login", 0)) is None:
            flask.abort(403)

    def client(app: flask.Flask) -> FlaskClient:
        with app.app_context():
            login = nasty.Note(text="login")
            nasty.db.session.add(login)
            nasty.db.session.commit()
            number = login.id
        client = app.test_client()
        with client.session_transaction() as session:
            session["login"] = number
        return client

    recording = record(nasty.app, client=client)
    nasty.dispose()
    stays = [
        request.status
        for request in recording.requests
        if request.path == "/admin/stay/"
    ]
    assert set(stays) == {200, 403}  # then the clients are new


def test_a_request_is_overtaken_after_its_last_seen_is_committed(url: str) -> None:
    nasty = Nasty(url, [])

    @nasty.app.before_request
    def see() -> None:
        nasty.db.session.get(nasty.Note, 1).text = str(time.monotonic())
        nasty.db.session.commit()

    recording = record(nasty.app)
    nasty.dispose()
    [overtaken] = {
        request.overtakes
        for request in recording.requests
        if request.overtakes is not None and request.operation == LIST
    }
    made = [request for request in recording.requests if request.overtakes == overtaken]
    statements = {request.statements for request in made}
    assert statements == {4}  # SELECT and UPDATE of the row, then those of the list
    assert len(made) == 4
    assert judge(recording).holds
