"""Shops that a monitor watches, with a clock that a test moves."""
# mypy: allow-subclassing-any

import gc
import sys
import tempfile
import threading
import typing as t
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

from flask_admin import Admin
from session_scoping import Monitor
from session_scoping.monitor import connections
from session_scoping.monitor import extension
from session_scoping.monitor import safety
from session_scoping.monitor import sessions
from session_scoping.monitor import sockets
from session_scoping.monitor import state
from session_scoping.watch import hooks
from session_scoping.watch.places import readable

ONE = sa.text("select 1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Clock]:
    """Give the test the monitor's clock, and take the monitor out of the process."""
    clock = Clock()
    if find_spec("prometheus_client"):
        registry = import_module("prometheus_client").CollectorRegistry()
        monkeypatch.setattr("prometheus_client.REGISTRY", registry)
    monkeypatch.setattr(state, "clock", clock)
    monkeypatch.setattr(connections, "_swept_at", 0.0)
    monkeypatch.setattr(connections, "last", None)
    monkeypatch.setattr(connections, "used", False)
    yield clock
    for listener in extension.LISTENERS:
        if event.contains(*listener):
            event.remove(*listener)
    if sessions.on_birth in hooks.births:
        hooks.births.remove(sessions.on_birth)
        hooks.INIT.undo()
    extension._listening = False
    extension.watched.clear()
    sockets.stop()
    for thread in threading.enumerate():
        if thread.name == "session_scoping":
            thread.join(60)
    connections.taken_now.clear()
    connections.strays.clear()
    safety.off.clear()


@pytest.fixture
def engine(tmp_path: Path) -> t.Iterator[sa.engine.Engine]:
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/shop.db",
        poolclass=sa.pool.QueuePool,
        # SQLAlchemy 1.4 checks the thread. The threads of a test write in turns.
        connect_args={"check_same_thread": False, "timeout": 60},
    )
    yield engine
    engine.dispose()


@contextmanager
def no_collection() -> t.Iterator[None]:
    """Collect garbage only where the test asks for it, in a ``with`` block."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Shop:
    """An app with a page that a test gives, and its monitor."""

    def __init__(self, page: t.Callable[[], t.Any], **config: t.Any) -> None:
        self.app = flask.Flask(__name__)
        self.app.config.update(config, PROPAGATE_EXCEPTIONS=False)
        self.app.secret_key = "shop"
        self.app.add_url_rule("/", "page", page, methods=["GET", "POST"])
        self.monitor = Monitor(self.app)
        self.client = self.app.test_client()

    def visit(self, times: int = 1) -> None:
        for _ in range(times):
            with self.client.get("/") as response:
                assert response.data

    def idle(self, clock: Clock) -> None:
        """Visit the page often enough to see twice that a thread is idle."""
        for _ in range(3):
            clock.now += 2
            self.visit()

    @property
    def found(self) -> list[tuple[str, str, int]]:
        """The rule and the line of each source, and how often it was seen."""
        return [
            (source.finding.rule, source.finding.line, source.count)
            for source in self.monitor.findings
        ]


def line_of(marker: str) -> str:
    """Return the line of the calling file that has a comment, as a finding names it."""
    file = readable(sys._getframe(1).f_code.co_filename)
    lines = Path(file).read_text().splitlines()
    [number] = [
        number for number, line in enumerate(lines, 1) if line.endswith(f"# {marker}")
    ]
    return f"{file}:{number} in "


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "session_scoping"
    ]


def leaks(engine: sa.engine.Engine) -> t.Callable[[], str]:
    """Return a page that leaves a session open."""
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())

    return page


def a_row(engine: sa.engine.Engine) -> t.Any:
    """Return a mapped class, with its table."""
    Base: t.Any = orm.declarative_base()

    class Row(Base):
        __tablename__ = "row"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(9))

    Base.metadata.create_all(engine)
    with orm.Session(engine) as session, session.begin():
        session.add(Row(id=1, name="first"))
    return Row


@pytest.fixture
def path() -> t.Iterator[str]:
    """Return a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="holding") as folder:
        yield f"{folder}/holding"


def admin_of(shop: Shop, *, base: t.Any = None) -> Admin:
    admin = Admin(shop.app)
    admin.add_view(shop.monitor.view(base))
    return admin
