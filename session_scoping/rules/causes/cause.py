"""What a cause is, and how one is made of the function that recognises it."""

import typing as t
from dataclasses import dataclass

from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.rules.defects import Defect
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

# Returns whether the cause explains a sight, or the line of the app that is the cause.
Recognise = t.Callable[[Sight, Recording], bool | Place | None]


@dataclass(frozen=True)
class Cause:
    """Why a rule is broken, and what to change."""

    page: str  # the name of its page, as "kept-session"
    name: str
    sentence: str
    fix: str  # code, what to install, or what to delete
    link: str
    beneath_views: bool  # is it in the app or its tests, and not in a view?
    defect: Defect | None = None  # the documented defect of a release, if it is one


# How a session shows that an earlier request, or this one, has left it.
LEFT = {
    ViolationKind.AGAIN,
    ViolationKind.KEPT,
    ViolationKind.OPEN,
    ViolationKind.OTHER_THREAD,
    ViolationKind.OVERLAP,
    ViolationKind.PENDING_ROLLBACK,
}
RECOGNISERS: dict[Cause, Recognise] = {}


def cause(
    name: str, sentence: str, fix: str, link: str = "", beneath_views: bool = False
) -> t.Callable[[Recognise], Cause]:
    """Make a cause of the function that recognises it, which names its page, too."""
    return _keep(lambda page: Cause(page, name, sentence, fix, link, beneath_views))


def documented(
    name: str, defect: Defect, beneath_views: bool = False, fix: str = ""
) -> t.Callable[[Recognise], Cause]:
    """Make a cause, which is a known defect of a release, of the decorated function.

    ``fix``: what to change, if it is not the workaround of the defect.
    """
    texts = defect.sentence, fix or defect.workaround, defect.link
    return _keep(lambda page: Cause(page, name, *texts, beneath_views, defect))


def _keep(make: t.Callable[[str], Cause]) -> t.Callable[[Recognise], Cause]:
    def keep(recognise: Recognise) -> Cause:
        known = make(recognise.__name__.replace("_", "-"))
        RECOGNISERS[known] = recognise
        return known

    return keep


def maker(sight: Sight) -> Maker | None:
    """Return what made the session that a sight is about."""
    return sight.session.maker if sight.session else None


def use_of(sight: Sight) -> Use | None:
    """Return how the request of a sight used its session."""
    request, session = sight.request, sight.session
    if request is None or session is None:
        return None
    return next((use for use in request.uses if use.session == session.number), None)


def held(sight: Sight, recording: Recording) -> bool:
    """Does a view hold this session instead of a handle?"""
    return sight.session is not None and any(
        view.session == sight.session.number for view in recording.views
    )


def is_of_same_registry(session: Session, other: Session | None) -> bool:
    """Did a registry give both sessions, and for the same databases?"""
    if other is None or session.engines != other.engines:
        return False
    return (session.maker, session.registry) == (other.maker, other.registry)


def left_by(sight: Sight, recording: Recording) -> Request | None:
    """Return the request that has not closed the session of a sight."""
    session, request = sight.session, sight.request
    if session is None or request is None or sight.kind not in LEFT:
        return None
    for earlier in recording.requests[: request.number + 1]:
        for use in earlier.uses:
            if use.session == session.number and not use.closed:
                return earlier
    return None


def is_emptied(session: Session | None, recording: Recording) -> bool:
    """Do requests empty the registry that gave a session?

    Then a thread whose request has closed its session gets another session of that
    registry in its next request.
    """
    closed: dict[str, int] = {}  # the session of the last request on each thread
    for request in recording.requests:
        for use in request.uses:
            other = recording.sessions[use.session]
            if not is_of_same_registry(other, session):
                continue
            before = closed.pop(request.thread, other.number)
            if before != other.number and other.born_in == request.number:
                return True
            if use.closed:
                closed[request.thread] = other.number
    return False
