"""A driven request: what it is allowed to send, and which requests overtake it."""

import re
import typing as t
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from session_scoping.drive.faults import driver_error
from session_scoping.drive.faults import shorten
from session_scoping.drive.operations import Task
from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Request
from session_scoping.recording import Stopped
from session_scoping.watch.places import Places

READS = re.compile(
    r"(?!.*;\s*\S)[\s(]*(?:(?:/\*.*?\*/|--[^\n]*\n)[\s(]*)*"
    r"(SELECT(?!.*\bINTO\b)|PRAGMA(?!.*=)|SHOW|EXPLAIN(?!\W+ANALY)|DESCRIBE|DESC|TABLE"
    r"|VALUES|SET|BEGIN|SAVEPOINT|RELEASE|ROLLBACK|COMMIT"
    r"|WITH(?!.*\b(?:INSERT\s+INTO|INSERT\s+OR|UPDATE\s+\S+\s+SET|DELETE\s+FROM"
    r"|REPLACE\s+INTO|MERGE\s+INTO)\b))\b",
    re.IGNORECASE | re.DOTALL,
)
LOCKS = re.compile(
    r"\b(BEGIN\s+(IMMEDIATE|EXCLUSIVE)|LOCK\s+TABLES?|FOR\s+(NO\s+KEY\s+)?UPDATE"
    r"|FOR\s+(KEY\s+)?SHARE|SHARE\s+MODE)\b",
    re.IGNORECASE,
)
# An app may have a lock of its own, for which the concurrent request waits. The other
# request goes on after this many seconds.
DEADLOCK = 10


class WriteStopped(Exception):
    """A statement would have written where writing is not allowed."""


def refuse_write(request: Request, sql: str, places: Places) -> None:
    """Record a statement that would write in its request, and prevent it.

    Raises ``WriteStopped``.
    """
    if not READS.match(sql):
        stopped = Stopped(" ".join(sql.split())[:200], *places.here())
        request.stopped = [*request.stopped, stopped]
        raise WriteStopped(f"nothing may be written: {stopped.sql[:60]}")


class Driven:
    """A request that the crawler makes."""

    writes = False

    def __init__(self, task: Task, overtakes: int | None = None) -> None:
        """``overtakes``: the number of the request that this request overtakes."""
        self.task = task
        self.view = task.view
        self.operation = task.operation
        self.overtakes = overtakes
        self.request: Request | None = None  # the first, if it is redirected
        self.overtaken: Overtaken | None = None
        self.disturbed = False  # is it overtaken, or is a fault injected?
        self.commits = 0

    def begun(self, request: Request) -> None:
        """The request begins, or a request that it is redirected to begins."""
        self.request = self.request or request
        request.absent = self.task.absent
        request.overtakes = self.overtakes

    def step(self, request: Request, sql: str) -> None:
        """A statement or a commit is about to be sent."""
        self.commits += sql == "COMMIT"
        if self.overtaken is not None:
            self.overtaken.before(request, sql)


class Reading(Driven):
    """A request that must not write."""

    def __init__(
        self, task: Task, places: Places, overtakes: int | None = None
    ) -> None:
        super().__init__(task, overtakes)
        self.places = places

    def step(self, request: Request, sql: str) -> None:
        refuse_write(request, sql, self.places)
        super().step(request, sql)


class Writing(Driven):
    """A request that is allowed to write."""

    writes = True


class Failing(Driven):
    """A request that does the same as a writing request, and fails before it writes."""

    def step(self, request: Request, sql: str) -> None:
        if not READS.match(sql):
            request.injected = Injected(Fault.BEFORE, shorten(sql))
            raise driver_error(sql)


class Overtaken:
    """Overtakes a request by concurrent requests that do the same.

    Before each new statement of the request a concurrent request is made on another
    thread, and finished. The last is made before the first statement that takes a lock:
    later requests would wait for that lock.
    """

    def __init__(self, make: t.Callable[[int], "Future[object] | None"]) -> None:
        """``make``: takes the number of a request, and overtakes it by another request.

        It returns ``None`` if no connection is left.
        """
        self.make: t.Callable[[int], Future[object] | None] | None = make
        self.sent: set[str] = set()
        self.impossible = False

    def before(self, request: Request, sql: str) -> None:
        """Overtake the request before it sends a statement."""
        if self.make is None or sql in self.sent:
            return
        self.sent.add(sql)
        other = self.make(request.number)
        if LOCKS.search(sql) or not READS.match(sql):
            self.make = None
        try:
            if other is not None:
                other.result(DEADLOCK)
                return
        except FutureTimeout:
            pass
        self.make, self.impossible = None, True
