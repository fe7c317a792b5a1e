"""What an app writes while its pages are read, and the requests that fail by that.

Such a write is rolled back when the app commits it, or refused: ``drive.dry_run``.
"""

import re
import typing as t
from collections import defaultdict

from session_scoping.recording import Recording
from session_scoping.recording import REFUSED
from session_scoping.recording import Request
from session_scoping.recording import Write

SHORT = 100  # characters of a statement
# The error of a write that was refused: by the guard, PostgreSQL, and MySQL.
OF_REFUSAL = re.compile(rf"{REFUSED}|read-only transaction|READ ONLY transaction")
# The error of code that misses a row, or finds it unchanged.
OF_MISSING = re.compile(
    "ObjectDeletedError|NoResultFound|StaleDataError|Could not refresh instance"
    "|'NoneType'|(?i:foreign.?key)"
)


def writes(recording: Recording) -> t.Iterator[str]:
    """Yield a line for each statement and place that wrote while pages were read."""
    groups: dict[t.Any, list[Write]] = defaultdict(list)
    for write in recording.writes:
        groups[write.sql, write.own or write.place, write.refused].append(write)
    for (sql, place, refused), found in groups.items():
        short = sql if len(sql) <= SHORT else f"{sql[:SHORT]} …"
        times = "once" if len(found) == 1 else f"{len(found):,} times"
        if refused:
            what = "refused, because a rollback would not undo it"
        elif any(write.committed for write in found):
            what = "rolled back"
        else:
            what = "rolled back; the app itself does not commit it"
        where = place or "the app"
        yield f"{where} writes while pages are read, {times}: `{short}`: {what}"


def hindered(recording: Recording) -> list[Request]:
    """Return the requests that failed because nothing is written while pages are read.

    Their error says that a write was refused, or that a row is missing or unchanged
    which they had committed before.
    """
    refused = {write.request for write in recording.writes if write.refused}
    committed = {write.request for write in recording.writes if write.committed}
    return [
        request
        for request in recording.requests
        if request.failure
        and (
            request.number in refused
            or OF_REFUSAL.search(request.failure)
            or (request.number in committed and OF_MISSING.search(request.failure))
        )
    ]
