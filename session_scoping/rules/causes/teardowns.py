"""Teardowns, and what keeps them from closing a session."""

from session_scoping.fixes import code
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.causes.cause import is_of_same_registry
from session_scoping.rules.causes.cause import left_by
from session_scoping.rules.causes.cause import maker
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

TEARDOWNS = "https://flask.palletsprojects.com/en/stable/reqcontext/#teardown-callbacks"


@cause(
    "a teardown that commits",
    "Changes that the view has not committed are saved when the request ends, "
    "half-done changes included. If the commit fails, the teardown that removes the "
    "session does not run.",
    code("commits"),
    beneath_views=True,
)
def committing_teardown(sight: Sight, recording: Recording) -> bool | Place:
    if sight.kind == ViolationKind.LATE_COMMIT:
        return True
    failed = _failed_teardown(sight, recording)
    lines = {late.place for late in recording.late_commits}
    return failed if failed is not None and failed in lines else False


@cause(
    "a teardown that raises",
    "After a teardown that raises, Flask runs none of the others. The teardown that "
    "removes or closes the session is not reached.",
    code("teardown_raises"),
    TEARDOWNS,
    beneath_views=True,
)
def raising_teardown(sight: Sight, recording: Recording) -> Place | None:
    return _failed_teardown(sight, recording)


def _failed_teardown(sight: Sight, recording: Recording) -> Place | None:
    """Return the line of the teardown that kept the session from being closed."""
    leaving = left_by(sight, recording)
    return leaving.teardown_failed_at if leaving else None


@cause(
    "a `scoped_session` that is removed only by some requests",
    "This line removes the session while a request runs. A request that does not reach "
    "the line, or uses the session after it, leaves its session to later requests in "
    "the same scope.",
    code("never_removed"),
    TEARDOWNS,
    beneath_views=True,
)
def removed_by_some_requests(sight: Sight, recording: Recording) -> Place | None:
    session = sight.session
    if maker(sight) != Maker.SCOPED_SESSION or left_by(sight, recording) is None:
        return None
    uses = [
        use
        for request in recording.requests
        for use in request.uses
        if not request.exception
        and is_of_same_registry(recording.sessions[use.session], session)
    ]
    closed = [use for use in uses if use.closed]
    early = [
        use.closed_early
        for use in closed
        if use.closed_early and not use.closed_unsolicited
    ]
    some = 0 < len(closed) < len(uses)
    return early[0] if some and len(early) == len(closed) else None


@cause(
    "a session that is closed only where no error occurs, as by `after_request`",
    "An `after_request` function does not run when Flask passes an exception on, as "
    "with a debugger or in tests. Nor does what comes after a line that raises. A "
    "teardown always runs.",
    code("never_closed"),
    TEARDOWNS,
    beneath_views=True,
)
def closed_without_error(sight: Sight, recording: Recording) -> Place | None:
    return _closed_without_error(sight, recording, Maker.HAND)


@cause(
    "a `scoped_session` that is removed only where no error occurs",
    "A later request in the same scope gets the session that an error has left. A "
    "teardown always runs. It has to remove the session also after an error.",
    code("never_removed"),
    TEARDOWNS,
    beneath_views=True,
)
def removed_without_error(sight: Sight, recording: Recording) -> Place | None:
    return _closed_without_error(sight, recording, Maker.SCOPED_SESSION)


def _closed_without_error(
    sight: Sight, recording: Recording, made_by: Maker
) -> Place | None:
    """Return the line that closes such a session in requests that do not fail.

    Such a session is of the same maker and database. If code of the app makes it, the
    line that makes it is the same, too.
    """
    failed, session = left_by(sight, recording), sight.session
    if failed is None or session is None or not failed.exception:
        return None
    if session.maker != made_by:
        return None
    for request in recording.requests:
        for use in request.uses:
            other = recording.sessions[use.session]
            if (
                use.closed_at
                and not request.exception
                and (other.maker, other.registry) == (made_by, session.registry)
                and {*other.engines} & {*session.engines}
                and (other.maker == Maker.SCOPED_SESSION or other.own == session.own)
            ):
                return use.closed_at
    return None
