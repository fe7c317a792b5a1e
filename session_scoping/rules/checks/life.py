"""The checks of ``alive`` and ``released``: when a session ends, and what is left."""

import typing as t

from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import SessionError
from session_scoping.rules.checks.common import error_in
from session_scoping.rules.checks.common import name_of
from session_scoping.rules.checks.common import request_of
from session_scoping.rules.checks.common import uses_by_session
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind


def alive(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that are closed before the response is complete."""
    for request in recording.requests:
        for index, use in enumerate(request.uses):
            session = recording.sessions[use.session]
            if session.maker == Maker.HAND or session.left_alone:
                continue
            about = request, session
            if use.closed_unsolicited and request.status and not request.exception:
                what = f"{name_of(session)} is closed before the view has answered"
                early = use.closed_early
                yield Sight(ViolationKind.UNSOLICITED, what, *about, place=early)
            elif use.used_after_close:
                what = f"{name_of(session)} is used again after it was closed"
                yield Sight(
                    ViolationKind.REUSED,
                    what,
                    *about,
                    place=use.used_after_close,
                    own=use.own,
                )
            elif (use.closed_early and session.context is None) and any(
                {*session.engines}.intersection(
                    recording.sessions[later.session].engines
                )
                for later in request.uses[index + 1 :]
            ):
                what = f"{name_of(session)} is closed before the view has answered"
                early = use.closed_early
                yield Sight(
                    ViolationKind.CLOSED_EARLY, what, *about, place=early, own=early
                )
        yield from _detached(request, recording)
        if "DetachedInstanceError" in request.stream_exception:
            yield Sight(
                ViolationKind.STREAM,
                f"the response broke off: {request.stream_exception}",
                request,
            )
    yield from _detached_on_threads(recording)


def _detached(request: Request, recording: Recording) -> t.Iterator[Sight]:
    """Find a row that is used although its session was closed."""
    said = error_in(request, SessionError.DETACHED)
    if not said or said == request.stream_exception:
        return
    uses = [(recording.sessions[use.session], use) for use in request.uses]
    kind = ViolationKind.DETACHED
    for session, use in uses:
        if use.closed_early and not session.left_alone:
            what = f"a row is used after {name_of(session)} was closed: {said}"
            early = use.closed_early
            yield Sight(kind, what, request, session, place=early, own=early)
    if not any(use.closed_early or session.left_alone for session, use in uses):
        what, line = f"a row of no session is used: {said}", request.raised_at
        yield Sight(kind, what, request, place=line, own=line)


def _detached_on_threads(recording: Recording) -> t.Iterator[Sight]:
    """Find a row of no session that a thread uses outside of any request."""
    for row in recording.detached_rows:
        yield Sight(
            ViolationKind.DETACHED,
            f"a row of no session is used on thread {row.thread}: {row.error}",
            request_of(recording, row.request),
            place=row.place,
            own=row.place,
        )


def released(recording: Recording) -> t.Iterator[Sight]:
    """Find what is left of a request: sessions, connections, transactions, rows."""
    uses = uses_by_session(recording)
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
            what = f"{name_of(session)} is {how}"
            yield Sight.of_use(kind, what, request, session, use)
    for session in recording.sessions:
        at_work = any(each.at_work and not each.repeats for each in session.outside)
        abandoned = session.outside and not session.closed and not at_work
        if abandoned and not session.left_alone:
            first = session.outside[0]
            what = f"{name_of(session)}, used on thread {first.thread}, is not closed"
            meanwhile = request_of(recording, first.request)
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
            line = request.commit_failed_at
            kind = ViolationKind.TRANSACTION
            yield Sight(kind, what, request, place=line, own=line)
        if request.left_changed:
            what = f"a connection is back in the pool, and {request.left_changed}"
            yield Sight(ViolationKind.CHANGED, what, request)
    taken_at = {
        unreturned.request: (unreturned.place, unreturned.own)
        for unreturned in recording.unreturned
    }
    for request in recording.requests:
        all_closed = all(use.closed for use in request.uses)
        if request.ended and request.taken != request.returned and all_closed:
            what = f"connections taken: {request.taken}, returned: {request.returned}"
            place, own = taken_at.get(request.number, (None, None))
            yield Sight(ViolationKind.CONNECTION, what, request, place=place, own=own)
    for kept in recording.kept_instances:
        session = recording.sessions[kept.session]
        if session.left_alone or REGISTRY in kept.kept_by[-1:]:
            continue  # a session in a registry keeps it, and is reported itself
        if kept.request is None:
            what = f"a {kept.model} that was loaded while the app was built is kept"
            if kept.kept_by and not kept.kept_by[0].startswith("module "):
                yield Sight(
                    ViolationKind.INSTANCE,
                    what,
                    session=session,
                    view=kept.keeper,
                    place=session.place,
                    own=session.own,
                    kept_by=kept.kept_by,
                )
        elif recording.requests[kept.request].ended:
            request = recording.requests[kept.request]
            what = f"a {kept.model} that the request loaded is still referred to"
            yield Sight(
                ViolationKind.INSTANCE, what, request, session, kept_by=kept.kept_by
            )
