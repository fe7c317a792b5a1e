"""Injected faults: at each step of a request, of each kind that the step can have."""

import typing as t
from itertools import count

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Request
from session_scoping.watch.connections import in_memory
from session_scoping.watch.running import Drive
from session_scoping.watch.running import RUNNING

FAILED = "failed by session_scoping"

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

    A fault is raised where the driver raises its errors, so that SQLAlchemy treats it
    as one of them: in the events of a dialect, or by a dialect's own method. A
    connection is lost by closing it beneath SQLAlchemy, so that the driver raises its
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
        engine = sa.engine.Engine
        self._listeners: list[tuple[t.Any, str, t.Callable[..., t.Any]]] = [
            (engine, "do_execute", self._replace("do_execute")),
            (engine, "do_executemany", self._replace("do_executemany")),
            (engine, "do_execute_no_params", self._replace("do_execute_no_params")),
            (engine, "commit", self._on_commit),
            (engine, "rollback", self._on_rollback),
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

    def _is_watched(self) -> bool:
        """Does the code that runs belong to the request?"""
        running = RUNNING.get()
        return running is not None and running.drive is self.drive

    def _strikes(self, fault: Fault, at: str) -> bool:
        """Count a step, and record the fault if it has to be injected at this step.

        ``at``: the statement, or ``COMMIT`` or ``ROLLBACK``. Returns whether the caller
        has to inject the fault.
        """
        running = RUNNING.get()
        if running is None or not self._is_watched() or fault not in self.faults:
            return False
        self.steps += 1
        if self.steps != self.fail_at:
            return False
        running.request.injected = Injected(fault, shorten(at))
        return True

    def _on_checkout(self, *_: object) -> None:
        if self._strikes(Fault.EXHAUSTED, "QueuePool limit"):
            raise sa.exc.TimeoutError(f"QueuePool limit: {FAILED}")

    def _replace(self, name: str) -> t.Callable[..., bool]:
        """Return a listener that executes a statement in a dialect's place."""

        def execute(cursor: object, sql: str, *arguments: t.Any) -> bool:
            context = arguments[-1]
            if not self._is_watched():
                return False
            if self._strikes(Fault.BEFORE, sql):
                raise driver_error(context.dialect)
            self._lose_connection(context.root_connection, Fault.LOST, sql)
            getattr(context.dialect, name)(cursor, sql, *arguments)
            if self._strikes(Fault.AFTER, sql):
                raise driver_error(context.dialect)
            return True

        return execute

    def _on_commit(self, connection: t.Any) -> None:
        if self._strikes(Fault.COMMIT, "COMMIT"):
            dialect = connection.dialect

            def fail(_: object) -> None:
                del dialect.do_commit  # the method of its class is there again
                raise driver_error(dialect)

            dialect.do_commit = fail

    def _on_rollback(self, connection: t.Any) -> None:
        self._lose_connection(connection, Fault.ROLLBACK, "ROLLBACK")

    def _lose_connection(self, connection: t.Any, fault: Fault, at: str) -> None:
        if in_memory(connection.engine.url) or connection.invalidated:
            return
        if self._strikes(fault, at):
            driver_connection(connection.connection).close()


def driver_connection(fairy: t.Any) -> t.Any:
    """Return the connection of a driver behind the pool's proxy of it.

    Its attribute has this name since SQLAlchemy 1.4.24.
    """
    return getattr(fairy, "dbapi_connection", None) or fairy.connection


def shorten(sql: str) -> str:
    """Return the first characters of a statement, in a line."""
    return " ".join(sql.split())[:60]


def driver_error(dialect: t.Any) -> Exception:
    """Return an error as the driver of a dialect raises it."""
    return t.cast(Exception, dialect.dbapi.OperationalError(FAILED))
