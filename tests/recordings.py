"""Recordings that are written by hand, in a few lines."""

import typing as t
from dataclasses import replace
from inspect import signature

from session_scoping.recording import Fault
from session_scoping.recording import Injected
from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import LIST
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Unreturned
from session_scoping.recording import Unsolicited
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.recording import Write
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule

LIBRARY = Place("flask_admin/contrib/sqla/view.py", 1041, "get_list")
VALIDATORS = Place("flask_admin/contrib/sqla/validators.py", 40, "__call__")
OF_APP = Place("flask_admin_views.py", 3, "get_query")  # not Flask-Admin's
OWN = Place("shop/admin.py", 17, "create_app")
OTHER = Place("shop/admin.py", 99, "get_query")
PENDING = "PendingRollbackError: This Session's transaction has been rolled back"
RECONNECT = "PendingRollbackError: Can't reconnect until it is rolled back"
DETACHED = "DetachedInstanceError: Parent instance is not bound to a Session"
OF_A_THREAD = "ProgrammingError: SQLite objects can only be used in that same thread."
ATTACHED = "InvalidRequestError: Object '<User>' is already attached to session '2'"


def view(**more: t.Any) -> View:
    defaults = {
        "name": "UserView",
        "endpoint": "user",
        "model": "User",
        "handle": "flask_sqlalchemy.SQLAlchemy",
    }
    return View(**{**defaults, **more})


def request(number: int, *uses: Use | int, **more: t.Any) -> Request:
    """Make a request that starts at second ``number``.

    A number among the uses stands for a session that is used and closed.
    """
    defaults = {"view": 0, "operation": LIST, "status": 200}
    times = {"started": float(number), "ended": number + 0.5}
    used = tuple(use(each) if isinstance(each, int) else each for each in uses)
    given = {**defaults, **times, **more}
    return Request(number, "GET", "/admin/user/", uses=used, **given)


def use(session: int, **more: t.Any) -> Use:
    return Use(session, LIBRARY, **{"closed": True, **more})


def closed_by(library: Place) -> Use:
    return use(0, closed_early=library, closed_unsolicited=True)


def session(number: int, **more: t.Any) -> Session:
    """Make a session of the request of the same number, closed."""
    defaults = {"maker": Maker.FLASK_SQLALCHEMY, "engines": [0], "closed": True}
    return Session(number, **{**defaults, "born_in": number, **more})


def on_a_thread(maker: Maker = Maker.HAND, **more: t.Any) -> Session:
    """Make a session that a thread has used outside of any request, and not closed."""
    outside = Outside(OWN, OWN, "worker", **more)
    return session(0, maker=maker, closed=False, outside=[outside])


def recording(
    requests: t.Sequence[Request],
    sessions: t.Sequence[Session] | None = None,
    views: t.Sequence[View] = (view(),),
    kept: t.Sequence[KeptInstance] = (),
    unreturned: t.Sequence[Unreturned] = (),
    late_commits: t.Sequence[LateCommit] = (),
    unsolicited: t.Sequence[Unsolicited] = (),
    writes: t.Sequence[Write] = (),
    admin: str = "2.2.1",
    flask: str = "3.1.1",
) -> Recording:
    if sessions is None:
        used = {use.session for request in requests for use in request.uses}
        sessions = [session(number) for number in range(max(used, default=-1) + 1)]
    assert [session.number for session in sessions] == list(range(len(sessions)))
    assert [request.number for request in requests] == list(range(len(requests)))
    return Recording(
        "shop",
        {"Flask-Admin": admin, "Flask": flask},
        ["sqlite:///shop.db", "sqlite:///log.db"],
        list(views),
        list(requests),
        list(sessions),
        list(kept),
        list(unreturned),
        list(late_commits),
        list(unsolicited),
        list(writes),
    )


def alone(*uses: Use | int, sessions: t.Any = None, **more: t.Any) -> Recording:
    """Record a single request.  Further arguments are for it, or for the recording."""
    names = {*signature(recording).parameters} & {*more}
    given = {name: more.pop(name) for name in names}
    return recording([request(0, *uses, **more)], sessions, **given)


def staircase(length: int = 3) -> Recording:
    """Record requests with a session each, closed at the end of the request."""
    numbers = range(length)
    return recording([request(n, n) for n in numbers])


def of_form(seen: Recording, *made: bool | None) -> Recording:
    """Record which views have created a row."""
    return replace(seen, views=[view(row_made=each) for each in made])


def shared(maker: str, kept_by: t.Sequence[str] = ()) -> Recording:
    """Record two requests that share a session, which stays open."""
    requests = [request(n, use(0, closed=False)) for n in (0, 1)]
    given = session(0, maker=maker, closed=False, kept=True, kept_by=kept_by)
    return recording(requests, [given])


def held(maker: str) -> Recording:
    """Record a view that holds a session of startup, and does not use it."""
    given = session(0, maker=maker, born_in=None, at_startup=True, own=OWN)
    return alone(sessions=[given], views=[view(session=0, handle="Session")])


IN_A_MODULE = ["module shop", "session"]
OLDER = {"born_in": None}  # than the requests
HAND = {"maker": Maker.HAND, "born_in": 0}
BY_HAND = session(1, maker=Maker.HAND)
BY_ADMIN = {"maker": Maker.HAND, "place": LIBRARY}
ON_A_THREAD = Outside(LIBRARY, None, "worker", 0)
NESTED = {"parent": 0, "started": 0.1, "ended": 0.2}
OVERTAKING = {"overtakes": 1, "started": 1.1, "ended": 1.2}
OVERLAPPING = {"started": 0.25, "ended": 0.75}
STARTUP = {"born_in": None, "at_startup": True, "kept": True}
OF_A_FORM = ["Admin → PostView → _create_form_class", "UnboundField.kwargs", "default"]
AUTOFLUSH = {"flush_failed_at": OWN, "autoflush_failed": True}
STREAM: dict[str, t.Any] = {"streamed": True, "stream_exception": DETACHED}
FAULT = Injected(Fault.BEFORE, "SELECT 1")
ROLLED_BACK = Injected(Fault.ROLLBACK, "ROLLBACK")
FAULTED = {"injected": FAULT, "exception": "OperationalError: failed", "status": 500}
ERROR: dict[str, t.Any] = {"exception": "ValueError: no", "status": 500}


def broken_rules(seen: Recording) -> str:
    rules = {violation.rule for violation in judge(seen).violations}
    return " ".join(rule for rule in Rule if rule in rules)


def asked(number: int, **more: t.Any) -> Session:
    """Make a session that a view's handle has made, and nothing has closed."""
    of_handle = {**HAND, "own": OWN, "handle_of": 0, "closed": False}
    return session(number, **{**of_handle, **more})


def asked_twice(second: Use | None = None, **more: t.Any) -> Recording:
    """Record a request to which a handle has given two sessions.

    ``second``: the use of the second. Further arguments are for the second session.
    """
    uses = use(0, closed=False), second or use(1, closed=False)
    return alone(*uses, sessions=[asked(0), asked(1, **more)])


def names_of_causes(seen: Recording) -> set[str]:
    return {
        violation.cause.name if violation.cause else ""
        for violation in judge(seen).violations
    }


def two_views(first: Recording, second: Recording) -> Recording:
    """Put the second recording behind the first, with its requests in another view."""
    requests, sessions = len(first.requests), len(first.sessions)
    more = [
        replace(
            request,
            number=request.number + requests,
            view=1,
            started=request.started + requests,
            ended=request.ended + requests,
            uses=[replace(use, session=use.session + sessions) for use in request.uses],
        )
        for request in second.requests
    ]
    further = [
        replace(
            session,
            number=session.number + sessions,
            born_in=(session.born_in or 0) + requests,
        )
        for session in second.sessions
    ]
    late = [
        LateCommit(commit.request + requests, commit.session + sessions, commit.place)
        for commit in second.late_commits
    ]
    return replace(
        first,
        views=[view(), view()],
        requests=[*first.requests, *more],
        sessions=[*first.sessions, *further],
        late_commits=[*first.late_commits, *late],
    )


def export(*uses: Use | int, flask: str, **more: t.Any) -> Recording:
    """Record a streamed export that breaks off."""
    [exporting] = alone(*uses, **{**STREAM, **more}).requests
    path = "/admin/user/export/csv/?page=2"
    return recording([replace(exporting, path=path)], flask=flask)
