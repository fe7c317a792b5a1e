"""Connections that requests take from a pool, and return."""

import typing as t

from session_scoping.watch.places import Places
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape

if t.TYPE_CHECKING:  # SQLAlchemy 1.4 names it differently
    from sqlalchemy.pool import ConnectionPoolEntry

TAKERS = "_session_scoping"  # in a pool's record of a connection: who took it
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
        running = self.tape.current()
        if running is not None:
            running.request.taken += 1
            if running.unreturned is None:
                running.unreturned = self.places.near()
        record.info.setdefault(TAKERS, []).append(running)

    def on_checkin(self, connection: object, record: "ConnectionPoolEntry") -> None:
        """Record that a connection is returned, and if its transaction is open."""
        takers: list[Running | None] | None = record.info.get(TAKERS)
        if not takers:
            return
        running = takers.pop()
        if running is not None:
            request = running.request
            if in_transaction(connection):
                request.left_in_transaction = True
            if running.preserved or not request.ended:
                request.returned += 1
            if request.taken == request.returned:
                running.unreturned = None


def in_transaction(connection: object) -> bool:
    """Does the driver say that a transaction is open?

    ``connection`` is the driver's, or ``None`` where it was lost. ``sqlite3`` and the
    drivers of PostgreSQL (https://www.psycopg.org/docs/connection.html) say it.
    """
    if hasattr(connection, "in_transaction"):
        return bool(connection.in_transaction)
    status = getattr(getattr(connection, "info", None), "transaction_status", 0)
    return int(status) in {ACTIVE, IN_TRANSACTION, IN_ERROR}
