"""The app of the bookshop, and what each of its operations has to do."""

import sqlite3
import tempfile
import typing as t
import warnings
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import flask
import sqlalchemy as sa
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import event
from sqlalchemy import orm

from flask_admin import Admin
from session_scoping.bookshop.changes import Changes
from session_scoping.bookshop.handles import MAKE
from session_scoping.bookshop.handles import session_of
from session_scoping.bookshop.models import ARCHIVE
from session_scoping.bookshop.models import Archive
from session_scoping.bookshop.models import Base
from session_scoping.bookshop.models import Critic
from session_scoping.bookshop.models import KEEP
from session_scoping.bookshop.models import loans
from session_scoping.bookshop.models import Person
from session_scoping.bookshop.models import rows
from session_scoping.bookshop.operations import rare_reads
from session_scoping.bookshop.operations import refusals
from session_scoping.bookshop.shows import ADDED
from session_scoping.bookshop.shows import expected
from session_scoping.bookshop.shows import wrong_page
from session_scoping.bookshop.views import CriticView
from session_scoping.bookshop.views import VIEWS
from session_scoping.bookshop.visits import Visits
from session_scoping.drive.driven import Driven
from session_scoping.drive.operations import Task
from session_scoping.drive.record import Progress
from session_scoping.drive.record import quiet
from session_scoping.drive.record import record
from session_scoping.recording import Fault
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.watch.recorder import Recorder
from session_scoping.watch.running import DRIVE

WAYS = (Fault.BEFORE, Fault.COMMIT)  # the kinds of faults that are injected
CHANGES = (  # the operations that change rows
    Operation(OperationKind.CREATE),
    Operation(OperationKind.EDIT, variant="changed"),
    Operation(OperationKind.BULK, "delete"),
    Operation(OperationKind.DELETE),
)
UNCOMMITTED = "a name that is not committed"


class Bookshop:
    """The app, and what each of its operations has to do."""

    def __init__(self, handle: str, folder: Path) -> None:
        """Build the app with a handle of ``MAKE``, and its databases in a folder."""
        self.file, archive = folder / "books.db", folder / "archive.db"
        urls = [
            make_database(self.file, Base.metadata, rows(), KEEP),
            make_database(archive, Archive.metadata, loans()),
        ]
        self.app = app = flask.Flask("bookshop")
        app.config.update(SECRET_KEY="bookshop", PROPAGATE_EXCEPTIONS=False)
        app.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
        if find_spec("flask_babel"):
            import_module("flask_babel").Babel(app)
        self.handle = MAKE[handle](app, *urls)
        app.before_request(self.change_and_do_not_commit)
        # Flask-Admin reads Lite's session, which exists only in an app context.
        context = app.app_context() if handle == "lite" else nullcontext()
        with context, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.add_views()
        self.visits = Visits(app, self.handle)
        self.watcher = sqlite3.connect(self.file, check_same_thread=False, timeout=0)
        self.watcher.execute(f"ATTACH '{archive}' AS {ARCHIVE}")
        self.changes = Changes(self.watcher)
        self.worked: set[tuple[str, str]] = set()  # the operations, by endpoint
        self.before: dict[Driven, list[int]] = {}

    def add_views(self) -> None:
        """Add two admins. The second has another view of a model of the first."""
        admin = Admin(self.app, name="Bookshop")
        for view, model in VIEWS.items():
            endpoint = view.__name__.lower()
            admin.add_view(view(model, self.handle, endpoint=endpoint))
        second = Admin(self.app, name="Second", url="/second", endpoint="second")
        second.add_view(CriticView(Critic, self.handle, endpoint="second_critic"))

    def change_and_do_not_commit(self) -> None:
        """Rename a person without a commit, as careless custom code would.

        A request that is overtaken does not do this: the concurrent request would wait
        for SQLite's lock.
        """
        driven: Driven | None = flask.request.environ.get(DRIVE)
        if driven is None:
            return
        self.before[driven] = self.data_version()
        if self.is_careless(driven):
            person: t.Any = Person.__table__
            rename = person.update().where(person.c.id == 2).values(name=UNCOMMITTED)
            session_of(self.handle).execute(rename)

    def is_careless(self, driven: Driven) -> bool:
        """Does a request make a change that it does not commit?"""
        if driven.task.data is not None or self.changes.old:
            return False
        return not driven.disturbed and driven.overtakes is None

    def data_version(self) -> list[int]:
        """Return a number for each database. It changes when another connection writes.

        See https://www.sqlite.org/pragma.html#pragma_data_version.
        """
        return [
            int(self.watcher.execute(f"PRAGMA {schema}.data_version").fetchone()[0])
            for schema in ("main", ARCHIVE)
        ]

    # ------------------------------------------------------------------ as a reference

    def tasks(self, views: dict[str, int]) -> t.Iterator[Task]:
        """Yield operations that the crawler does not try itself.

        ``views``: the numbers of the views, by endpoint.
        """
        yield from rare_reads(views)
        yield from refusals(views)

    def fails(self, endpoint: str) -> bool:
        """Are faults injected in a view? The other views run the same library code."""
        return endpoint in {"bookview", "plainbookview"}

    def changing(self) -> t.ContextManager[None]:
        """Change the database past all sessions, as long as a ``with`` block runs."""
        return self.changes.made()

    def check(self, endpoint: str, driven: Driven, request: Request, page: str) -> None:
        """Check a request that is over, and note in it what it has done wrong.

        ``page`` is the text of the response.
        """
        changed = self.data_version() != self.before.pop(driven)
        injected = request.injected
        failed_commit = injected is not None and injected.fault == Fault.COMMIT
        committed = driven.writes and driven.commits > failed_commit
        if changed and not committed:
            request.dirty_write = True
        if UNCOMMITTED in page and not self.is_careless(driven):
            request.dirty_read = True
        if injected:
            return
        operation = str(driven.operation)
        status, pattern = expected(endpoint, operation)
        worked = (endpoint, operation) in self.worked
        if self.changes.old and worked and not request.stream_exception:
            added = ADDED.get((endpoint, operation), "")
            request.outdated = self.changes.outdated(page, pattern, added)
            pattern = ""
        request.unexpected = wrong_effect(driven, changed) or wrong_page(
            (status, pattern), request, page
        )
        if not request.unexpected:
            self.worked.add((endpoint, operation))


def make_database(
    file: Path, metadata: sa.MetaData, rows: list[t.Any], *triggers: str
) -> str:
    """Make a SQLite database in a file, and return its URL."""
    url = f"sqlite:///{file}?timeout=0&check_same_thread=false"
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add_all(rows)
        for trigger in triggers:
            session.execute(sa.text(trigger))
        session.commit()
    return url


def wrong_effect(driven: Driven, changed: bool) -> str:
    """Return how a change of the database is wrong, or an empty string."""
    changes = driven.operation in CHANGES
    if changes and driven.overtakes is not None:
        return "does not reach its first write"
    if changes and not changed:
        return "changes no row"
    operation = driven.operation
    refused = operation.kind == OperationKind.CREATE and bool(operation.variant)
    return "changes a row" if changed and (refused or not driven.writes) else ""


def recorded(
    handle: str,
    faults: t.Collection[Fault] = WAYS,
    progress: Progress = lambda name, done, total: None,
) -> Recording:
    """Drive the bookshop with a handle, a key of ``MAKE``, and return the recording.

    ``faults`` and ``progress`` are those of ``record``.
    """
    with tempfile.TemporaryDirectory() as folder:
        event.listen(sa.engine.Engine, "connect", do_not_sync)
        try:
            with Recorder() as recorder:
                with recorder.building():
                    shop = Bookshop(handle, Path(folder))
                recording = record(
                    shop.app,
                    write=True,
                    faults=faults,
                    recorder=recorder,
                    reference=shop,
                    progress=progress,
                )
                with quiet():
                    shop.visits.visit(recorder, handle != "scoped_session")
                return recording
        finally:
            event.remove(sa.engine.Engine, "connect", do_not_sync)


def do_not_sync(connection: t.Any, record: object) -> None:
    """Do not wait for the disk: it would take a third of the time."""
    connection.execute("PRAGMA synchronous = OFF")
