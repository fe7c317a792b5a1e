"""The seven rules. The check of each is a pure function of a recording."""

import typing as t
from collections import defaultdict

from session_scoping.recording import Deed
from session_scoping.recording import Injected
from session_scoping.recording import Maker
from session_scoping.recording import Operation
from session_scoping.recording import Outside
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.recording import Word
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind


class Rule(Word):
    """A rule. Its sentence says what is right."""

    HANDLE = "handle"
    SINGLE = "single"
    FRESH = "fresh"
    ISOLATED = "isolated"
    ALIVE = "alive"
    RELEASED = "released"
    RECOVERS = "recovers"

    @property
    def sentence(self) -> str:
        """What is right."""
        return SENTENCES[self]


SENTENCES = {
    Rule.HANDLE: "A view keeps the handle it was given, and never a session.",
    Rule.SINGLE: "A request uses one session for each database: the session that the "
    "handle gives.",
    Rule.FRESH: "No session serves two requests, and building the app leaves no "
    "session open.",
    Rule.ISOLATED: "A change that a request has not committed is seen by no other "
    "request, and is never saved.",
    Rule.ALIVE: "The session lives until the response is complete, also when it is "
    "streamed.",
    Rule.RELEASED: "After the response the session is gone: it is closed, its "
    "connection is back in the pool, and nothing refers to it or to a row it loaded.",
    Rule.RECOVERS: "After any error in a request the other rules still hold, and the "
    "next request works.",
}
Done = tuple[int | None, Operation | None]  # an operation in a view


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
    while request.parent is not None:
        request = recording.requests[request.parent]
    return request.number


def _named(session: Session) -> str:
    return f"session {session.number}"


def handle(recording: Recording) -> t.Iterator[Sight]:
    """Find views that hold a session instead of a handle."""
    for number, view in enumerate(recording.views):
        if view.session is not None:
            session = recording.sessions[view.session]
            if session.left_alone:
                continue
            yield Sight(
                ViolationKind.RAW,
                f"{view.name} holds {_named(session)}, a {view.handle}, not a handle",
                session=session,
                view=number,
                place=session.place,
                own=session.own or view.place,
            )
        elif view.replaced:
            yield Sight(
                ViolationKind.REPLACED,
                f"{view.name}.session is not the object that it was at first",
                view=number,
                own=view.place,
            )


def single(recording: Recording) -> t.Iterator[Sight]:
    """Find requests that use a second session for a database."""
    held = {view.session for view in recording.views}
    served = _served_by_handles(recording)
    for request in recording.requests:
        given: dict[int, int] = {}  # the handle's session for each engine
        handles = served[request.view] if request.view is not None else set()
        handles = handles | _engines_of_handles(recording, request)
        for use in request.uses:
            session = recording.sessions[use.session]
            if session.left_alone or session.number in held:
                continue
            about = request, session, use
            if session.maker == Maker.HAND:
                if handles.intersection(session.engines):
                    what = f"{_named(session)} is not the session that the handle gives"
                    yield Sight.of_use(ViolationKind.STRAY, what, *about)
                continue
            for engine in session.engines:
                other = given.setdefault(engine, session.number)
                if other != session.number:
                    what = f"{_named(session)} is used beside session {other}"
                    yield Sight.of_use(ViolationKind.MANY, what, *about)
    used = {use.session for request in recording.requests for use in request.uses}
    for session in recording.sessions:
        if (
            session.maker == Maker.HAND
            and not (session.number in used or session.left_alone)
            and session.place
            and session.place.of_flask_admin
        ):
            known = [session.born_in, *(at.request for at in session.outside)]
            numbers = [number for number in known if number is not None]
            yield Sight(
                ViolationKind.UNSOLICITED,
                f"{_named(session)} is made by Flask-Admin itself",
                recording.requests[max(numbers)] if numbers else None,
                session,
                place=session.place,
            )
    yield from _on_threads_of_flask_admin(recording)
    for unsolicited in recording.unsolicited:
        if unsolicited.deed == Deed.PAST_THE_SESSION:
            what = "Flask-Admin sends a statement past the session"
            yield Sight(
                ViolationKind.UNSOLICITED,
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
            if outside.unsolicited and not session.left_alone:
                what = f"{_named(session)} is used by Flask-Admin on another thread"
                meanwhile = _meanwhile(recording, outside)
                yield Sight(
                    ViolationKind.UNSOLICITED,
                    what,
                    meanwhile,
                    session,
                    place=outside.place,
                )


def _meanwhile(recording: Recording, outside: Outside) -> Request | None:
    return recording.requests[outside.request] if outside.request is not None else None


def _served_by_handles(recording: Recording) -> dict[int | None, set[int]]:
    """Return the engines that each view uses through its handle.

    A session made by hand for another engine, as for another database, is no stray.
    """
    found: dict[int | None, set[int]] = defaultdict(set)
    for request in recording.requests:
        found[request.view] |= _engines_of_handles(recording, request)
    return found


def _engines_of_handles(recording: Recording, request: Request) -> set[int]:
    sessions = (recording.sessions[use.session] for use in request.uses)
    return {
        n
        for session in sessions
        if session.maker != Maker.HAND
        for n in session.engines
    }


def fresh(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that serve a second request, or outlive the building of the app."""
    uses = _uses(recording)
    for number, served in uses.items():
        session = recording.sessions[number]
        first = served[0][0]
        for index, (request, use) in enumerate(served):
            if session.born_in is None:
                kind = ViolationKind.STARTUP
                what = f"{_named(session)} is older than the request"
            elif index and _scope(recording, request) != _scope(recording, first):
                kind = ViolationKind.AGAIN
                what = f"{_named(session)} has served request {first.number} before"
            else:
                continue
            if session.place:
                what += f": made at {session.own or session.place}"
            yield Sight.of_use(kind, what, request, session, use)
    for session in recording.sessions:
        unused = session.number not in uses and session.at_startup
        harmless = session.closed and _only_a_name(session.kept_by)
        if unused and session.kept and not (harmless or session.left_alone):
            yield Sight(
                ViolationKind.STARTUP,
                f"{_named(session)} was opened while the app was built, and is still "
                "there",
                session=session,
                place=session.place,
                own=session.own,
                kept_by=session.kept_by,
            )


def _only_a_name(kept_by: t.Sequence[str]) -> bool:
    """Is the keeper none, or a module's variable, as a ``with`` statement leaves?"""
    return not kept_by or (len(kept_by) == 2 and kept_by[0].startswith("module "))


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
                yield Sight.of_use(ViolationKind.OVERLAP, what, request, session, use)
            running.append(request)
    for request in recording.requests:
        if request.dirty_read:
            what = "shows a change that another request has not committed"
            yield Sight(ViolationKind.DIRTY_READ, what, request)
        if request.dirty_write:
            yield Sight(
                ViolationKind.DIRTY_WRITE,
                "saves a change that no request has committed",
                request,
            )
    yield from _otherwise_when_overtaken(recording)
    for late in recording.late_commits:
        session = recording.sessions[late.session]
        request = recording.requests[late.request]
        if not session.left_alone:
            what = f"{_named(session)} commits after the view has answered"
            yield Sight(
                ViolationKind.LATE_COMMIT,
                what,
                request,
                session,
                place=late.place,
                own=late.place,
            )
    for unsolicited in recording.unsolicited:
        if unsolicited.deed == Deed.COMMIT:
            what = "Flask-Admin commits where it has nothing to save"
            request = recording.requests[unsolicited.request]
            yield Sight(
                ViolationKind.UNSOLICITED, what, request, place=unsolicited.place
            )


def _otherwise_when_overtaken(recording: Recording) -> t.Iterator[Sight]:
    """Find what goes wrong only beside a concurrent request."""
    overtaken = {request.overtakes for request in recording.requests} - {None}
    alone: dict[Done, str] = {}
    for request in recording.requests:
        name = request.view, request.operation
        if request.overtakes is None and request.number not in overtaken:
            alone.setdefault(name, request.unexpected)
        elif request.unexpected and not alone.get(name, request.unexpected):
            what = f"fails beside a concurrent request: {request.unexpected}"
            yield Sight(ViolationKind.CONCURRENT, what, request)


def alive(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that are closed before the response is complete."""
    for request in recording.requests:
        for index, use in enumerate(request.uses):
            session = recording.sessions[use.session]
            if session.maker == Maker.HAND or session.left_alone:
                continue
            about = request, session
            if use.closed_unsolicited and request.status and not request.exception:
                what = f"{_named(session)} is closed before the view has answered"
                early = use.closed_early
                yield Sight(ViolationKind.UNSOLICITED, what, *about, place=early)
            elif use.used_after_close:
                what = f"{_named(session)} is used again after it was closed"
                yield Sight(
                    ViolationKind.REUSED,
                    what,
                    *about,
                    place=use.used_after_close,
                    own=use.closed_early or use.own,
                )
            elif use.closed_early and any(
                {*session.engines}.intersection(
                    recording.sessions[later.session].engines
                )
                for later in request.uses[index + 1 :]
            ):
                what = f"{_named(session)} is closed before the view has answered"
                early = use.closed_early
                yield Sight(
                    ViolationKind.CLOSED_EARLY, what, *about, place=early, own=early
                )
        if "DetachedInstanceError" in request.stream_exception:
            yield Sight(
                ViolationKind.STREAM,
                f"the response broke off: {request.stream_exception}",
                request,
            )


def released(recording: Recording) -> t.Iterator[Sight]:
    """Find what is left of a request: sessions, connections, transactions, rows."""
    uses = _uses(recording)
    for number, served in uses.items():
        session = recording.sessions[number]
        over = [pair for pair in served if pair[0].ended]
        # A nested request may leave a shared session to the outer request.
        outer = [pair for pair in over if pair[0].parent is None]
        last = outer or ([] if session.closed else over)
        still_open = [pair for pair in last if not pair[1].closed]
        for request, use in still_open or (outer if session.kept else []):
            kind, how = ViolationKind.KEPT, "still referred to"
            if still_open:
                kind, how = ViolationKind.OPEN, "not closed"
            what = f"{_named(session)} is {how}"
            yield Sight.of_use(kind, what, request, session, use)
    for session in recording.sessions:
        if session.outside and not session.closed and not session.left_alone:
            first = session.outside[0]
            what = f"{_named(session)}, used on thread {first.thread}, is not closed"
            meanwhile = _meanwhile(recording, first)
            yield Sight(
                ViolationKind.THREAD,
                what,
                meanwhile,
                session,
                place=first.place,
                own=first.own,
            )
    for request in recording.requests:
        if request.left_in_transaction:
            what = "a connection is back in the pool with its transaction open"
            yield Sight(ViolationKind.TRANSACTION, what, request)
    taken_at = {
        unreturned.request: unreturned.place for unreturned in recording.unreturned
    }
    for request in recording.requests:
        all_closed = all(use.closed for use in request.uses)
        if request.ended and request.taken != request.returned and all_closed:
            what = f"connections taken: {request.taken}, returned: {request.returned}"
            line = taken_at.get(request.number)
            yield Sight(ViolationKind.CONNECTION, what, request, place=line, own=line)
    for kept in recording.kept_instances:
        request = recording.requests[kept.request]
        session = recording.sessions[kept.session]
        if request.ended and not session.left_alone:
            what = f"a {kept.model} that it loaded is still referred to"
            yield Sight(
                ViolationKind.INSTANCE, what, request, session, kept_by=kept.kept_by
            )


def recovers(recording: Recording) -> t.Iterator[Sight]:
    """Find what goes wrong after a failure."""
    worked: set[Done] = set()
    failed: dict[Done, Injected] = {}
    for request in recording.requests:
        name = request.view, request.operation
        if not (request.in_trouble or request.unexpected) and name not in failed:
            worked.add(name)
        if request.injected and name in worked:
            failed[name] = request.injected
        elif name in failed:
            before = failed.pop(name)
            if request.exception or request.unexpected:
                why = request.exception or request.unexpected
                what = f"does not work once `{before.step}` has failed: {why}"
                yield Sight(ViolationKind.AFTER_FAILURE, what, request)
            continue
        if "PendingRollbackError" in request.exception:
            yield from _pending_rollback(recording, request)


def _pending_rollback(recording: Recording, request: Request) -> t.Iterator[Sight]:
    """Find the session of a request that fails because of an earlier failure."""
    what = f"fails because of an earlier request: {request.exception}"
    if not request.uses:
        yield Sight(ViolationKind.PENDING_ROLLBACK, what, request)
    for use in request.uses:
        session = recording.sessions[use.session]
        if not session.left_alone:
            kind = ViolationKind.PENDING_ROLLBACK
            if session.born_in == request.number:
                kind = ViolationKind.NOT_ROLLED_BACK
                what = f"uses the session again without a rollback: {request.exception}"
            yield Sight.of_use(kind, what, request, session, use)
            break


CHECKS: dict[Rule, t.Callable[[Recording], t.Iterator[Sight]]] = {
    Rule.HANDLE: handle,
    Rule.SINGLE: single,
    Rule.FRESH: fresh,
    Rule.ISOLATED: isolated,
    Rule.ALIVE: alive,
    Rule.RELEASED: released,
    Rule.RECOVERS: recovers,
}
