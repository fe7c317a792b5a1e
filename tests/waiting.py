"""Wait for another thread, and fail when it does not come."""

import threading

LIMIT = 60  # seconds


def wait_for(event: threading.Event) -> None:
    """Wait until another thread sets an event.

    :raises AssertionError: if it does not.
    """
    assert event.wait(LIMIT), "no thread has set the event"
