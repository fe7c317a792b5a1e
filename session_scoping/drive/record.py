"""Drives an admin from its first list to its last row, and records what is seen."""

import logging
import re
import typing as t
from contextlib import contextmanager
from contextlib import nullcontext

import flask

from session_scoping.drive.crawler import Crawler
from session_scoping.drive.crawler import MakeClient
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

UNANSWERED = re.compile("OperationalError|ProgrammingError")  # of SQLAlchemy


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
    leave_alone: t.Sequence[str] = (),
    progress: Progress = lambda name, done, total: None,
    recorder: Recorder | None = None,
    reference: Reference | None = None,
) -> Recording:
    """Drive the admin of ``app``, and return a recording of what is seen.

    :param client: A function that takes the app and returns a test client. The client
        has to be logged in if the admin needs that.
    :param faults: Inject a fault at each step of each operation: ``True`` for all
        kinds of faults, or the kinds of ``session_scoping.recording.Fault``.
    :param write: Drive the operations that write, too, on rows that it creates and
        deletes. Otherwise nothing is written to the database.
    :param leave_alone: Patterns of sessions that break no rule: see ``Recorder``.
    :param progress: A function that is called before each operation, with its name,
        the number of operations that are done, and the number of all.
    :param recorder: A recorder that the caller has started, before the app is built.
        The caller stops it, too: the recording is complete then. ``leave_alone`` has
        no effect on it.
    :param reference: What more to do in a throwaway app, and what it has to show.
    :raises CannotTell: There is no ``Admin``, no SQLAlchemy view, or no list that can
        be read; or the test client does not reach the app.
    """
    with nullcontext(recorder) if recorder else Recorder(leave_alone) as recorder:
        recording = recorder.recording
        kinds = tuple(Fault) if faults is True else faults or ()
        crawler = Crawler(app, recorder, client, kinds, reference)
        tasks = plan(app, recorder)
        if reference is not None:
            tasks += reference.tasks(recorder.learn(app))
        with silence():
            for done, task in enumerate(tasks):
                progress(str(task.operation), done, len(tasks))
                crawler.drive(task)
            if write:
                recorder.find_kept()  # before writing replaces what is kept
                with Writer(crawler) as writer:
                    for done, number in enumerate(writer.views):
                        progress("create, edit, delete", done, len(writer.views))
                        writer.drive(number)
        progress("", len(tasks), len(tasks))
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
