"""Recordings for the tests of the report: a healthy app, a leak, an attack."""

from datetime import datetime
from datetime import timezone

from session_scoping.recording import Maker
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Unseen
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.recording import Write
from session_scoping.report.run import Run

RUN = Run(
    "flask --app shop session-scoping --html report.html",
    datetime(2026, 2, 3, 14, 5, tzinfo=timezone.utc),
    "0.1.0",
)
LIBRARY = Place("flask_admin/contrib/sqla/view.py", 1041, "get_list")
OWN = Place("shop/admin.py", 17, "create_app")
KEEPER = ("app.extensions['admin'][0]._views[2]", "UserView.session")
HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>"
OPERATIONS = [
    Operation(OperationKind.LIST),
    Operation(OperationKind.LIST, variant="searched"),
    Operation(OperationKind.CREATE),
    Operation(OperationKind.EDIT),
    Operation(OperationKind.DELETE),
]


def healthy(number: int) -> Recording:
    """Record requests with a session each, closed at the end of the request."""
    views = [
        View("AdminIndexView", "admin"),
        View("PostView", "post", "Post", "flask_sqlalchemy.SQLAlchemy"),
        View("UserView", "user", "User", "flask_sqlalchemy.SQLAlchemy"),
        View("TagView", "tag", "Tag", "flask_sqlalchemy.SQLAlchemy"),
    ]
    requests, sessions = [], []
    for n in range(number):
        view = n * len(views) // number
        request = Request(n, "GET", f"/admin/{views[view].endpoint}/", view)
        request.operation = OPERATIONS[n % len(OPERATIONS)]
        request.status, request.statements = 200, 2
        request.taken = request.returned = 1
        request.started, request.ended = float(n), n + 0.5
        request.uses = [Use(n, LIBRARY, OWN, closed=True)]
        requests.append(request)
        session = Session(n, Maker.FLASK_SQLALCHEMY, [0], n, place=LIBRARY, own=OWN)
        session.closed, session.released = True, n + 0.4
        sessions.append(session)
    stack = {"Flask-Admin": "2.2.1", "Flask": "3.1.3", "SQLAlchemy": "2.0.44"}
    engines = ["sqlite:///shop.db"]
    return Recording("shop:app", stack, engines, views, requests, sessions)


def leaking(number: int) -> Recording:
    """Record the same, and a view whose session serves all its requests."""
    recording = healthy(number)
    leak = Session(number, Maker.HAND, [0], place=LIBRARY, own=OWN)
    leak.kept, leak.kept_by = True, KEEPER
    recording.sessions.append(leak)
    recording.views[2].session = leak.number
    recording.views[2].handle = "sqlalchemy.orm.Session"
    for request in recording.requests:
        if request.view == 2:
            request.uses = [Use(leak.number, LIBRARY, OWN)]
    return recording


def crowded(leaks: bool) -> Recording:
    """Record 126 views with two requests each. Three of the views share a session."""
    views = [View(f"View{n:03}", f"page{n:03}", "Post") for n in range(126)]
    requests, sessions = [], []
    for n in range(2 * len(views)):
        view = n // 2
        request = Request(n, "GET", f"/admin/{views[view].endpoint}/", view)
        request.operation, request.status = OPERATIONS[n % 2], 200
        request.started, request.ended = float(n), n + 0.5
        request.uses = [Use(n, LIBRARY, OWN, closed=True)]
        requests.append(request)
        sessions.append(
            Session(n, Maker.FLASK_SQLALCHEMY, [0], n, closed=True, own=OWN)
        )
    if leaks:
        kept = [request for request in requests if request.view in (30, 60, 90)]
        sessions.append(Session(len(sessions), Maker.HAND, [0], own=OWN, kept=True))
        for request in kept:
            request.uses = [Use(sessions[-1].number, LIBRARY, OWN)]
    return Recording("shop:app", {}, ["sqlite:///shop.db"], views, requests, sessions)


def hostile() -> Recording:
    """Record a leak in which every text is an attack."""
    recording = leaking(4)
    recording.app = recording.engines[0] = HOSTILE
    recording.stack = {HOSTILE: HOSTILE}
    recording.notes = [HOSTILE]
    recording.unseen = [Unseen(0, Operation(OperationKind.PAGE, HOSTILE), HOSTILE)]
    place = Place(HOSTILE, 1, HOSTILE)
    for view in recording.views:
        view.name = view.endpoint = view.model = view.handle = HOSTILE
    for request in recording.requests:
        request.path = HOSTILE
        request.operation = Operation(OperationKind.PAGE, HOSTILE)
        request.thread = request.exception = request.unexpected = HOSTILE
        request.uses = [Use(use.session, place, place) for use in request.uses]
    recording.writes = [Write(HOSTILE, 1, place, place)]
    for session in recording.sessions:
        session.place = session.own = place
        session.kept_by = ["app", HOSTILE]
    return recording
