"""Injected faults: at each step of a request, of each kind that the step can have."""

import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.watch.running import Drive
from session_scoping.watch.running import RUNNING


class Faults:
    """A context manager that injects a fault at step ``fail_at`` of a request.

    Steps are counted from 1. A connection is lost by closing it beneath SQLAlchemy, so
    that the driver raises its own error; this is also how a rollback fails. SQLite in
    memory never loses its connection: the database would be lost with it.
    """

    def __init__(
        self,
        drive: Drive,
        fail_at: int,
        faults: t.Collection[Fault],
        engines: t.Iterable[sa.engine.Engine],
    ) -> None:
        """``faults``: the kinds to inject. ``engines``: the pools to exhaust."""
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

    def _is_turn(self, fault: Fault, at: str) -> bool:
        """Count a step. Is the fault to be injected at this step?"""
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
        if self._is_turn(Fault.EXHAUSTED, "QueuePool limit"):
            raise sa.exc.TimeoutError("QueuePool limit: failed by session_scoping")

    def _on_statement(
        self, connection: t.Any, cursor: object, sql: str, *_: object
    ) -> None:
        if self._is_turn(Fault.BEFORE, sql):
            raise driver_error(sql)
        self._lose(connection, Fault.LOST, sql)

    def _on_result(
        self, connection: object, cursor: object, sql: str, *_: object
    ) -> None:
        if self._is_turn(Fault.AFTER, sql):
            raise driver_error(sql)

    def _on_commit(self, connection: object) -> None:
        if self._is_turn(Fault.COMMIT, "COMMIT"):
            raise driver_error("COMMIT")

    def _on_rollback(self, connection: t.Any) -> None:
        self._lose(connection, Fault.ROLLBACK, "ROLLBACK")

    def _lose(self, connection: t.Any, fault: Fault, at: str) -> None:
        if in_memory(str(connection.engine.url)) or connection.invalidated:
            return
        if self._is_turn(fault, at):
            connection.connection.dbapi_connection.close()


def in_memory(url: str) -> bool:
    """Is it a SQLite database that exists only in its connection?"""
    made = sa.engine.make_url(url)
    database = made.database or ":memory:"
    memory = ":memory:" in database or made.query.get("mode") == "memory"
    return made.get_backend_name() == "sqlite" and memory


def shorten(sql: str) -> str:
    """Return the first characters of a statement, in a line."""
    return " ".join(sql.split())[:60]


def driver_error(sql: str) -> OperationalError:
    """Return an error as a driver raises it."""
    return OperationalError(sql, {}, Exception("failed by session_scoping"))
