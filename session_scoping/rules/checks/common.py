"""What several checks ask of a recording."""

from collections import defaultdict

from session_scoping.recording import Operation
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import SessionError
from session_scoping.recording import Use

Done = tuple[int | None, Operation | None]  # an operation in a view


def uses_by_session(recording: Recording) -> dict[int, list[tuple[Request, Use]]]:
    """Return the requests that each session served, in order."""
    found: dict[int, list[tuple[Request, Use]]] = defaultdict(list)
    for request in recording.requests:
        for use in request.uses:
            if not recording.sessions[use.session].left_alone:
                found[use.session].append((request, use))
    return found


def scope_of(recording: Recording, request: Request) -> int:
    """Return the number of the outermost request: a view may make nested requests."""
    while request.parent is not None:
        request = recording.requests[request.parent]
    return request.number


def name_of(session: Session) -> str:
    return f"session {session.number}"


def error_in(request: Request, error: SessionError) -> str:
    """Return what names an error of a session in a request, or an empty string."""
    said = request.exception, request.stream_exception, *request.said
    return next((each for each in said if error in each), "")


def request_of(recording: Recording, number: int | None) -> Request | None:
    return recording.requests[number] if number is not None else None
