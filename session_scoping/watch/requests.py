"""Requests, from the first byte in to the last byte out."""

import threading
import typing as t
from weakref import ref

import flask

from session_scoping.recording import Request
from session_scoping.watch.contexts import current_context
from session_scoping.watch.contexts import pushed_at
from session_scoping.watch.own_context import PRESERVE
from session_scoping.watch.places import code_of
from session_scoping.watch.places import raised_at
from session_scoping.watch.places import raised_while_saving
from session_scoping.watch.places import where
from session_scoping.watch.running import DRIVE
from session_scoping.watch.running import Drive
from session_scoping.watch.running import Running
from session_scoping.watch.tape import Tape
from session_scoping.watch.views import Views

TEARDOWNS = {
    flask.Flask.do_teardown_request.__code__,
    flask.Flask.do_teardown_appcontext.__code__,
}


class Requests:
    """Records each request: when it began and ended, its view, and its answer.

    ``own_contexts``: does each request run in a context of its own, so that Flask
    pushes a new app context although the caller is inside of one?
    """

    def __init__(self, tape: Tape, views: Views, own_contexts: bool) -> None:
        self.tape = tape
        self.views = views
        self.own_contexts = own_contexts
        self.clear()

    def clear(self) -> None:
        """Forget the paths that requests share."""
        self._paths: dict[str, str] = {}

    def begin(self, app: flask.Flask, environ: dict[str, t.Any]) -> Running:
        """Record that a request begins."""
        tape = self.tape
        outer = tape.current()
        path = environ.get("PATH_INFO", "")
        if query := environ.get("QUERY_STRING"):
            path = f"{path}?{query}"
        drive: Drive | None = environ.get(DRIVE)
        request = Request(
            0,
            environ.get("REQUEST_METHOD", ""),
            self._paths.setdefault(path, path),
            started=tape.clock(),
            thread=threading.current_thread().name,
        )
        if drive is not None:
            request.view, request.operation = drive.view, drive.operation
            drive.begun(request)
        if outer is not None and outer.request.ended:  # a test client preserves it
            outer = None
        if outer is not None:
            request.parent = outer.request.number
        elif flask.has_app_context():
            request.outer_context = current_context().app is app
            request.pushed_at = pushed_at() if request.outer_context else None
        with tape.lock:
            request.number = len(tape.recording.requests)
            tape.recording.requests.append(request)
        self.views.learn(app)
        preserved = bool(environ.get(PRESERVE))
        running = Running(tape.recording, request, drive, preserved, outer)
        tape.running[request.number] = running
        return running

    def end(self, running: Running, error: BaseException | None = None) -> None:
        """Record that the response is complete, or that ``error`` has ended it.

        Calling it again has no effect.
        """
        request = running.request
        if request.ended or request.interrupted:
            return
        if isinstance(error, KeyboardInterrupt):
            request.interrupted, request.status = True, 0
            with self.tape.lock:
                self.tape.running.pop(request.number, None)
            return
        request.ended = self.tape.clock()
        thread = threading.current_thread().name
        if thread != request.thread:
            request.ended_on = thread
        with self.tape.lock:
            self.tape.running.pop(request.number, None)
        if error is not None:
            if not TEARDOWNS.isdisjoint(code_of(error)):
                request.teardown_failed_at = raised_at(error)
            if running.answered:
                request.stream_exception = where(error)
                request.raised_at = raised_at(error)
            else:
                request.exception, request.status = where(error), 500
        self.tape.recording.unreturned += running.taken[:1]

    def on_answer(
        self, app: flask.Flask, response: flask.Response, **_: object
    ) -> None:
        """Record the answer of a view, which may be streamed later."""
        running = self.tape.current()
        if running is None:
            return
        request = running.request
        running.answered = True
        # Flask makes an error page of an application: it streams, with a known length.
        is_page = response.status_code >= 400 and response.content_length is not None
        streams = response.is_streamed and not response.direct_passthrough
        running.streams = streams and not is_page
        request.streamed = running.streams
        request.status = response.status_code
        if running.preserved:
            running.context = ref(current_context())
        if request.view is None:
            endpoint = flask.request.endpoint or ""
            request.view = self.views.learn(app).get(endpoint.rpartition(".")[0])

    def on_exception(
        self, app: flask.Flask, exception: BaseException, **_: object
    ) -> None:
        """Record an exception that ends a view."""
        running = self.tape.current()
        if running is not None:
            running.request.exception = where(exception)
            running.request.raised_at = raised_at(exception)
            running.request.raised_while_saving = raised_while_saving(exception)
