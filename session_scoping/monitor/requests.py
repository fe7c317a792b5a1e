"""Requests: from the call of the app to the last byte of the response."""

import sys
import typing as t
from functools import partial
from itertools import chain
from traceback import walk_tb

import flask
import sqlalchemy as sa
from sqlalchemy.exc import PendingRollbackError

from session_scoping.monitor import connections
from session_scoping.monitor import sessions
from session_scoping.monitor import sockets
from session_scoping.monitor import state
from session_scoping.monitor.causes import diagnose
from session_scoping.monitor.findings import Finding
from session_scoping.monitor.findings import POOL
from session_scoping.monitor.safety import guarded
from session_scoping.monitor.safety import logger
from session_scoping.monitor.safety import Part
from session_scoping.monitor.safety import switch_off
from session_scoping.monitor.state import App
from session_scoping.monitor.state import call
from session_scoping.monitor.state import CURRENT
from session_scoping.monitor.state import current
from session_scoping.monitor.state import Life
from session_scoping.monitor.state import MARK
from session_scoping.monitor.state import places
from session_scoping.monitor.state import Request
from session_scoping.recording import SessionError
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Labelled
from session_scoping.rules.sight import ViolationKind
from session_scoping.watch import hooks
from session_scoping.watch.contexts import current_context
from session_scoping.watch.contexts import PUSHED
from session_scoping.watch.contexts import pushed_at
from session_scoping.watch.kinds import is_a
from session_scoping.watch.places import raised_at

LIMIT_REACHED = "QueuePool limit"  # of a pool whose connections are all taken
NOTHING_AFTER = 100  # requests without a connection
Answer = t.Callable[..., t.Iterable[bytes]]
Process = t.Callable[..., flask.Response]


class Requests:
    """Watches the requests of an app: around two of its methods, and by its signals.

    The two run in each request, and a receiver of a signal takes longer than a wrapper.
    """

    def __init__(self, watched: App, app: flask.Flask) -> None:
        self.app = watched
        answer: Answer = app.wsgi_app
        app.wsgi_app = partial(self.around, answer)  # type: ignore[method-assign]
        process: Process = app.process_response
        app.process_response = partial(  # type: ignore[method-assign]
            self.around_response, process
        )
        flask.got_request_exception.connect(self.on_exception, app)
        flask.message_flashed.connect(self.on_flash, app)
        flask.appcontext_pushed.connect(self.on_pushed, app)

    def around(
        self,
        answer: Answer,
        environ: dict[str, t.Any],
        start_response: t.Callable[..., t.Any],
    ) -> t.Iterable[bytes]:
        """Call the app, and note when the request begins and when it ends."""
        if hooks.watcher is not None:  # a recorder watches, and sees more
            return answer(environ, start_response)
        request = self.begin(environ)
        try:
            body = call(answer, environ, start_response)
        except BaseException:
            self.end(request)
            raise
        if request is None:
            return body
        request.inside = False
        if not request.closes or not hasattr(body, "close"):
            self.end(request)
            return body
        if not request.streams:  # what runs here until it is closed is not its own
            CURRENT.set(request.outer)
        ends = Body(body)
        ends.requests, ends.request, ends.body = self, request, body
        return ends

    def around_response(self, process: Process, *args: t.Any) -> flask.Response:
        """Process the response, and note that the view has answered."""
        response = process(*args)
        if request := current():
            self.on_answer(request, response)
        return response

    @guarded(Part.REQUESTS)
    def begin(self, environ: dict[str, t.Any]) -> Request:
        """Note that a request begins."""
        if not self.app.requests:  # a context that stays was pushed before
            flask.appcontext_pushed.disconnect(self.on_pushed)
        if path := self.app.settings.socket:
            sockets.serve(path)
        self.app.requests += 1
        before = CURRENT.get()
        nested = before is not None and before.ended is None and before.inside
        request = Request(
            self.app,
            environ,
            before if nested else None,
            self.app.requests % self.app.settings.sample == 0,
        )
        if not nested and flask.has_app_context():
            request.in_context = True
            request.pushed_at = pushed_at()
        CURRENT.set(request)
        connections.last = request
        # What no end of a request has logged: nothing may close a response.
        if self.app.findings.due(request.began):
            self._flush()
        return request

    @guarded(Part.REQUESTS)
    def on_pushed(self, app: flask.Flask, **_: object) -> None:
        """Note where the app opens a context that stays, before its first request."""
        place, stays = places.opens_context()
        if place is not None and stays:
            PUSHED[current_context()] = place

    @guarded(Part.REQUESTS)
    def on_answer(self, request: Request, response: flask.Response) -> None:
        """Note that the view has answered. The response may be streamed later."""
        request.answer()
        if request.lives:
            sessions.note_unsaved(request)
        request.status = status = response.status_code
        if response.direct_passthrough:  # the server closes a file, not a response
            return
        if response.is_streamed:
            # Flask makes an error page of an application, with a known length.
            request.streams = status < 400 or response.content_length is None
        request.closes = True

    @guarded(Part.REQUESTS)
    def on_exception(
        self, app: flask.Flask, exception: BaseException, **_: object
    ) -> None:
        """Report an exception that an earlier mistake has led to."""
        request = current()
        if request is None:
            return
        request.failed = True
        if isinstance(exception, PendingRollbackError):
            request.failed_at = raised_at(exception)
            self._failed(request, "PendingRollbackError", exception)
        elif isinstance(exception, sa.exc.TimeoutError):
            request.failed_at = raised_at(exception)
            self._pool_is_empty(request)

    @guarded(Part.REQUESTS)
    def on_flash(self, app: flask.Flask, message: object, **_: object) -> None:
        """Report the same where Flask-Admin has caught it, and shows it to the user."""
        request = current()
        if request is None or not isinstance(message, str):  # it may be translated late
            return
        if SessionError.ROLLED_BACK in message:
            self._failed(request, "a rolled back transaction", sys.exc_info()[1])
        elif LIMIT_REACHED in message:
            self._pool_is_empty(request)

    def _failed(
        self, request: Request, error: str, exception: BaseException | None
    ) -> None:
        """Report a session that a failure has left unusable.

        If the exception does not say which it is, it may be the only one that was left.
        """
        life = _raised_in(exception)
        if life is not None:
            own = request in {life.request, life.born_in}
        else:
            failed = [*_failed_sessions()]
            left = [each for each in failed if not _is_used_now(each)]
            own = any(each.request is request for each in failed)
            life = left[0] if len(left) == 1 and not own else None
            own = own or (life is None and _makes_sessions(request))
        life = None if own else life
        if not own:
            kind = ViolationKind.PENDING_ROLLBACK
            what = f"fails because of an earlier request: {error}"
        else:
            kind = ViolationKind.NOT_ROLLED_BACK
            what = f"uses the session again without a rollback: {error}"
        line = request.failed_at
        request.findings += (what,)
        self.app.findings.add(
            (kind, line, life and (life.own or life.place)),
            request.name,
            lambda: diagnose(
                kind, what, request, life, life.taken if life else None, line
            ),
        )

    def _pool_is_empty(self, request: Request) -> None:
        """Report what holds the connections of a pool that has none left."""
        line = request.failed_at
        what = "the pool has no connection left (QueuePool limit reached)"
        request.findings += (what,)
        places = (Labelled(Label.OWN, str(line)),) if line else ()
        self.app.findings.add_again(
            POOL,
            request.name,
            lambda: Finding(
                POOL,
                what,
                request.name,
                str(line or ""),
                places,
                details=("these hold them:", *connections.listed()),
            ),
            state.clock(),
        )

    def end(self, request: Request | None, log: bool = True) -> None:
        """Check what a request leaves. Calling it again has no effect.

        It works also when this part was switched off while the request ran.
        """
        if request is None or request.ended is not None:
            return
        try:
            now = state.clock()
            request.finish(now)
            if CURRENT.get() is request:
                CURRENT.set(request.outer)
            if request.outer is not None and request.outer.ended is None:
                self._hand_over(request, request.outer)
            else:
                self._check(request)
            request.lives = ()
            if not log or not (self.app.findings.due(now) or self._to_check()):
                return
        except Exception:
            switch_off(Part.REQUESTS)
        self._flush()

    def _hand_over(self, request: Request, outer: Request) -> None:
        """Leave the sessions of a nested request to the request that made it."""
        for life in request.lives:
            if life.request is request:
                life.request = outer
                outer.lives += (life,)
        for taken in connections.of(request):
            taken.request = outer

    def _check(self, request: Request) -> None:
        if not request.in_context or request.pushed_at is not None:
            if request.lives:
                sessions.check_closed(request)
            if connections.taken_now:
                connections.check_returned(request)
        if connections.taken_now:
            connections.sweep(request)
        self.app.recent.append(request)

    @guarded(Part.FINDINGS)
    def _flush(self) -> None:
        self.app.findings.flush(state.clock())
        if self._to_check():
            self.app.checked = True
            if not connections.used:
                logger().warning(
                    "%s has used no connection of SQLAlchemy in %d requests: the "
                    "monitor has nothing to watch",
                    self.app.name,
                    NOTHING_AFTER,
                )

    def _to_check(self) -> bool:
        return not self.app.checked and self.app.requests >= NOTHING_AFTER


class Body(chain[bytes]):
    """A response that ends its request when the server closes it.

    An app may answer several requests with one response. So the response cannot say it.
    As a ``chain`` of one response it costs a request the least.
    """

    __slots__ = ("requests", "request", "body")
    requests: Requests
    request: Request
    body: t.Iterable[bytes]

    def close(self) -> None:
        request = self.request
        if request.ended is None:  # a client may close it twice
            CURRENT.set(request)
        try:
            self.body.close()  # type: ignore[attr-defined]
        finally:
            self.requests.end(request)

    def __del__(self) -> None:
        """End the request if nothing closes its response: asgiref never does.

        Werkzeug's server does not where the client has left. Garbage may be collected
        anywhere: the next request logs what is found, when it begins.
        """
        if self.request.ended is None and not self.request.streams:
            self.requests.end(self.request, log=False)


def _raised_in(error: BaseException | None) -> Life | None:
    """Return the session in which an exception was raised, if it is known."""
    found: Life | None = None
    for frame, _ in walk_tb(error.__traceback__ if error else None):
        session = frame.f_locals.get("self")
        if is_a(session, sa.orm.Session):
            found = getattr(session, MARK, None) or found
    return found


def _makes_sessions(request: Request) -> bool:
    return any(life.born_in is request for life in request.lives)


def _is_used_now(life: Life) -> bool:
    """Does a request that still runs use the session? It may still roll it back."""
    return life.request is not None and life.request.ended is None


def _failed_sessions() -> t.Iterator[Life]:
    """Yield the sessions in a transaction that a failure has rolled back."""
    for taken in list(connections.taken_now.values()):
        life = taken.life
        session = life.session() if life is not None else None
        if life is not None and session is not None and not session.is_active:
            yield life
