"""Why it strays: the causes of the rules, asked about what the monitor has seen.

The causes recognise a sight in a recording. Here the recording holds the one request
and the one session that a finding is about, and the request before it, if there is one.
"""

from inspect import getattr_static

from session_scoping.monitor.findings import Finding
from session_scoping.monitor.state import Life
from session_scoping.monitor.state import Request
from session_scoping.monitor.state import Taken
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request as SeenRequest
from session_scoping.recording import Session as SeenSession
from session_scoping.recording import Unreturned
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.rules.causes import explain
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.causes.handles import never_removed
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Labelled
from session_scoping.rules.rules import Rule
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind
from session_scoping.watch.versions import stack

RULE = {
    ViolationKind.OPEN: Rule.RELEASED,
    ViolationKind.CONNECTION: Rule.RELEASED,
    ViolationKind.THREAD: Rule.RELEASED,
    ViolationKind.AGAIN: Rule.FRESH,
    ViolationKind.STARTUP: Rule.FRESH,
    ViolationKind.OVERLAP: Rule.ISOLATED,
    ViolationKind.LATE_COMMIT: Rule.ISOLATED,
    ViolationKind.PENDING_ROLLBACK: Rule.RECOVERS,
    ViolationKind.NOT_ROLLED_BACK: Rule.RECOVERS,
}
# What keeps a session that an earlier request, or the start, has left.
SOMETHING = "something of the app"


def diagnose(
    kind: ViolationKind,
    what: str,
    request: Request,
    life: Life | None = None,
    taken: Taken | None = None,
    line: Place | None = None,
) -> tuple[object, Finding]:
    """Return a finding with its cause, and what is the same for the same source.

    ``line`` is where it happened, if neither the session nor the connection says it.
    """
    cause, culprit = _explain(kind, what, request, life, taken, line)
    beneath = cause is not None and cause.beneath_views
    made = (life.own or life.place) if life else None
    own = line or (taken.own if taken else None)
    used = own or (taken.place if taken else None)
    # What is kept comes from where it was made, anything else from where it is used.
    kept = kind is not ViolationKind.THREAD and life and life.born_in is not request
    first = culprit or (life.own if life and kept else own) or own or made or used
    made_first = Label.MADE if first == made else Label.USED
    labelled = {first: Label.OWN if first in {culprit, own} else made_first}
    labelled.setdefault(made, Label.MADE)
    labelled.setdefault(used, Label.USED if beneath or not own else Label.OWN)
    places = tuple(
        Labelled(label, str(place)) for place, label in labelled.items() if place
    )
    where = str(first or "")
    name = happened_in(kind, request, taken)
    finding = Finding(str(RULE[kind]), what, name, where, places, cause)
    of_app = culprit or own or (life.own if life else None)
    return (where if of_app else (cause.name if cause else kind)), finding


def happened_in(kind: ViolationKind, request: Request, taken: Taken | None) -> str:
    """Return what a finding happened in: a request, a thread, or the start."""
    if taken is not None and taken.request is None and taken.stray:
        at_start = kind is ViolationKind.STARTUP
        return "the start of the app" if at_start else f"thread {taken.worker.name}"
    return request.name


def _is_at_start(kind: ViolationKind, taken: Taken | None) -> bool:
    return kind is ViolationKind.STARTUP and taken is not None and taken.stray


def _explain(
    kind: ViolationKind,
    what: str,
    request: Request,
    life: Life | None,
    taken: Taken | None,
    line: Place | None,
) -> tuple[Cause | None, Place | None]:
    recording = Recording(stack=dict(stack()))
    older = life is not None and life.born_in is not request
    if life is not None and older and life.born_in is not None:
        recording.requests.append(_seen(0, life.born_in))
    now = _seen(len(recording.requests), request)
    recording.requests.append(now)
    place, own = (taken.place, taken.own) if taken else (line, line)
    if kind is ViolationKind.THREAD and taken is not None and taken.worker.awaited:
        return None, None  # the causes know threads, and no tasks
    session: SeenSession | None = None
    if life is not None:
        session = _session(0, life)
        session.born_in = None if life.born_in is None else 0
        recording.sessions.append(session)
        session.at_startup = kind is ViolationKind.STARTUP
        use = Use(0, place, own)
        if taken is not None and taken.worker.ident != request.ident:
            use.thread = taken.worker.name
        now.uses = [use]
        for other in request.lives:
            if other is not life and other.taken is not None:
                number = len(recording.sessions)
                recording.sessions.append(_session(number, other))
                if other.born_in is request:
                    recording.sessions[number].born_in = now.number
                now.uses.append(Use(number, other.taken.place, other.taken.own))
        if kind is ViolationKind.THREAD and taken is not None:
            outside = Outside(place, own, taken.worker.name)
            outside.in_context = taken.in_context
            session.outside, now.uses = [outside], []
        # Without a maker it is not known when it was made.
        session.kept = older and life.maker not in {None, Maker.SCOPED_SESSION}
        session.kept_by = (SOMETHING,) if session.kept else ()
        recording.views += _views_that_hold(life, request)
    elif kind is ViolationKind.CONNECTION:
        recording.unreturned.append(Unreturned(now.number, place, own, by_hand=True))
    sight = Sight(
        kind,
        what,
        None if _is_at_start(kind, taken) else now,
        session,
        place=place,
        own=own,
        kept_by=session.kept_by if session else (),
    )
    cause, culprit = explain(sight, recording)
    if cause is never_removed and life is not None:
        left_by = life.request or request
        if request.app.removes or left_by.failed:
            return None, None  # it is removed, but not always
    return cause, culprit


def _session(number: int, life: Life) -> SeenSession:
    pool = life.taken.pool() if life.taken else None
    return SeenSession(
        number,
        life.maker,
        [id(pool)] if pool else [],
        in_stream=life.in_stream,
        place=life.place,
        own=life.own,
    )


def _seen(number: int, request: Request) -> SeenRequest:
    return SeenRequest(
        number,
        request.method,
        request.endpoint,
        status=request.status,
        ended=1.0,
        thread=str(request.ident),
        exception="failed" if request.failed else "",
        streamed=request.streams,
        outer_context=request.pushed_at is not None,
        pushed_at=request.pushed_at,
        raised_at=request.failed_at,
    )


def _views_that_hold(life: Life, request: Request) -> list[View]:
    """Return the views of the admin that were given this session, and no handle."""
    app, session = request.app.flask(), life.session()
    if app is None or session is None:
        return []
    return [
        View(type(view).__name__, view.endpoint, session=0)
        for admin in app.extensions.get("admin", [])
        for view in admin._views
        if getattr_static(view, "session", None) is session
    ]
