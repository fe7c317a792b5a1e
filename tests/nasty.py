"""An app whose pages write when they are read, and dumps that show what they wrote."""
# mypy: allow-subclassing-any

import re
import threading
import typing as t
from contextlib import suppress

import flask
import sqlalchemy as sa
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import SQLAlchemyError

from flask_admin import Admin
from flask_admin import BaseView
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from session_scoping import judge
from session_scoping import record
from session_scoping import Verdict

# Takes the app, and writes. It may return a response.
Write = t.Callable[["Nasty"], t.Any]


class Nasty:
    """An app with a list, and a page for each write, named as its function."""

    def __init__(self, url: str, writes: t.Sequence[Write]) -> None:
        self.app = app = flask.Flask("nasty")
        app.secret_key = "nasty"
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        app.config["SQLALCHEMY_BINDS"] = {
            "auto": {"url": url, "isolation_level": "AUTOCOMMIT"}
        }
        self.db: t.Any = SQLAlchemy(app)
        db: t.Any = self.db

        class Note(db.Model):
            id = db.Column(db.Integer, primary_key=True)
            text = db.Column(db.String(20))

        class Visit(db.Model):
            id = db.Column(db.Integer, primary_key=True)
            note_id = db.Column(db.ForeignKey("note.id"))

        class Page(BaseView):
            write: Write

            @expose("/")
            def index(view) -> t.Any:
                return view.write(self) or "done"

        self.Note, self.Visit = Note, Visit

        @app.teardown_appcontext
        def write_at_the_end(error: object) -> None:
            if write := flask.g.get("write_at_the_end"):
                write(self)

        admin = Admin(app)
        admin.add_view(ModelView(Note, db, endpoint="note"))
        for write in writes:
            page = Page(name=write.__name__, endpoint=write.__name__)
            page.write = write
            admin.add_view(page)
        with app.app_context():
            db.create_all()
            db.session.add_all([Note(text="one"), Note(text="two")])
            db.session.commit()

    @property
    def engine(self) -> sa.engine.Engine:
        with self.app.app_context():
            return t.cast(sa.engine.Engine, self.db.engine)

    @property
    def in_autocommit(self) -> sa.engine.Engine:
        with self.app.app_context():
            return t.cast(sa.engine.Engine, self.db.engines["auto"])

    def run(self, sql: str) -> None:
        """Execute a statement in the session, and commit it."""
        self.db.session.execute(sa.text(sql))
        self.db.session.commit()

    def dispose(self) -> None:
        self.engine.dispose()
        self.in_autocommit.dispose()


# ------------------------------------------------------- writes of the app's own code


def row(nasty: Nasty) -> None:
    nasty.db.session.add(nasty.Note(text="new"))
    nasty.db.session.commit()


def several_commits(nasty: Nasty) -> None:
    for text in ("a", "b"):
        nasty.db.session.get(nasty.Note, 1).text = text
        nasty.db.session.commit()


def many_rows(nasty: Nasty) -> None:
    rows = [{"text": str(number)} for number in range(5)]
    nasty.db.session.execute(sa.insert(nasty.Note), rows)
    nasty.db.session.commit()


def savepoint(nasty: Nasty) -> None:
    with nasty.db.session.begin_nested():
        nasty.db.session.get(nasty.Note, 1).text = "nested"
    nasty.db.session.commit()


def only_savepoint(nasty: Nasty) -> None:
    """SQLite's driver begins no transaction before it, so that its end commits."""
    with nasty.engine.connect() as connection:
        connection.exec_driver_sql("SAVEPOINT one")
        connection.exec_driver_sql("UPDATE note SET text = 'x'")
        connection.exec_driver_sql("RELEASE SAVEPOINT one")
        connection.commit()


def core(nasty: Nasty) -> None:
    with nasty.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM note"))


def cursor_of_session(nasty: Nasty) -> None:
    connection = nasty.db.session.connection()
    connection.connection.cursor().execute("UPDATE note SET text = 'raw'")
    nasty.db.session.commit()


def autocommit(nasty: Nasty) -> None:
    with nasty.in_autocommit.connect() as connection:
        connection.execute(sa.text("UPDATE note SET text = 'auto'"))


def autocommit_of_connection(nasty: Nasty) -> None:
    with nasty.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sa.text("UPDATE note SET text = 'auto'"))


def ddl(nasty: Nasty) -> None:
    nasty.run("CREATE TABLE other (id INTEGER)")


def ddl_in_autocommit(nasty: Nasty) -> None:
    with nasty.in_autocommit.connect() as connection:
        connection.execute(sa.text("CREATE TABLE other (id INTEGER)"))


def drop_all(nasty: Nasty) -> None:
    nasty.db.drop_all("__all__")


def on_a_thread(nasty: Nasty) -> None:
    def work() -> None:
        with nasty.app.app_context(), suppress(SQLAlchemyError):
            row(nasty)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def when_the_answer_is_sent(nasty: Nasty) -> flask.Response:
    response = flask.Response("done")

    @response.call_on_close
    def write() -> None:
        with nasty.app.app_context():
            row(nasty)

    return response


def in_a_teardown(nasty: Nasty) -> None:
    flask.g.write_at_the_end = row


def by_a_request_of_its_own(nasty: Nasty) -> None:
    if not flask.request.args:
        nasty.app.test_client().get(f"{flask.request.path}?again=1").close()
    else:
        row(nasty)


EVERYWHERE: list[Write] = [
    row,
    several_commits,
    many_rows,
    savepoint,
    only_savepoint,
    core,
    cursor_of_session,
    autocommit,
    autocommit_of_connection,
    ddl,
    ddl_in_autocommit,
    drop_all,
    on_a_thread,
    when_the_answer_is_sent,
    in_a_teardown,
    by_a_request_of_its_own,
]


def statement(sql: str, *more: str) -> Write:
    """Return a write that executes statements, one by one, and commits."""

    def write(nasty: Nasty) -> None:
        for sent in (sql, *more):
            nasty.db.session.execute(sa.text(sent))
        nasty.db.session.commit()

    write.__name__ = re.sub(r"\W+", "_", " ".join((sql, *more)))[:60]
    return write


UPDATE = "UPDATE note SET text = 'x'"
ON_SQLITE = [
    statement("PRAGMA user_version(7)"),
    statement("PRAGMA application_id = 7"),
    statement("WITH x AS (SELECT 1) UPDATE note SET text = 'x'"),
    statement("REPLACE INTO note VALUES (1, 'x')"),
    statement(UPDATE, "COMMIT"),
    statement(UPDATE, "/* done */ END"),
    statement("CREATE TRIGGER t AFTER INSERT ON note BEGIN DELETE FROM note; END"),
]
ON_POSTGRESQL = [
    statement("EXPLAIN (COSTS off, ANALYZE) DELETE FROM note"),
    statement(
        "WITH x AS (UPDATE note AS n SET text = 'x' RETURNING *) SELECT * FROM x"
    ),
    statement("SELECT * INTO other FROM note"),
    statement(UPDATE, "COMMIT"),
    statement(f"{UPDATE}; END; SELECT 1"),
    statement("DO $$ BEGIN UPDATE note SET text = 'x'; END $$"),
    statement("TRUNCATE note CASCADE"),
    statement("CREATE SEQUENCE other"),
]
ON_MARIADB = [
    statement(UPDATE, "BEGIN"),
    statement(UPDATE, "COMMIT"),
    statement(UPDATE, "SET autocommit = 1"),
    statement("SET GLOBAL max_connections = 77"),
    statement("/*!50000 DROP TABLE visit */"),
    statement("BEGIN NOT ATOMIC UPDATE note SET text = 'x'; COMMIT; END"),
    statement("TRUNCATE visit", "DELETE FROM note"),
    statement("REPLACE note VALUES (1, 'x')"),
    statement("XA START 'x'", UPDATE, "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"),
    statement("CREATE OR REPLACE VIEW other AS SELECT * FROM note"),
]
BY_SERVER = {"postgresql": ON_POSTGRESQL, "mariadb": ON_MARIADB}


# ----------------------------------------------------------------------------- dumps


def dump(url: str) -> dict[str, t.Any]:
    """Return all that a database holds, as far as a page could change it.

    The next values of sequences are left out: no rollback undoes them.
    """
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:

        def ask(sql: str) -> list[t.Any]:
            return sorted(map(tuple, connection.execute(sa.text(sql))), key=repr)

        found: dict[str, t.Any] = {sql: ask(sql) for sql in STATES[engine.dialect.name]}
        tables = sa.inspect(connection).get_table_names()
        for table in sorted(tables):
            found[table] = ask(f"SELECT * FROM {table}")
            if engine.dialect.name == "mysql":
                [[_, made]] = ask(f"SHOW CREATE TABLE {table}")
                found[f"{table}, made"] = re.sub(r" AUTO_INCREMENT=\d+", "", made)
    return found


STATES = {
    "sqlite": (
        "SELECT * FROM sqlite_master",
        "PRAGMA user_version",
        "PRAGMA application_id",
    ),
    "postgresql": (
        "SELECT oid, relname, relkind, relfilenode FROM pg_class",
        "SELECT * FROM pg_prepared_xacts",
        "SELECT * FROM pg_file_settings",
        "SELECT datname FROM pg_database",
    ),
    "mysql": (
        "SHOW FULL TABLES",
        "SHOW GLOBAL VARIABLES LIKE 'max_connections'",
        "XA RECOVER",
    ),
}


def page_writes(url: str, write: Write) -> bool:
    """Does a page write when a person opens it?"""
    nasty = Nasty(url, [write])
    before = dump(url)
    with suppress(SQLAlchemyError):
        nasty.app.test_client().get(f"/admin/{write.__name__}/").close()
    nasty.dispose()
    return dump(url) != before


def prove_nothing_is_written(url: str, writes: t.Sequence[Write]) -> Verdict:
    """Drive an app, and compare its database with a dump after each operation."""
    nasty = Nasty(url, writes)
    before, doing = dump(url), ""

    def compare(name: str, *_: object) -> None:
        nonlocal doing
        assert dump(url) == before, doing
        doing = name

    verdict = judge(record(nasty.app, progress=compare))
    nasty.dispose()
    assert dump(url) == before
    return verdict
