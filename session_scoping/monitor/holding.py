"""What holds a connection now."""

import typing as t
from contextlib import suppress
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import fields

from sqlalchemy.orm import Session

from session_scoping.monitor.state import Taken
from session_scoping.watch.connections import in_transaction


@dataclass(frozen=True)
class Holding:
    """A connection that is out of its pool, and what has taken it."""

    age: float  # seconds
    request: str  # the method and the endpoint; empty: taken outside of any request
    over: bool  # has that request ended?
    session: bool  # does a session use it? It is used by hand if not
    in_transaction: bool
    line: str  # the app's line that took it, or else the first outside of SQLAlchemy
    thread: str
    greenlet: str
    server_id: int | None  # of the connection at the database server, if it is known

    @classmethod
    def of(cls, taken: Taken, session: Session | None, now: float) -> "Holding":
        """Describe a connection that is out of its pool at the time ``now``."""
        request = taken.request
        driver = getattr(taken.proxy(), "dbapi_connection", None)
        begun, number = session is not None, None
        with suppress(Exception):  # of a driver whose connection is closed
            begun = begun or in_transaction(driver)
            number = _server_id(driver)
        return cls(
            round(now - taken.since, 3),
            request.name if request else "",
            request is not None and request.ended is not None,
            session is not None,
            begun,
            str(taken.own or taken.place or ""),
            taken.worker.name,
            taken.worker.greenlet_name,
            number,
        )

    def __str__(self) -> str:
        kind = "session" if self.session else "connection"
        state = "in a transaction" if self.in_transaction else "no transaction"
        number = f", {self.server_id} at the server" if self.server_id else ""
        where = self.request or "outside of any request"
        over = ", which has ended" if self.over else ""
        greenlet = f", {self.greenlet}" if self.greenlet else ""
        return (
            f"{self.age:8.1f} s  {kind}, {state}{number}: {where}{over}: "
            f"{self.line or 'an unknown line'} on thread {self.thread}{greenlet}"
        )

    def to_json(self) -> dict[str, t.Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "Holding":
        """Make it of what ``to_json`` returned. Raises ``KeyError``."""
        return cls(**{field.name: data[field.name] for field in fields(cls)})


def _server_id(driver: object) -> int | None:
    """Return the number by which a database server knows a connection.

    It is in PostgreSQL's ``pg_stat_activity``
    (https://www.psycopg.org/docs/connection.html), or in MariaDB's list of processes
    (https://pymysql.readthedocs.io/en/latest/modules/connections.html).
    """
    pid = getattr(getattr(driver, "info", None), "backend_pid", None)
    if pid is None and callable(ask := getattr(driver, "thread_id", None)):
        pid = ask()
    return pid if isinstance(pid, int) else None
