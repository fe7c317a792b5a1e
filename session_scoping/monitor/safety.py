"""Keeps what goes wrong inside the monitor away from the app."""

import logging
import threading
import typing as t
from contextlib import suppress
from functools import wraps

from session_scoping.recording import Word

P = t.ParamSpec("P")
R = t.TypeVar("R")


class Part(Word):
    """A part of the monitor, which is switched off by itself if it fails."""

    REQUESTS = "requests"
    SESSIONS = "sessions"
    CONNECTIONS = "connections"
    FINDINGS = "findings"
    METRICS = "metrics"
    SOCKET = "socket"


off: set[Part] = set()  # the parts that have failed in this process
_lock = threading.RLock()


def logger() -> logging.Logger:
    """Return the logger. ``dictConfig`` disables the loggers that it finds."""
    found = logging.getLogger("session_scoping")
    found.disabled = False
    return found


def guarded(
    part: Part,
) -> t.Callable[[t.Callable[P, R]], t.Callable[P, R | None]]:
    """Make a hook that never raises. After an error its part does nothing any more.

    The hook then returns ``None``. What ends a thread or a greenlet passes through.
    """

    def guard(hook: t.Callable[P, R]) -> t.Callable[P, R | None]:
        @wraps(hook)
        def run(*args: P.args, **named: P.kwargs) -> R | None:
            if off and part in off:
                return None
            try:
                return hook(*args, **named)
            except Exception:
                switch_off(part)
                return None

        return run

    return guard


def switch_off(part: Part) -> None:
    """Log the error that is being handled, and switch a part off for good."""
    with _lock:
        known = part in off
        off.add(part)
    if not known:
        with suppress(Exception):  # of a handler of the log
            logger().exception(
                "the monitor has failed, and its part %r is off until the app is "
                "started again; the app is not affected",
                str(part),
            )
