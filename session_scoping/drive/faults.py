"""Injected faults: at each step of a request, of each kind that the step can have."""

import typing as t
from itertools import count

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Request
from session_scoping.watch.running import Drive
from session_scoping.watch.running import RUNNING

# Takes the step to inject a fault at, or 0. Returns the request that did the operation,
# or ``None`` if it cannot be done.
Do = t.Callable[[int], Request | None]


def fail_at_each_step(do: Do) -> None:
    """Inject a fault at each step of an operation in turn. Repeat it after each."""
    for step in count(1):
        request = do(step)
        if request is None or not request.injected:
            return
        do(0)


class Faults:
    """A context manager that injects a fault at a step of a request.

    A connection is lost by closing it beneath SQLAlchemy, so that the driver raises its
    own error. A rollback fails in the same way. SQLite in memory never loses its
    connection: the database would be lost with it.
    """

    def __init__(
        self,
        drive: Drive,
        fail_at: int,
        faults: t.Collection[Fault],
        engines: t.Iterable[sa.engine.Engine],
    ) -> None:
        """Take a request, and what to inject into it.

        ``fail_at``: the step, counted from 1. ``faults``: the kinds to inject.
        ``engines``: their pools can be exhausted.
        """
        self.drive = drive
        self.faults = faults
        self.fail_at = fail_at
        self.steps = 0
        self._listeners: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
            (sa.engine.Engine, "before_cursor_execute", self._on_statement),
            (sa.engine.Engine, "after_cursor_execute", self._on_result),
            (sa.engine.Engine, "commit", self._on_commit),
            (sa.engine.Engine, "rollback", self._on_rollback),
            *(
                (engine.pool, "checkout", self._on_checkout)
                for engine in engines
                if isinstance(engine.pool, QueuePool)  # others are never exhausted
            ),
        ]

    def __enter__(self) -> None:
        for listener in self._listeners:
            event.listen(*listener)

    def __exit__(self, *_: object) -> None:
        for listener in self._listeners:
            event.remove(*listener)

    def _strikes(self, fault: Fault, at: str) -> bool:
        """Count a step, and record the fault if it has to be injected at this step.

        ``at``: the statement, or ``COMMIT`` or ``ROLLBACK``. Returns whether the caller
        has to inject the fault.
        """
        running = RUNNING.get()
        if running is None or running.drive is not self.drive:
            return False
        if fault not in self.faults:
            return False
        self.steps += 1
        if self.steps != self.fail_at:
            return False
        running.request.injected = Injected(fault, shorten(at))
        return True

    def _on_checkout(self, *_: object) -> None:
        if self._strikes(Fault.EXHAUSTED, "QueuePool limit"):
            raise sa.exc.TimeoutError("QueuePool limit: failed by session_scoping")

    def _on_statement(
        self, connection: t.Any, cursor: object, sql: str, *_: object
    ) -> None:
        if self._strikes(Fault.BEFORE, sql):
            raise driver_error(sql)
        self._lose_connection(connection, Fault.LOST, sql)

    def _on_result(
        self, connection: object, cursor: object, sql: str, *_: object
    ) -> None:
        if self._strikes(Fault.AFTER, sql):
            raise driver_error(sql)

    def _on_commit(self, connection: object) -> None:
        if self._strikes(Fault.COMMIT, "COMMIT"):
            raise driver_error("COMMIT")

    def _on_rollback(self, connection: t.Any) -> None:
        self._lose_connection(connection, Fault.ROLLBACK, "ROLLBACK")

    def _lose_connection(self, connection: t.Any, fault: Fault, at: str) -> None:
        if in_memory(str(connection.engine.url)) or connection.invalidated:
            return
        if self._strikes(fault, at):
            connection.connection.dbapi_connection.close()


def in_memory(url: str) -> bool:
    """Is it a SQLite database that exists only in its connection?"""
    parsed = sa.engine.make_url(url)
    database = parsed.database or ":memory:"
    memory = ":memory:" in database or parsed.query.get("mode") == "memory"
    return parsed.get_backend_name() == "sqlite" and memory


def shorten(sql: str) -> str:
    """Return the first characters of a statement, in a line."""
    return " ".join(sql.split())[:60]


def driver_error(sql: str) -> OperationalError:
    """Return an error as a driver raises it."""
    return OperationalError(sql, {}, Exception("failed by session_scoping"))
