"""Connections that requests take from a pool, and return."""

import typing as t
from collections import deque
from contextlib import suppress
from sqlite3 import Connection as SQLite

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from session_scoping.recording import Unreturned
from session_scoping.watch.places import Places
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape

if t.TYPE_CHECKING:  # SQLAlchemy 1.4 names it differently
    from sqlalchemy.pool import ConnectionPoolEntry

TAKERS = "_session_scoping"  # in a pool's record of a connection: who took it
Taker = tuple[Running | None, Unreturned | None]  # neither: outside of any request
MODE = "_session_scoping_mode"  # in the same: in which mode they found it
# What the drivers call it that a connection saves each statement, or refuses to write.
MODES = ("autocommit", "isolation_level", "readonly", "read_only")
ACTIVE, IN_TRANSACTION, IN_ERROR = 1, 2, 3  # of libpq's PQtransactionStatus


class Connections:
    """Counts the connections that each request takes and returns."""

    def __init__(self, tape: Tape, places: Places) -> None:
        self.tape = tape
        self.places = places

    def on_checkout(
        self, connection: object, record: "ConnectionPoolEntry", proxy: object
    ) -> None:
        """Record that a connection is taken."""
        running, taken = self.tape.current(), None
        if running is not None:
            running.request.taken += 1
            by_hand = not self.places.in_session()
            taken = Unreturned(running.request.number, *self.places.here(), by_hand)
            running.taken.append(taken)
        record.info[MODE] = mode(connection)
        if not issubclass(type(getattr(proxy, "_pool", None)), StaticPool):
            # No recorder may have watched when it was returned the last time.
            record.info[TAKERS] = deque[Taker]()
        record.info.setdefault(TAKERS, deque()).append((running, taken))
        if not record.in_use:  # it is shared, and was returned meanwhile
            self.on_checkin(connection, record)

    def on_checkin(self, connection: object, record: "ConnectionPoolEntry") -> None:
        """Record that a connection is returned, and if its transaction is open.

        Several may have taken it, as of a ``StaticPool``. SQLAlchemy says only once
        that it is returned, and not by which of them.
        """
        # No lock: the garbage collector returns connections, too, at any moment.
        waiting: deque[Taker] = record.info.get(TAKERS, deque())
        takers: list[Taker] = []
        with suppress(IndexError):
            while True:
                takers.append(waiting.popleft())
        alone = len({id(running) for running, _ in takers}) == 1
        for running, taken in takers:
            if running is None or taken is None:
                continue
            request = running.request
            if alone:
                if in_transaction(connection):
                    request.left_in_transaction = True
                before, now = record.info.get(MODE, {}), mode(connection)
                request.left_changed = request.left_changed or changed(before, now)
            if running.preserved or not request.ended:
                request.returned += 1
                running.taken.remove(taken)


def in_transaction(connection: object) -> bool:
    """Does the driver say that a transaction is open?

    ``connection`` is the driver's, or ``None`` where it was lost. ``sqlite3`` and the
    drivers of PostgreSQL (https://www.psycopg.org/docs/connection.html) say it.
    """
    if hasattr(connection, "in_transaction"):
        return bool(connection.in_transaction)
    status = getattr(getattr(connection, "info", None), "transaction_status", 0)
    return int(status) in {ACTIVE, IN_TRANSACTION, IN_ERROR}


def changed(found: dict[str, object], left: dict[str, object]) -> str:
    """Say what differs in the mode of a connection, or return an empty string."""
    return ", ".join(
        f"{name} is {value!r}, not {found[name]!r}"
        for name, value in left.items()
        if found.get(name, value) != value
    )


def mode(connection: object) -> dict[str, object]:
    """Return what the driver says of how a connection commits, and if it writes.

    ``connection`` is the driver's, or ``None`` where it was lost.
    """
    found: dict[str, object] = {}
    for name in MODES:
        with suppress(Exception):  # of a driver whose connection is closed
            value = getattr(connection, name)
            if not callable(value):
                found[name] = value
    if isinstance(connection, SQLite):
        with suppress(Exception):  # as on another thread
            [found["query_only"]] = connection.execute("PRAGMA query_only").fetchone()
    return found


def info_of(dbapi: t.Any) -> dict[str, t.Any] | None:
    """Return the ``info`` of a connection.

    ``None``: it is the connection by which SQLAlchemy gets to know a database. In
    SQLAlchemy 1.4 that is the driver's own, whose ``info`` is something else.
    """
    try:
        info = dbapi.info
    except (AttributeError, NotImplementedError):
        return None
    return info if isinstance(info, dict) else None


def in_memory(url: sa.engine.URL) -> bool:
    """Is it a SQLite database that exists only in its connection?"""
    database = url.database or ":memory:"
    memory = ":memory:" in database or url.query.get("mode") == "memory"
    return url.get_backend_name() == "sqlite" and memory
