"""Ctrl-C: at any moment it ends a command with one line, and accuses no app.

A command goes through three states. It ends at once while it starts and when it is done
(``end``). It raises ``KeyboardInterrupt`` while it works (``raised``). It holds Ctrl-C
back while it drives an app (``held``), because a request that is cut off leaves behind
what no app would.
"""

import os
import signal
import sys
import threading
import typing as t
from contextlib import contextmanager
from contextlib import suppress

from session_scoping.status import Status

LINE = "session-scoping: interrupted\n"


class Held:
    """What is known of Ctrl-C while it is held back."""

    holding = False
    pending = False  # was it pressed?
    in_request = False  # does a request run, which a second Ctrl-C drops?


def end(*_: object) -> None:
    """Handle Ctrl-C: end the process now."""
    with suppress(Exception):  # it may be written to at this moment
        sys.stdout.flush()
    os.write(2, LINE.encode())
    os._exit(Status.INTERRUPTED)


def end_at_once() -> None:
    """Let Ctrl-C end the process, unless it is ignored or handled already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


@contextmanager
def raised() -> t.Iterator[None]:
    """Raise ``KeyboardInterrupt`` in a ``with`` block, where Ctrl-C would end it."""
    if signal.getsignal(signal.SIGINT) is not end:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, end)


@contextmanager
def held() -> t.Iterator[None]:
    """Hold Ctrl-C back in a ``with`` block, until ``check`` is called.

    A second Ctrl-C drops the request that runs. Another handler is left alone.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    Held.holding, Held.pending = True, False
    signal.signal(signal.SIGINT, _hold)
    try:
        yield
    finally:
        Held.holding = False
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if Held.pending:
        raise KeyboardInterrupt


def _hold(*_: object) -> None:
    if Held.pending and Held.in_request:
        raise KeyboardInterrupt
    Held.pending = True


def check() -> None:
    """Raise ``KeyboardInterrupt`` if it was held back."""
    if Held.holding and Held.pending:
        Held.pending = False
        raise KeyboardInterrupt


@contextmanager
def request() -> t.Iterator[None]:
    """Make a request in a ``with`` block, on the main thread.

    Raises ``KeyboardInterrupt`` before it if Ctrl-C was held back.
    """
    check()
    Held.in_request = True
    try:
        yield
    finally:
        Held.in_request = False


@contextmanager
def kept_from_children() -> t.Iterator[None]:
    """Start processes in a ``with`` block that Ctrl-C in a terminal does not reach."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
