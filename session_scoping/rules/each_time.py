"""Sessions of a handle of the app's own that makes one each time it is asked."""

import typing as t

from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Session
from session_scoping.recording import Use

Line = tuple[int, Place | None]  # of a view's handle


def line_of(session: Session) -> Line | None:
    """Return the line of the handle that made a session, or ``None``."""
    return None if session.handle_of is None else (session.handle_of, session.own)


def made_each_time(recording: Recording) -> dict[int, int]:
    """Return the sessions beside an earlier session of the same line and request.

    By the number of each is that of the first. Views whose requests have sessions of
    another maker are left out: their handle gives those.
    """
    given = {
        request.view
        for request in recording.requests
        for use in request.uses
        if recording.sessions[use.session].maker != Maker.HAND
    }
    found = {}
    for request in recording.requests:
        first: dict[t.Any, int] = {}
        for use in request.uses if request.view not in given else ():
            session = recording.sessions[use.session]
            line = line_of(session)
            if line and session.born_in == request.number and _is_usual(session, use):
                key = line, *session.engines
                other = first.setdefault(key, session.number)
                if other != session.number:
                    found[session.number] = other
    return found


def _is_usual(session: Session, use: Use) -> bool:
    """Is there no other reason to make a session anew?

    Such are an app context inside the request, a stream, another thread, and a session
    that was closed.
    """
    apart = session.context or session.in_stream or use.thread
    return not (apart or use.closed_early or use.closed_unsolicited)
