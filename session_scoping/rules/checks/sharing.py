"""The checks of ``fresh`` and ``isolated``: what requests share."""

import typing as t

from session_scoping.recording import Deed
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import SessionError
from session_scoping.recording import Use
from session_scoping.rules.checks.common import Done
from session_scoping.rules.checks.common import error_in
from session_scoping.rules.checks.common import name_of
from session_scoping.rules.checks.common import scope_of
from session_scoping.rules.checks.common import uses_by_session
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind


def fresh(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that serve a second request, or outlive the building of the app.

    A page that shows what an earlier request has read breaks the rule, too.
    """
    uses = uses_by_session(recording)
    for number, served in uses.items():
        session = recording.sessions[number]
        first = served[0][0]
        if _was_empty(session, served):
            continue
        for request, use in served:
            if session.born_in is None:
                kind = ViolationKind.STARTUP
                what = f"{name_of(session)} is older than the request"
            elif scope_of(recording, request) != scope_of(recording, first):
                kind = ViolationKind.AGAIN
                what = f"{name_of(session)} has served request {first.number} before"
            else:
                continue
            if session.place:
                what += f": made at {session.own or session.place}"
            if said := error_in(request, SessionError.OTHER_THREAD):
                kind = ViolationKind.OTHER_THREAD
                what = f"{name_of(session)} was used on another thread before: {said}"
            yield Sight.of_use(kind, what, request, session, use)
    for session in recording.sessions:
        yield from _after_its_request(recording, session)
        unused = session.number not in uses and session.at_startup
        by_name = session.closed and _only_a_name(session.kept_by)
        empty = session.empty and session.kept_by[-1:] == [REGISTRY]
        harmless = by_name or empty
        if unused and session.kept and not (harmless or session.left_alone):
            yield Sight(
                ViolationKind.STARTUP,
                f"{name_of(session)} was opened while the app was built, and is still "
                "there",
                session=session,
                view=session.keeper,
                place=session.place,
                own=session.own,
                kept_by=session.kept_by,
            )
    for request in recording.requests:
        if request.outdated:
            yield Sight(ViolationKind.OUTDATED, request.outdated, request)


def _was_empty(session: Session, served: list[tuple[Request, Use]]) -> bool:
    """Was it empty when its only request began, and does nothing keep it since?

    ``isinstance(handle, Session)`` asks a ``LocalProxy``, which opens such a session.
    """
    [*before, (_, use)] = served
    return session.empty and use.closed and not (before or session.kept)


def _after_its_request(recording: Recording, session: Session) -> t.Iterator[Sight]:
    """Find uses of a request's session by a thread that goes on after the request."""
    for outside in session.outside:
        if outside.served is not None and not session.left_alone:
            yield Sight(
                ViolationKind.AGAIN,
                f"{name_of(session)} is used on thread {outside.thread} after the "
                "request that it served",
                recording.requests[outside.served],
                session,
                place=outside.place,
                own=outside.own,
                kept_by=session.kept_by,
            )


def _only_a_name(kept_by: t.Sequence[str]) -> bool:
    """Is the keeper none, or a module's variable, as a ``with`` statement leaves?"""
    return not kept_by or (len(kept_by) == 2 and kept_by[0].startswith("module "))


def isolated(recording: Recording) -> t.Iterator[Sight]:
    """Find changes that leave a request before they are committed."""
    for number, served in uses_by_session(recording).items():
        session = recording.sessions[number]
        running: list[Request] = []  # when the current request began
        for request, use in served:
            running = [other for other in running if other.ended > request.started]
            scope = scope_of(recording, request)
            if any(scope_of(recording, other) != scope for other in running):
                what = f"{name_of(session)} serves two requests at the same time"
                yield Sight.of_use(ViolationKind.OVERLAP, what, request, session, use)
            if use.joined:
                what = (
                    "works in the transaction of another request at the same time: "
                    "both sessions are bound to one connection"
                )
                yield Sight.of_use(ViolationKind.JOINED, what, request, session, use)
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
            what = f"{name_of(session)} commits after the view has answered"
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
