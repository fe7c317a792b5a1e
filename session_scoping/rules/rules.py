"""The seven rules. Each is a pure function of a recording."""

import typing as t
from collections import defaultdict
from dataclasses import dataclass

from session_scoping.recording import BUILDING
from session_scoping.recording import BY_HAND
from session_scoping.recording import COMMIT
from session_scoping.recording import NOBODY
from session_scoping.recording import Outside
from session_scoping.recording import PAST
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import UNSOLICITED

Check = t.Callable[[Recording], t.Iterator[Sight]]


@dataclass(frozen=True)
class Rule:
    """A rule, what is right by it, and the check that finds where it is broken."""

    name: str
    sentence: str
    check: Check


def _uses(recording: Recording) -> dict[int, list[tuple[Request, Use]]]:
    """Return the requests that each session served, in order."""
    found: dict[int, list[tuple[Request, Use]]] = defaultdict(list)
    for request in recording.requests:
        for use in request.uses:
            if not recording.sessions[use.session].left_alone:
                found[use.session].append((request, use))
    return found


def _scope(recording: Recording, request: Request) -> int:
    """Return the number of the outermost request: a view may make nested requests."""
    while request.parent != NOBODY:
        request = recording.requests[request.parent]
    return request.number


def _named(session: Session) -> str:
    return f"session {session.number}"


def handle(recording: Recording) -> t.Iterator[Sight]:
    """Find views that hold a session instead of a handle."""
    for number, view in enumerate(recording.views):
        if view.session != NOBODY:
            session = recording.sessions[view.session]
            if session.left_alone:
                continue
            yield Sight(
                "raw",
                f"{view.name} holds {_named(session)}, a {view.handle}, not a handle",
                session=session,
                view=number,
                place=session.place,
                own=session.own or view.place,
            )
        elif view.replaced:
            yield Sight(
                "replaced",
                f"{view.name}.session is another object than it was",
                view=number,
                own=view.place,
            )


def single(recording: Recording) -> t.Iterator[Sight]:
    """Find requests that use a second session for a database."""
    held = {view.session for view in recording.views}
    served = _served_by_handles(recording)
    for request in recording.requests:
        given: dict[int, int] = {}  # the handle's session for each engine
        handles = served[request.view] if request.view != NOBODY else set()
        handles = handles | _engines_of_handles(recording, request)
        for use in request.uses:
            session = recording.sessions[use.session]
            if session.left_alone or session.number in held:
                continue
            about = (request, session, NOBODY, use.place, use.own, session.kept_by)
            if session.maker == BY_HAND:
                if handles.intersection(session.engines):
                    what = f"{_named(session)} is not the one that the handle gives"
                    yield Sight("stray", what, *about)
                continue
            for engine in session.engines:
                other = given.setdefault(engine, session.number)
                if other != session.number:
                    what = f"{_named(session)} is used beside session {other}"
                    yield Sight("many", what, *about)
    used = {use.session for request in recording.requests for use in request.uses}
    for session in recording.sessions:
        if (
            session.maker == BY_HAND
            and not (session.number in used or session.left_alone)
            and session.place
            and session.place.of_flask_admin
        ):
            numbers = [
                session.born_in,
                *(outside.request for outside in session.outside),
            ]
            number = max(numbers)
            yield Sight(
                UNSOLICITED,
                f"{_named(session)} is made by Flask-Admin itself",
                recording.requests[number] if number != NOBODY else None,
                session,
                place=session.place,
            )
    yield from _on_threads_of_flask_admin(recording)
    for unsolicited in recording.unasked:
        if unsolicited.kind == PAST:
            what = "Flask-Admin sends a statement past the session"
            yield Sight(
                UNSOLICITED,
                what,
                recording.requests[unsolicited.request],
                place=unsolicited.place,
            )


def _on_threads_of_flask_admin(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that Flask-Admin itself uses on another thread.

    The app may pass a session to another thread, and wait for it.
    """
    for session in recording.sessions:
        for outside in session.outside:
            if outside.unasked and not session.left_alone:
                what = f"{_named(session)} is used by Flask-Admin on another thread"
                meanwhile = _meanwhile(recording, outside)
                yield Sight(UNSOLICITED, what, meanwhile, session, place=outside.place)


def _meanwhile(recording: Recording, outside: Outside) -> Request | None:
    return recording.requests[outside.request] if outside.request != NOBODY else None


def _served_by_handles(recording: Recording) -> dict[int, set[int]]:
    """Return the engines that each view uses through its handle.

    A session made by hand for another engine, as for another database, is no stray.
    """
    found: dict[int, set[int]] = defaultdict(set)
    for request in recording.requests:
        found[request.view] |= _engines_of_handles(recording, request)
    return found


def _engines_of_handles(recording: Recording, request: Request) -> set[int]:
    sessions = (recording.sessions[use.session] for use in request.uses)
    return {
        n for session in sessions if session.maker != BY_HAND for n in session.engines
    }


def fresh(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that serve a second request, or outlive the building of the app."""
    uses = _uses(recording)
    for number, served in uses.items():
        session = recording.sessions[number]
        first = served[0][0]
        for index, (request, use) in enumerate(served):
            if session.born_in < 0:
                kind = "startup"
                what = f"{_named(session)} is older than the request"
            elif index and _scope(recording, request) != _scope(recording, first):
                kind = "again"
                what = f"{_named(session)} has served request {first.number} before"
            else:
                continue
            if session.place:
                what += f": it is from {session.own or session.place}"
            yield Sight(
                kind,
                what,
                request,
                session,
                NOBODY,
                use.place,
                use.own,
                session.kept_by,
            )
    for session in recording.sessions:
        unused = session.number not in uses and session.born_in == BUILDING
        harmless = session.closed and _only_a_name(session.kept_by)
        if unused and session.kept and not (harmless or session.left_alone):
            yield Sight(
                "startup",
                f"{_named(session)} was opened by building the app, and is still there",
                session=session,
                place=session.place,
                own=session.own,
                kept_by=session.kept_by,
            )


def _only_a_name(kept_by: t.Sequence[str]) -> bool:
    """Is the keeper none, or a module's variable, as a ``with`` statement leaves?"""
    return not kept_by or len(kept_by) == 2 and kept_by[0].startswith("module ")


def isolated(recording: Recording) -> t.Iterator[Sight]:
    """Find changes that leave a request before they are committed."""
    for number, served in _uses(recording).items():
        session = recording.sessions[number]
        running: list[Request] = []  # when the current request began
        for request, use in served:
            running = [other for other in running if other.ended > request.started]
            scope = _scope(recording, request)
            if request.ended and any(
                _scope(recording, other) != scope for other in running
            ):
                what = f"{_named(session)} serves two requests at the same time"
                about = (request, session, NOBODY, use.place, use.own)
                yield Sight("overlap", what, *about)
            running.append(request)
    for request in recording.requests:
        if request.dirty_read:
            what = "shows a change that another request has not committed"
            yield Sight("dirty read", what, request)
        if request.dirty_write:
            yield Sight("dirty write", "saves what nobody has committed", request)
    yield from _otherwise_when_overtaken(recording)
    for late in recording.late_commits:
        session = recording.sessions[late.session]
        request = recording.requests[late.request]
        if not session.left_alone:
            what = f"{_named(session)} commits when the view has answered"
            place = late.place
            yield Sight("commit at end", what, request, session, NOBODY, place, place)
    for unsolicited in recording.unasked:
        if unsolicited.kind == COMMIT:
            what = "Flask-Admin commits where it has nothing to save"
            request = recording.requests[unsolicited.request]
            yield Sight(UNSOLICITED, what, request, place=unsolicited.place)


def _otherwise_when_overtaken(recording: Recording) -> t.Iterator[Sight]:
    """Find what goes wrong only beside a concurrent request."""
    overtaken = {request.overtakes for request in recording.requests} - {NOBODY}
    alone: dict[tuple[int, str], str] = {}
    for request in recording.requests:
        name = request.view, request.operation
        if request.overtakes == NOBODY and request.number not in overtaken:
            alone.setdefault(name, request.wrong)
        elif request.wrong and not alone.get(name, request.wrong):
            what = f"does not work beside another request: {request.wrong}"
            yield Sight("beside", what, request)


def alive(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that are closed before the response is complete."""
    for request in recording.requests:
        for index, use in enumerate(request.uses):
            session = recording.sessions[use.session]
            if session.maker == BY_HAND or session.left_alone:
                continue
            if use.revived:
                what = f"{_named(session)} is used once more after it was closed"
                own = use.ended_early or use.own
                yield Sight("revived", what, request, session, NOBODY, use.revived, own)
            elif use.ended_early and any(
                {*session.engines}.intersection(
                    recording.sessions[later.session].engines
                )
                for later in request.uses[index + 1 :]
            ):
                what = f"{_named(session)} is closed before the view has answered"
                early = use.ended_early
                yield Sight("ended early", what, request, session, NOBODY, early, early)
            elif use.ended_unasked and request.status and not request.error:
                what = f"{_named(session)} is closed before the view has answered"
                yield Sight(
                    UNSOLICITED, what, request, session, NOBODY, use.ended_early
                )
        if "DetachedInstanceError" in request.broke_off:
            yield Sight("broke off", f"broke off: {request.broke_off}", request)


def released(recording: Recording) -> t.Iterator[Sight]:
    """Find what is left of a request: sessions, connections, transactions, rows."""
    uses = _uses(recording)
    for number, served in uses.items():
        session = recording.sessions[number]
        over = [pair for pair in served if pair[0].ended]
        # A nested request may leave a shared session to the outer request.
        outer = [pair for pair in over if pair[0].parent == NOBODY]
        last = outer or ([] if session.closed else over)
        still_open = [pair for pair in last if not pair[1].closed]
        for request, use in still_open or (outer if session.kept else []):
            about = (request, session, NOBODY, use.place, use.own, session.kept_by)
            if still_open:
                yield Sight("open", f"{_named(session)} is not closed", *about)
            else:
                yield Sight("kept", f"{_named(session)} is still referred to", *about)
    for session in recording.sessions:
        if session.outside and not session.closed and not session.left_alone:
            first = session.outside[0]
            what = f"{_named(session)}, used on thread {first.thread}, is not closed"
            meanwhile = _meanwhile(recording, first)
            where = (NOBODY, first.place, first.own)
            yield Sight("thread", what, meanwhile, session, *where)
    for request in recording.requests:
        if request.left_in_transaction:
            what = "a connection is back in the pool with its transaction open"
            yield Sight("transaction", what, request)
    taken_at = {
        unreturned.request: unreturned.place for unreturned in recording.unreturned
    }
    for request in recording.requests:
        all_closed = all(use.closed for use in request.uses)
        if request.ended and request.taken != request.returned and all_closed:
            what = f"connections taken: {request.taken}, returned: {request.returned}"
            line = taken_at.get(request.number)
            yield Sight("connection", what, request, place=line, own=line)
    for kept in recording.kept_instances:
        request = recording.requests[kept.request]
        session = recording.sessions[kept.session]
        if request.ended and not session.left_alone:
            what = f"a {kept.model} that it loaded is still referred to"
            yield Sight("instance", what, request, session, kept_by=kept.kept_by)


def recovers(recording: Recording) -> t.Iterator[Sight]:
    """Find what goes wrong after a failure."""
    worked: set[tuple[int, str]] = set()
    failed: dict[tuple[int, str], Request] = {}
    for request in recording.requests:
        name = request.view, request.operation
        if not (request.in_trouble or request.wrong) and name not in failed:
            worked.add(name)
        if request.failed and name in worked:
            failed[name] = request
        elif name in failed:
            before = failed.pop(name)
            if request.error or request.wrong:
                why = request.error or request.wrong
                what = f"once `{before.failed}` has failed: {why}"
                yield Sight("after", what, request)
            continue
        if "PendingRollbackError" in request.error:
            yield from _pending_rollback(recording, request)


def _pending_rollback(recording: Recording, request: Request) -> t.Iterator[Sight]:
    """Find the session of a request that fails by an earlier failure."""
    what = f"fails by what an earlier request left: {request.error}"
    if not request.uses:
        yield Sight("pending rollback", what, request)
    for use in request.uses:
        session = recording.sessions[use.session]
        if not session.left_alone:
            kind = "pending rollback"
            if session.born_in == request.number:
                kind = "not rolled back"
                what = f"goes on without rolling back what failed: {request.error}"
            yield Sight(kind, what, request, session, NOBODY, use.place, use.own)
            break


RULES = [
    Rule(
        "handle",
        "A view keeps the handle it was given, and never a session.",
        handle,
    ),
    Rule(
        "single",
        "One request uses one session for each database: the one that the handle gives "
        "it.",
        single,
    ),
    Rule(
        "fresh",
        "No session serves two requests, and building the app leaves none open.",
        fresh,
    ),
    Rule(
        "isolated",
        "What a request has not committed, no other request sees, and nobody saves.",
        isolated,
    ),
    Rule(
        "alive",
        "The session lives until the response is complete, a streamed one included.",
        alive,
    ),
    Rule(
        "released",
        "Then it is gone: closed, its connection back in the pool, and nothing refers "
        "to it or to a row it loaded.",
        released,
    ),
    Rule(
        "recovers",
        "After any error in a request the other rules still hold, and the next request "
        "works.",
        recovers,
    ),
]
NAMES = [rule.name for rule in RULES]
