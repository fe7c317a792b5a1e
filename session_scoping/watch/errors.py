"""Errors of a session that are caught, or that end a thread."""

import logging
import threading
import typing as t

import flask

from session_scoping.recording import DetachedRow
from session_scoping.recording import SessionError
from session_scoping.watch.kinds import is_a
from session_scoping.watch.places import describe
from session_scoping.watch.places import first_line
from session_scoping.watch.places import raised_at
from session_scoping.watch.tape import Tape

Hook = t.Callable[..., t.Any]


class Errors:
    """Records messages to the user and in a log, and threads that end with an error.

    Only the errors count that say that a session was closed, mixed up, failed or
    shared. They are evidence by themselves.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._makes_record: Hook = logging.getLogRecordFactory()
        self._thread_ends: Hook = threading.excepthook

    def start(self) -> None:
        """Watch the log and the threads. What watched them before goes on."""
        self._makes_record = logging.getLogRecordFactory()
        self._thread_ends = threading.excepthook
        logging.setLogRecordFactory(self._on_log)
        threading.excepthook = self._on_thread

    def stop(self) -> None:
        """Restore both hooks, unless other code has replaced them since."""
        if logging.getLogRecordFactory() == self._on_log:
            logging.setLogRecordFactory(self._makes_record)
        if threading.excepthook == self._on_thread:
            threading.excepthook = self._thread_ends

    def on_flash(self, app: flask.Flask, message: object, **_: object) -> None:
        """Record a message to the user that names an error of a session."""
        self._note(str(message))

    def _on_log(self, name: str, *details: t.Any, **more: t.Any) -> logging.LogRecord:
        """Record a message in a log that names an error of a session.

        SQLAlchemy itself logs what it meets while it drops a connection.
        """
        record: logging.LogRecord = self._makes_record(name, *details, **more)
        if not name.startswith("sqlalchemy."):
            # Formatting the message here would format all of its arguments once more.
            values = record.args if is_a(record.args, tuple) else ()
            for part in (record.msg, *values):
                if is_a(part, str):
                    self._note(part)
                elif is_a(part, BaseException):
                    self._note_error(part)
            if record.exc_info and record.exc_info[1]:
                self._note_error(record.exc_info[1])
        return record

    def _on_thread(self, arguments: threading.ExceptHookArgs) -> None:
        """Record a thread that ends with an error."""
        if arguments.exc_value is not None:
            self._note_error(arguments.exc_value)
        self._thread_ends(arguments)

    def _note_error(self, error: BaseException) -> None:
        """Record an error, also of a thread that serves no request."""
        self._note(describe(error))
        thread = threading.current_thread()
        outside = self.tape.current() is None and thread is not threading.main_thread()
        if outside and SessionError.DETACHED in str(error):
            row = DetachedRow(describe(error), raised_at(error), thread.name)
            row.request = self.tape.meanwhile()
            self.tape.recording.detached_rows.append(row)

    def _note(self, said: str) -> None:
        running = self.tape.current()
        if running is not None and any(error in said for error in SessionError):
            running.request.said = [*running.request.said, first_line(said)]
