"""The recording that is being made."""

import threading
from time import perf_counter

from session_scoping.recording import Recording
from session_scoping.watch.running import RUNNING
from session_scoping.watch.running import Running
from session_scoping.watch.versions import stack


class Tape:
    """The recording that all parts of a recorder write to, and the running requests.

    ``lock`` guards what several threads add to.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
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
        """Return the request that runs here, if it belongs to this recording."""
        running = RUNNING.get()
        return running if running and running.recording is self.recording else None
