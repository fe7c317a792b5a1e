"""Drives an admin from its first list to its last row, and records what is seen."""

import logging
import re
import typing as t
from contextlib import contextmanager
from contextlib import nullcontext

import flask

import session_scoping.interrupts as interrupts
from session_scoping.drive.client import MakeClient
from session_scoping.drive.crawler import Crawler
from session_scoping.drive.crawler import Reference
from session_scoping.drive.operations import plan
from session_scoping.drive.write.writer import Writer
from session_scoping.errors import CannotTell
from session_scoping.recording import Fault
from session_scoping.recording import LIST
from session_scoping.recording import Recording
from session_scoping.watch.recorder import Recorder

# Takes the name of an operation, how many are done, and how many there are.
Progress = t.Callable[[str, int, int], object]

WRITES = 5  # operations of a view that write: create, edit, inline, delete, bulk delete
UNANSWERED = re.compile("OperationalError|ProgrammingError")  # of SQLAlchemy


@contextmanager
def quiet() -> t.Iterator[None]:
    """Log without a place to log to. A handler of a logger still gets its records."""
    root = logging.root
    before, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = before


@contextmanager
def silence() -> t.Iterator[None]:
    """Disable logging: a log record would keep alive the objects that it is about."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def record(
    app: flask.Flask,
    *,
    client: MakeClient | None = None,
    faults: bool | t.Collection[Fault] = False,
    write: bool = False,
    skip: t.Sequence[str] = (),
    leave_alone: t.Sequence[str] = (),
    progress: Progress = lambda name, done, total: None,
    recorder: Recorder | None = None,
    reference: Reference | None = None,
) -> Recording:
    """Drive the admin of ``app``, and return a recording of what is seen.

    Ctrl-C takes effect when the request that runs is over. A second Ctrl-C drops it.

    :param client: A function that takes the app and returns a test client. The client
        has to be logged in if the admin needs that.
    :param faults: Inject a fault at each step of each operation: ``True`` for all
        kinds of faults, or the kinds of ``session_scoping.recording.Fault``.
    :param write: Drive the operations that write, too, on rows that it creates and
        deletes. Otherwise nothing is written to the database: what the app writes while
        a page is read is rolled back.
    :param skip: Shell-style patterns of endpoints that are not requested, as those of
        pages that send mail.
    :param leave_alone: Patterns of sessions that break no rule: see ``Recorder``.
    :param progress: A function that is called before each operation, with its name,
        the number of operations that are done, and the number of all.
    :param recorder: A recorder that the caller has started, before the app is built.
        The caller stops it, too: the recording is complete then. ``leave_alone`` has
        no effect on it.
    :param reference: What more to do in a throwaway app, and what it has to show.
    :raises CannotTell: There is no ``Admin``, no SQLAlchemy view, or no list that can
        be read; the test client does not reach the app; or a pattern of ``skip``
        matches no endpoint.
    :raises TypeError: It is no Flask app, or patterns are a string.
    :raises ValueError: One of ``faults`` is no ``Fault``.
    """
    if not isinstance(app, flask.Flask):
        raise TypeError(f"record drives a Flask app, and was given {app!r}")
    with (
        interrupts.held(),
        nullcontext(recorder) if recorder else Recorder(leave_alone) as recorder,
    ):
        recording = recorder.recording
        kinds = [*Fault] if faults is True else [Fault(kind) for kind in faults or ()]
        crawler = Crawler(app, recorder, client, kinds, reference, skip)
        tasks = plan(app, recorder)
        if reference is not None:
            tasks += reference.tasks(recorder.learn(app))
        with silence() if reference is None else quiet():
            written = {task.view for task in tasks if task.operation == LIST}
            total = len(tasks) + (WRITES * len(written) if write else 0)
            done = 0

            def drive(ends_login: bool) -> None:
                nonlocal done
                for task in tasks:
                    if task.ends_login == ends_login:
                        progress(str(task.operation), done, total)
                        crawler.drive(task)
                        done += 1

            with crawler.reading():
                drive(ends_login=False)
            if reference is not None:
                crawler.read_changed(reference, tasks)
            if write:
                recorder.find_kept()  # before writing replaces what is kept
                crawler.renew_clients()  # a page may have logged them out
                with Writer(crawler) as writer:
                    for view in writer.views:
                        progress("create, edit, delete", done, total)
                        writer.drive(view)
                        done += WRITES
                    writer.finish()
            drive(ends_login=True)
        progress("", total, total)
    lists = [
        request
        for request in recording.requests
        if request.operation == LIST and not request.injected
    ]
    if lists and all(UNANSWERED.search(request.exception) for request in lists):
        raise CannotTell(
            f"no list can be read: {lists[0].exception}: does the database exist, "
            "and does it have the tables?"
        )
    return recording
