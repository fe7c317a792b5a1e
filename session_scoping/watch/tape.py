"""The recording that is being made."""

import threading
from time import perf_counter

from session_scoping.recording import Recording
from session_scoping.watch.running import RUNNING
from session_scoping.watch.running import Running
from session_scoping.watch.versions import stack


class Tape:
    """The recording that all parts of a recorder write to, and the running requests.

    ``lock`` guards what several threads add to. A thread may take it again: garbage is
    collected at any moment, and its finalizer may make a session.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin a new, empty recording."""
        self.recording = Recording(stack=dict(stack()))
        self.running: dict[int, Running] = {}  # by the number of the request
        self._began = perf_counter()

    def clock(self) -> float:
        """Return the seconds since the recording began."""
        return perf_counter() - self._began

    def current(self) -> Running | None:
        """Return the request that runs here, if it belongs to this recording.

        A task that a request has started inherits the request, and may outlive it.
        """
        running = RUNNING.get()
        if running is None or running.recording is not self.recording:
            return None
        return None if running.over() else running

    def meanwhile(self) -> int | None:
        """Return a request that is running, if all that are running do the same."""
        now = [running.request for running in list(self.running.values())]
        alike = len({(request.view, request.operation) for request in now}) == 1
        return now[0].number if alike else None
