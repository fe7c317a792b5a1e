"""An admin is driven from its first list to its last row, and what is seen recorded."""

import logging
import re
import typing as t
from contextlib import contextmanager

import flask

from session_scoping.drive.crawler import Crawler
from session_scoping.drive.crawler import MakeClient
from session_scoping.drive.crawler import Reference
from session_scoping.drive.faults import FAULTS
from session_scoping.drive.writer import Writer
from session_scoping.errors import CannotTell
from session_scoping.recording import Recording
from session_scoping.watch.recorder import Recorder

Progress = t.Callable[[str, int, int], object]  # what is done, of how many

UNANSWERED = re.compile("OperationalError|ProgrammingError")  # of SQLAlchemy


@contextmanager
def silence() -> t.Iterator[None]:
    """No log of what is told as a verdict; a record also keeps what it is about."""
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
    faults: bool | t.Collection[str] = False,
    write: bool = False,
    leave_alone: t.Sequence[str] = (),
    progress: Progress = lambda name, done, total: None,
    recorder: Recorder | None = None,
    reference: Reference | None = None,
) -> Recording:
    """Drive all that can be read in the admin of ``app``, and write down what is seen.

    ``client`` takes the app and returns a test client, logged in where that is needed.
    ``faults`` fails each operation at each of its steps, in all or in some ways.
    ``write`` drives what writes too, on rows that it creates and deletes.
    ``leave_alone``: see ``Recorder``; one that has watched the app being built can be
    given, running.
    ``reference``: what is known of an app that is there to be driven.
    Raises ``CannotTell`` when there is no Admin, no SQLAlchemy view, or no answer.
    """
    if recorder is None:
        recorder = Recorder(leave_alone)
        recorder.start()
    try:
        ways = FAULTS if faults is True else faults or ()
        crawler = Crawler(app, recorder, client, ways, reference)
        operations = crawler.plan()
        if reference is not None:
            operations += reference.operations(recorder.learn(app))
        with silence():
            for done, operation in enumerate(operations):
                progress(operation.name, done, len(operations))
                crawler.drive(operation)
            if write:
                recorder.find_kept()  # writing would put other things in their place
                with Writer(app, crawler) as writer:
                    for done, number in enumerate(writer.views):
                        progress("create, edit, delete", done, len(writer.views))
                        writer.drive(number)
        progress("", len(operations), len(operations))
    finally:
        recording = recorder.stop()
    lists = [
        request
        for request in recording.requests
        if request.operation == "list" and not request.failed
    ]
    if lists and all(UNANSWERED.search(request.error) for request in lists):
        raise CannotTell(
            f"no list can be read: {lists[0].error}: is the database there, and has it "
            "its tables?"
        )
    return recording
