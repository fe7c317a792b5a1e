"""The check of ``recovers``: what goes wrong after a failure."""

import typing as t

from session_scoping.recording import Injected
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import SessionError
from session_scoping.rules.checks.common import Done
from session_scoping.rules.checks.common import error_in
from session_scoping.rules.checks.common import name_of
from session_scoping.rules.checks.common import uses_by_session
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind
from session_scoping.rules.writes import OF_REFUSAL

REGISTRIES = {Maker.FLASK_SQLALCHEMY, Maker.SCOPED_SESSION}


def recovers(recording: Recording) -> t.Iterator[Sight]:
    """Find what goes wrong after a failure."""
    worked: set[Done] = set()
    failed: dict[Done, Injected] = {}
    for request in recording.requests:
        name = request.view, request.operation
        if not (request.in_trouble or request.unexpected):
            worked.add(name)
        if request.injected and name in worked:
            failed[name] = request.injected
        elif name in failed:
            before = failed.pop(name)
            why = request.exception or request.unexpected
            if why and not error_in(request, SessionError.AT_ONCE):
                what = f"does not work once `{before.step}` has failed: {why}"
                yield Sight(ViolationKind.AFTER_FAILURE, what, request)
            continue
        said = request.exception
        if not (_is_pending(said) or request.injected):
            said = error_in(request, SessionError.ROLLED_BACK)
            said = "" if OF_REFUSAL.search(said) else said
        if _is_pending(said):
            yield from _pending_rollback(recording, request, said)
    yield from _left_in_registry(recording)


def _is_pending(said: str) -> bool:
    """Does an error say that the session has failed, and was not rolled back?"""
    return "PendingRollbackError" in said or SessionError.ROLLED_BACK in said


def _left_in_registry(recording: Recording) -> t.Iterator[Sight]:
    """Find sessions that stay in a registry because they could not be closed."""
    for number, served in uses_by_session(recording).items():
        session = recording.sessions[number]
        failed = [request for request, use in served if use.close_error]
        kept = session.kept and (failed or session.close_error)
        left = kept or any(request.number != session.born_in for request in failed)
        registry = not session.kept_by or session.kept_by[-1] == REGISTRY
        if left and registry and session.maker in REGISTRIES:
            what = f"{name_of(session)} cannot be closed, and stays in the registry"
            yield Sight(ViolationKind.UNCLOSED, what, served[0][0], session)


def _pending_rollback(
    recording: Recording, request: Request, said: str
) -> t.Iterator[Sight]:
    """Find the session that a request cannot use because of an earlier failure."""
    what = f"fails because of an earlier request: {said}"
    if not request.uses:
        yield Sight(ViolationKind.PENDING_ROLLBACK, what, request)
    for use in request.uses:
        session = recording.sessions[use.session]
        if not session.left_alone:
            kind = ViolationKind.PENDING_ROLLBACK
            if session.born_in == request.number:
                kind = ViolationKind.NOT_ROLLED_BACK
                what = f"uses the session again without a rollback: {said}"
            yield Sight.of_use(kind, what, request, session, use)
            break
