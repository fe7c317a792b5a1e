"""Lets an app write while its pages are read, and undoes that when it commits.

SQLAlchemy's event ``commit`` comes before the driver's commit. A rollback there leaves
nothing to commit. For this everything has to be inside a transaction:

- SQLite: a transaction is begun before a statement that may write, as the driver begins
  none for a pragma, for DDL, or in autocommit.
- PostgreSQL, MySQL and MariaDB: a connection in autocommit is read only for that time.
  So is every connection to a MySQL or MariaDB that has tables without transactions.

What a rollback does not undo is refused: see ``sql.is_undone``. It fails in the place
of the driver, as a statement that the database refuses.
"""

import os
import re
import threading
import typing as t
from contextlib import contextmanager
from contextlib import suppress
from urllib.parse import unquote
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event

from session_scoping.drive.sql import is_undone
from session_scoping.drive.sql import may_write
from session_scoping.recording import REFUSED
from session_scoping.recording import Request
from session_scoping.recording import Write
from session_scoping.watch.connections import info_of
from session_scoping.watch.recorder import Recorder
from session_scoping.watch.running import RUNNING

Engine = sa.engine.Engine
Connection = sa.engine.Connection

WHY = "a rollback would not undo it"
FILE_DRIVERS = {"pysqlite", "pysqlcipher", "aiosqlite"}
SAVEPOINT = re.compile(r"\s*SAVEPOINT\b", re.IGNORECASE)
# In the `info` of a connection: what has to be undone before it goes back to its pool.
BEGUN, READ_ONLY = "_session_scoping_begun", "_session_scoping_read_only"


class ReadOnly(t.NamedTuple):
    """How a connection to a database is made read only from its next transaction on."""

    is_on: str  # asks; the last column of the answer is `on`
    on: str
    off: str


POSTGRESQL = ReadOnly(
    "SHOW default_transaction_read_only",
    "SET default_transaction_read_only = on",
    "SET default_transaction_read_only = off",
)
MYSQL = ReadOnly(
    "SHOW SESSION VARIABLES LIKE 't%_read_only'",
    "SET SESSION TRANSACTION READ ONLY",
    "SET SESSION TRANSACTION READ WRITE",
)
SERVERS = {"postgresql": POSTGRESQL, "mysql": MYSQL, "mariadb": MYSQL}
REFUSES = {"25006", 1792}  # the codes of a write to a read-only PostgreSQL and MySQL
# The tables of MySQL and MariaDB that a rollback leaves as they are, such as MyISAM's.
WITHOUT_TRANSACTIONS = """
SELECT count(*) FROM information_schema.tables JOIN information_schema.engines
USING (engine) WHERE transactions <> 'YES' AND table_type = 'BASE TABLE' AND
table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
"""


class Pending:
    """What a connection has written since its last commit or rollback."""

    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.writes: list[tuple[Write, Request | None]] = []


class DryRun:
    """A context manager: what the app writes inside of it is rolled back and recorded.

    It may be entered again inside of itself, and on other threads.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.depth = 0
        self.lock = threading.Lock()
        self.pending: WeakKeyDictionary[Connection, Pending] = WeakKeyDictionary()
        self.read_only: WeakKeyDictionary[Connection, ReadOnly] = WeakKeyDictionary()
        self.transactional: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()
        self._listeners: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
            (Engine, "do_connect", self._on_connect),
            (Engine, "do_execute", self._on_execute),
            (Engine, "do_executemany", self._on_execute),
            (Engine, "do_execute_no_params", self._on_execute_no_params),
            (Engine, "handle_error", self._on_error),
            (Engine, "commit", self._on_commit),
            (Engine, "commit_twophase", self._on_commit_twophase),
            (Engine, "rollback", self._on_rollback),
            (sa.pool.Pool, "reset", self._on_reset),
        ]

    def __enter__(self) -> None:
        with self.lock:
            self.depth += 1
            if self.depth == 1:
                for listener in self._listeners:
                    event.listen(*listener)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0:
                for listener in self._listeners:
                    event.remove(*listener)
                self._leave()

    @contextmanager
    def suspended(self) -> t.Iterator[None]:
        """Let the app write in a ``with`` block."""
        depth = self.depth
        for _ in range(depth):
            self.__exit__()
        try:
            yield
        finally:
            for _ in range(depth):
                self.__enter__()

    def _leave(self) -> None:
        """Undo what is not committed yet, so that it cannot be committed later.

        On a thread that is still at work the whole transaction has to fail: the thread
        would commit the rest of it.
        """
        for connection, pending in list(self.pending.items()):
            here = pending.thread is threading.current_thread()
            if is_open(connection):
                with suppress(driver(connection).Error):  # it may be lost
                    if pending.thread.is_alive() and not here:
                        connection.invalidate()
                    else:
                        roll_back(connection.connection)
        for connection, server in list(self.read_only.items()):
            if is_open(connection):
                with suppress(driver(connection).Error):
                    connection.connection.info.pop(READ_ONLY)
                    send(connection.connection, server.off)
        self.pending.clear()
        self.read_only.clear()

    # ------------------------------------------------------------------- statements

    def _on_connect(
        self,
        dialect: t.Any,
        record: object,
        args: t.Sequence[t.Any],
        options: t.Mapping[str, t.Any],
    ) -> None:
        """Refuse to open a SQLite file that does not exist: it would be created."""
        if dialect.driver in FILE_DRIVERS and args and is_missing(str(args[0])):
            raise dialect.dbapi.OperationalError("unable to open database file")

    def _on_execute_no_params(self, cursor: object, sql: str, context: t.Any) -> None:
        self._on_execute(cursor, sql, (), context)

    def _on_execute(
        self, cursor: object, sql: str, parameters: object, context: t.Any
    ) -> None:
        """Refuse a statement, or make sure that it is undone. Record what writes."""
        connection: Connection = context.root_connection
        dialect = connection.dialect
        if not is_undone(sql, dialect.name):
            self._record(connection, sql, refused=True)
            raise driver(connection).OperationalError(f"{REFUSED}: {WHY}")
        writes = may_write(sql)
        if dialect.name == "sqlite" and (writes or SAVEPOINT.match(sql)):
            begin(connection.connection)
        elif server := SERVERS.get(dialect.name):
            self._protect(connection, server)
        if writes and connection not in self.read_only:
            self._record(connection, sql)

    def _protect(self, connection: Connection, server: ReadOnly) -> None:
        """Make a connection read only if a rollback would not undo what it writes."""
        fairy = connection.connection
        info = info_of(fairy)
        if info is None or READ_ONLY in info:
            return
        if server is MYSQL and connection.engine not in self.transactional:
            [[number]] = ask(fairy, WITHOUT_TRANSACTIONS)
            self.transactional[connection.engine] = number == 0
        undone = self.transactional.get(connection.engine, True)
        if undone and not in_autocommit(fairy):
            return
        if all(str(row[-1]).lower() != "on" for row in ask(fairy, server.is_on)):
            send(fairy, server.on)
            info[READ_ONLY] = server
            self.read_only[connection] = server

    def _on_error(self, context: t.Any) -> None:
        """Record a write that the database refuses to a read-only connection."""
        error = context.original_exception
        codes = {getattr(error, "pgcode", None), getattr(error, "sqlstate", None)}
        codes.update(error.args[:1])
        if context.connection in self.read_only and codes & REFUSES:
            self._record(context.connection, context.statement, refused=True)

    def _record(self, connection: Connection, sql: str, refused: bool = False) -> None:
        running, recording = RUNNING.get(), self.recorder.recording
        request = None
        if running is not None and running.recording is recording:
            request = running.request
        place, own = self.recorder.places.here()
        number = request.number if request else None
        write = Write(" ".join(sql.split())[:200], number, place, own, refused)
        recording.writes.append(write)
        if not refused:
            pending = self.pending.setdefault(connection, Pending())
            pending.writes.append((write, request))

    # ------------------------------------------------------------------ transactions

    def _on_commit(self, connection: Connection) -> None:
        """Roll back what is about to be committed."""
        pending = self.pending.pop(connection, None)
        for write, request in pending.writes if pending else ():
            write.committed = request is None or not request.exception
        roll_back(connection.connection)

    def _on_commit_twophase(
        self, connection: Connection, xid: object, is_prepared: bool
    ) -> None:
        """Roll back what is committed without a ``PREPARE``, which is refused."""
        if connection.dialect.name == "postgresql":
            self._on_commit(connection)

    def _on_rollback(self, connection: Connection) -> None:
        self.pending.pop(connection, None)

    def _on_reset(self, dbapi: t.Any, record: t.Any, state: object = None) -> None:
        """Restore a connection that goes back to its pool."""
        if record.info.pop(BEGUN, False):
            roll_back(dbapi)
        if server := record.info.pop(READ_ONLY, None):
            send(dbapi, server.off)


# What follows takes the connection of a driver, or the pool's proxy of it.


def begin(dbapi: t.Any) -> None:
    """Begin a transaction of SQLite, unless there is one."""
    if not dbapi.in_transaction:
        send(dbapi, "BEGIN")
        dbapi.info[BEGUN] = True


def roll_back(dbapi: t.Any) -> None:
    """Roll back a transaction, also where the driver is in autocommit."""
    dbapi.rollback()
    if getattr(dbapi, "autocommit", None) is True and getattr(
        dbapi, "in_transaction", False
    ):
        send(dbapi, "ROLLBACK")  # of sqlite3 since Python 3.12


def in_autocommit(dbapi: t.Any) -> bool:
    get = getattr(dbapi, "get_autocommit", None)  # of the drivers of MySQL
    return bool(get() if get else getattr(dbapi, "autocommit", False))


def send(dbapi: t.Any, sql: str) -> None:
    """Send a statement past SQLAlchemy."""
    cursor = dbapi.cursor()
    cursor.execute(sql)
    cursor.close()


def ask(dbapi: t.Any, sql: str) -> list[t.Any]:
    """Return the rows of a query that is sent past SQLAlchemy."""
    cursor = dbapi.cursor()
    cursor.execute(sql)
    rows = list(cursor.fetchall())
    cursor.close()
    return rows


def driver(connection: Connection) -> t.Any:
    """Return the module of the driver, which has its errors."""
    return t.cast(t.Any, connection.dialect.dbapi)


def is_open(connection: Connection) -> bool:
    return not (connection.closed or connection.invalidated)


def is_missing(database: str) -> bool:
    """Is it a file of SQLite that does not exist? It may be a URI."""
    if database.startswith("file:"):
        uri = urlsplit(database)
        if {"mode=memory", "vfs=memdb"} & {*uri.query.split("&")}:
            return False
        database = unquote(uri.path)
    return database not in {"", ":memory:"} and not os.path.exists(database)
