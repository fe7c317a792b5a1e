"""A request that is driven: what it may send, and whom it waits for before it does."""

import re
import threading

from session_scoping.faults import failure
from session_scoping.faults import short
from session_scoping.operations import Operation
from session_scoping.places import Places
from session_scoping.recording import Request
from session_scoping.recording import Stopped

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
# Seconds to wait for the other of two requests at the same time: less than the five for
# which Python waits for SQLite (https://docs.python.org/3/library/sqlite3.html).
PATIENCE = 2


class WriteStopped(Exception):
    """A statement that would have written, where nothing may be written."""


def only_read(request: Request, sql: str, places: Places) -> None:
    """Stop a statement that would write, and note it with the request."""
    if not READS.match(sql):
        stopped = Stopped(" ".join(sql.split())[:200], *places.here(5))
        request.stopped = [*request.stopped, stopped]
        raise WriteStopped(f"nothing may be written: {stopped.sql[:60]}")


class Meeting:
    """Where two requests that do the same wait for each other, before each statement:
    until one of them is over, or may have a lock that the other has to wait for."""

    def __init__(self) -> None:
        self._barrier = threading.Barrier(2)
        self._is_over = False
        self.locked = False
        self.in_vain = False  # has one of them not come?

    def wait(self, sql: str) -> None:
        try:
            self._barrier.wait(PATIENCE)
        except threading.BrokenBarrierError:
            self.in_vain = self.in_vain or not self._is_over
        if LOCKS.search(sql):
            self.locked = True
            self.over()

    def over(self) -> None:
        self._is_over = True
        self._barrier.abort()


class DrivenRequest:
    """One request that the crawler makes."""

    writes = False

    def __init__(self, operation: Operation, meeting: Meeting | None = None) -> None:
        self.does = operation
        self.request: Request | None = None
        self.view = operation.view
        self.operation = operation.name
        self.meeting = meeting

    def begun(self, request: Request) -> None:
        self.request = self.request or request

    def step(self, request: Request, sql: str) -> None:
        if self.meeting is not None:
            self.meeting.wait(sql)

    def ended(self) -> None:
        """Nobody waits for a request that is over."""
        if self.meeting is not None:
            self.meeting.over()


class Reading(DrivenRequest):
    """One that may not write."""

    def __init__(
        self, operation: Operation, places: Places, meeting: Meeting | None = None
    ) -> None:
        super().__init__(operation, meeting)
        self.places = places

    def step(self, request: Request, sql: str) -> None:
        only_read(request, sql, self.places)
        super().step(request, sql)


class Rival(DrivenRequest):
    """One that does the same as one that writes, and fails where it would write."""

    meeting: Meeting

    def __init__(self, operation: Operation) -> None:
        super().__init__(operation, Meeting())
        self._over = threading.Event()

    def step(self, request: Request, sql: str) -> None:
        super().step(request, sql)
        if not READS.match(sql):
            self.meeting.over()
            request.failed = short(sql)
            raise failure(sql)

    def ended(self) -> None:
        super().ended()
        self._over.set()

    def make_way(self) -> None:
        """Wait until it is over, unless it waits for a lock that one has."""
        if not self.meeting.locked:
            self._over.wait(PATIENCE)


class Writing(DrivenRequest):
    """One that may write, when its rival is over: a database could have them wait for
    each other."""

    writes = True

    def __init__(self, operation: Operation, rival: Rival | None = None) -> None:
        super().__init__(operation, rival.meeting if rival else None)
        self.rival = rival

    def step(self, request: Request, sql: str) -> None:
        super().step(request, sql)
        if self.rival is not None and not READS.match(sql):
            self.rival.make_way()
