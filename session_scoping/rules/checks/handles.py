"""The checks of ``handle`` and ``single``: which session a view uses."""

import typing as t
from collections import defaultdict

from session_scoping.recording import Deed
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import SessionError
from session_scoping.rules.checks.common import error_in
from session_scoping.rules.checks.common import name_of
from session_scoping.rules.checks.common import request_of
from session_scoping.rules.checks.common import scope_of
from session_scoping.rules.each_time import made_each_time
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind


def handle(recording: Recording) -> t.Iterator[Sight]:
    """Find views that hold a session instead of a handle."""
    for number, view in enumerate(recording.views):
        if view.session is not None:
            session = recording.sessions[view.session]
            if session.left_alone:
                continue
            yield Sight(
                ViolationKind.RAW,
                f"{view.name} holds {name_of(session)}, a {view.handle}, not a handle",
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
    anew = made_each_time(recording)
    for request in recording.requests:
        given = _given(recording, request)
        handles = served[request.view] if request.view is not None else set()
        handles = handles | _engines_of_handles(recording, request)
        for use in request.uses:
            session = recording.sessions[use.session]
            if session.left_alone or session.number in held:
                continue
            about = request, session, use
            databases = _databases(recording, session)
            if session.maker == Maker.HAND:
                # The session of the request may be gone when the response is streamed.
                if handles & databases and not session.in_stream:
                    what = (
                        f"{name_of(session)} is not the session that the handle gives"
                    )
                    yield Sight.of_use(ViolationKind.STRAY, what, *about)
                elif session.number in anew:
                    first = anew[session.number]
                    what = f"{name_of(session)} is used beside session {first}"
                    yield Sight.of_use(ViolationKind.MANY, what, *about)
                continue
            for other in {given[database] for database in databases}:
                if other != session.number:
                    what = f"{name_of(session)} is used beside session {other}"
                    yield Sight.of_use(ViolationKind.MANY, what, *about)
    yield from _attached(recording)
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
                f"{name_of(session)} is made by Flask-Admin itself",
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


def _attached(recording: Recording) -> t.Iterator[Sight]:
    """Find requests that add a row to a second session, both of their own.

    An older session is found by ``fresh``.
    """
    for request in recording.requests:
        said = error_in(request, SessionError.ATTACHED)
        sessions = [recording.sessions[use.session] for use in request.uses]
        scope = scope_of(recording, request)
        if said and all(_is_made(session, scope) for session in sessions):
            what = f"adds a row of one session to another: {said}"
            line = request.raised_at
            kind = ViolationKind.ATTACHED
            yield Sight(kind, what, request, place=line, own=line)


def _given(recording: Recording, request: Request) -> dict[int, int]:
    """Return the session for each database that a handle gives a request.

    It is the first that was made in this request. An older session is a stray.
    """
    given: dict[int, int] = {}
    scope = scope_of(recording, request)
    held = {view.session for view in recording.views}
    sessions = [recording.sessions[use.session] for use in request.uses]
    for session in sorted(sessions, key=lambda session: not _is_made(session, scope)):
        stray = session.maker == Maker.HAND or session.number in held
        ignored = stray or session.left_alone
        for database in () if ignored else _databases(recording, session):
            given.setdefault(database, session.number)
    return given


def _is_made(session: Session, scope: int) -> bool:
    """Was a session made since a request began?"""
    return session.born_in is not None and session.born_in >= scope


def _on_threads_of_flask_admin(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that Flask-Admin itself uses on another thread.

    The app may pass a session to another thread, and wait for it.
    """
    for session in recording.sessions:
        for outside in session.outside:
            if outside.unsolicited and not session.left_alone:
                what = f"{name_of(session)} is used by Flask-Admin on another thread"
                meanwhile = request_of(recording, outside.request)
                yield Sight(
                    ViolationKind.UNSOLICITED,
                    what,
                    meanwhile,
                    session,
                    place=outside.place,
                )


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
        database
        for session in sessions
        if session.maker != Maker.HAND
        for database in _databases(recording, session)
    }


def _databases(recording: Recording, session: Session) -> set[int]:
    """Return the first engine of each database that a session uses.

    Two engines with one URL are engines of one database, unless that is in memory.
    """
    urls = recording.engines
    return {
        number if number in recording.in_memory else urls.index(urls[number])
        for number in session.engines
    }
