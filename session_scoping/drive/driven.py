"""A driven request: where it fails, and which requests overtake it."""

import typing as t
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from sqlalchemy.engine import Dialect

from session_scoping.drive.faults import driver_error
from session_scoping.drive.faults import shorten
from session_scoping.drive.operations import Task
from session_scoping.drive.sql import may_write
from session_scoping.drive.sql import takes_lock
from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import Request

# An app may have a lock of its own, for which the concurrent request waits. The other
# request goes on after this many seconds.
DEADLOCK = 10


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

    def step(self, request: Request, sql: str, dialect: Dialect) -> None:
        """A statement or a commit is about to be sent."""
        self.commits += sql == "COMMIT"
        if self.overtaken is not None:
            self.overtaken.before(request, sql)
            if sql == "COMMIT" and not self.writes:
                self.overtaken.release(request)


class Writing(Driven):
    """A request that is allowed to write."""

    writes = True


class Failing(Driven):
    """A request that does the same as a writing request, and fails before it writes."""

    def step(self, request: Request, sql: str, dialect: Dialect) -> None:
        if may_write(sql):
            request.injected = Injected(Fault.BEFORE, shorten(sql))
            raise driver_error(dialect)


class Overtaken:
    """Overtakes a request by concurrent requests that do the same.

    Before each new statement of the request a concurrent request is made on another
    thread, and finished. While the request has a lock none is made: it would wait.
    """

    def __init__(self, make: t.Callable[[int], "Future[object] | None"]) -> None:
        """``make``: takes the number of a request, and overtakes it by another request.

        It returns ``None`` if no connection is left.
        """
        self.make: t.Callable[[int], Future[object] | None] | None = make
        self.sent: set[str] = set()
        self.locked = False  # may the request have a lock?
        self.impossible = False

    def before(self, request: Request, sql: str) -> None:
        """Overtake the request before it sends a statement."""
        if self.make is None or self.locked or sql in self.sent:
            return
        self.sent.add(sql)
        other = self.make(request.number)
        self.locked = takes_lock(sql)
        try:
            if other is not None:
                other.result(DEADLOCK)
                return
        except FutureTimeout:
            pass
        self.make, self.impossible = None, True

    def release(self, request: Request) -> None:
        """Go on after a commit, if it ends the only transaction of the request."""
        if request.taken - request.returned == 1:
            self.locked = False
