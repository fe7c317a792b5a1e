"""What an app writes while its pages are read is rolled back, on database servers."""

import typing as t
from itertools import count

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import record
from session_scoping.report.verdict import text
from session_scoping.watch.connections import info_of
from tests.fire.monitor import Monitor
from tests.nasty import autocommit
from tests.nasty import BY_SERVER
from tests.nasty import dump
from tests.nasty import EVERYWHERE
from tests.nasty import Nasty
from tests.nasty import page_writes
from tests.nasty import prove_nothing_is_written
from tests.nasty import statement
from tools.databases import Server


def test_reading_writes_nothing(server: Server, url: str, monitor: Monitor) -> None:
    verdict = prove_nothing_is_written(url, [*EVERYWHERE, *BY_SERVER[server.name]])
    assert not verdict.violations, text(verdict)
    assert monitor.in_transaction() == []


def test_these_pages_do_write(server: Server) -> None:
    silent = [
        write.__name__
        for write in [autocommit, *BY_SERVER[server.name]]
        if not page_writes(server.database(), write)
    ]
    assert silent == []


def test_autocommit_is_read_only_and_writes_again_afterwards(
    url: str, monitor: Monitor
) -> None:
    nasty = Nasty(url, [autocommit])
    before = dump(url)
    verdict = judge(record(nasty.app))
    assert dump(url) == before
    assert not verdict.violations, text(verdict)
    [note] = verdict.notes
    assert "in autocommit writes while pages are read" in note
    assert note.endswith("refused, because a rollback would not undo it")
    assert not verdict.failures
    assert {request.does for request in verdict.hindered} == {"page index"}
    nasty.app.test_client().get("/admin/autocommit/").close()
    nasty.dispose()
    assert dump(url) != before


def test_a_table_without_transactions_is_not_written(server: Server, url: str) -> None:
    if server.name != "mariadb":
        pytest.skip("only MariaDB has tables without transactions")
    insert = statement("INSERT INTO plain VALUES (1)")
    nasty = Nasty(url, [insert])
    with nasty.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE plain (id INT) ENGINE=MyISAM"))
    before = dump(url)
    verdict = judge(record(nasty.app))
    assert dump(url) == before
    [note] = verdict.notes
    assert "`INSERT INTO plain VALUES (1)`: refused, because" in note
    nasty.app.test_client().get(f"/admin/{insert.__name__}/").close()
    assert dump(url) != before
    with nasty.engine.begin() as connection:  # or else all tests are read only
        connection.execute(sa.text("DROP TABLE plain"))
    nasty.dispose()


def test_the_own_connection_of_a_driver_has_no_info(url: str) -> None:
    """By such a connection SQLAlchemy 1.4 gets to know a database."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert info_of(connection.connection) is connection.info
        assert info_of(connection.connection.dbapi_connection) is None
    engine.dispose()


@pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning")
def test_a_request_is_not_overtaken_while_its_engine_connects_first(url: str) -> None:
    """SQLAlchemy gets to know a database once. The other request would wait for it."""
    base: t.Any = declarative_base()

    class Town(base):  # type: ignore[misc]
        __tablename__ = "town"
        id = sa.Column(sa.Integer, primary_key=True)
        name = sa.Column(sa.String(20))

    engines = [sa.create_engine(url) for _ in range(2)]
    base.metadata.create_all(engines[0])
    turns = count()

    class InTurn(Session):
        def get_bind(self, *_: object, **__: object) -> sa.engine.Engine:
            return t.cast(sa.engine.Engine, flask.g.engine)

    session: t.Any = scoped_session(sessionmaker(class_=InTurn))
    app = flask.Flask("towns")
    app.secret_key = "towns"
    app.teardown_appcontext(lambda error: session.remove())

    @app.before_request
    def choose() -> None:
        flask.g.engine = engines[min(next(turns), 1)]  # the second is overtaken

    Admin(app).add_view(ModelView(Town, session))
    recording = record(app)
    assert [note for note in recording.notes if "lock" in note] == []
    assert any(request.overtakes is not None for request in recording.requests)
    base.metadata.drop_all(engines[0])
    for engine in engines:
        engine.dispose()
