"""Handles: what a view is given, and what it gives."""

from session_scoping.fixes import code
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.causes.cause import documented
from session_scoping.rules.causes.cause import held
from session_scoping.rules.causes.cause import is_emptied
from session_scoping.rules.causes.cause import is_of_same_registry
from session_scoping.rules.causes.cause import LEFT
from session_scoping.rules.causes.cause import maker
from session_scoping.rules.causes.cause import use_of
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import FLASK_ADMIN
from session_scoping.rules.each_time import line_of
from session_scoping.rules.each_time import made_each_time
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

UNIQUE = BY_ID["unique-keeps-session"]
UNCLOSED = BY_ID["close-fails-and-is-kept"]


@documented(
    "a lost connection leaves its session in the registry", UNCLOSED, beneath_views=True
)
def lost_connection(sight: Sight, recording: Recording) -> bool:
    return _is_unclosed(sight, Maker.FLASK_SQLALCHEMY)


@documented(
    "a lost connection leaves a session in the registry of a `scoped_session`",
    UNCLOSED,
    beneath_views=True,
    fix=code("closing_session"),
)
def lost_scoped_connection(sight: Sight, recording: Recording) -> bool:
    return _is_unclosed(sight, Maker.SCOPED_SESSION)


def _is_unclosed(sight: Sight, made_by: Maker) -> bool:
    """Is it about a session that could not be closed, or about what follows of that?"""
    session, use = sight.session, use_of(sight)
    if session is None or session.maker != made_by:
        return False
    failed = session.close_error or (use is not None and use.close_error)
    return sight.kind == ViolationKind.UNCLOSED or bool(
        failed
        and sight.kind in {*LEFT, ViolationKind.REUSED}
        and (not sight.kept_by or sight.kept_by[-1] == REGISTRY)
    )


@cause(
    "`db.session()` given to a view",
    "`db.session()` returns a session, not a handle. The view keeps that session for "
    "the life of the app.",
    code("called_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def called_session(sight: Sight, recording: Recording) -> bool:
    return held(sight, recording) and maker(sight) in {
        Maker.FLASK_SQLALCHEMY,
        Maker.SCOPED_SESSION,
    }


@cause(
    "Flask-SQLAlchemy-Lite's `db.session` given to a view",
    "With Flask-SQLAlchemy-Lite `db.session` is a session, not a handle. The view "
    "keeps that session for the life of the app.",
    code("lite_session"),
    f"{FLASK_ADMIN}/issues/2585",
)
def lite_session(sight: Sight, recording: Recording) -> bool:
    return held(sight, recording) and maker(sight) == Maker.LITE


@cause(
    "a raw session given to a view",
    "The view keeps this session for the life of the app, and every request shares it.",
    code("raw_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def raw_session(sight: Sight, recording: Recording) -> bool:
    return held(sight, recording)


@documented(
    "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from startup",
    UNIQUE,
)
def unique_validator(sight: Sight, recording: Recording) -> bool:
    return (
        UNIQUE.is_in(recording.stack.get(UNIQUE.package, ""))
        and maker(sight) == Maker.LITE
        and (
            any("Unique" in step for step in sight.kept_by)
            or bool(sight.place and sight.place.file.endswith("sqla/validators.py"))
        )
    )


@cause(
    "two handles or two engines for one database",
    "Parts of the app have a handle of their own for the same database. Its session "
    "does not see what the other has changed, and a row of one session cannot be added "
    'to the other ("already attached to session").',
    code("two_handles"),
    "https://docs.sqlalchemy.org/en/20/orm/session_basics.html#session-frequently-asked-questions",
)
def two_handles(sight: Sight, recording: Recording) -> bool:
    request = sight.request
    if request is None or sight.kind not in {
        ViolationKind.MANY,
        ViolationKind.ATTACHED,
    }:
        return False
    given = [
        session
        for session in recording.sessions
        if session.born_in == request.number and session.maker != Maker.HAND
    ]
    engines = {tuple(session.engines) for session in given if session.engines}
    return len({session.maker for session in given}) > 1 or len(engines) > 1


@cause(
    "a handle that makes a session each time it is asked",
    "The view's handle makes a new session at each access, several in one request. One "
    "does not see what another has not committed, and a row that is added to one is "
    "not saved when another commits.",
    code("raw_session"),
    "https://docs.sqlalchemy.org/en/20/orm/contextual.html",
    beneath_views=True,
)
def session_each_time(sight: Sight, recording: Recording) -> bool:
    line = line_of(sight.session) if sight.session else None
    return (
        line is not None
        and sight.kind in {ViolationKind.MANY, ViolationKind.OPEN, ViolationKind.KEPT}
        and not sight.kept_by
        and any(
            line_of(recording.sessions[number]) == line
            for number in made_each_time(recording)
        )
    )


@cause(
    "a scope that is smaller than a request",
    "The handle gives more than one session in one request. A row that one session has "
    'loaded cannot be used with another ("already attached to session").',
    code("small_scope"),
    f"{FLASK_ADMIN}/issues/2831",
    beneath_views=True,
)
def small_scope(sight: Sight, recording: Recording) -> bool:
    request, session = sight.request, sight.session
    if request is None or session is None or session.maker != Maker.SCOPED_SESSION:
        return False
    if sight.kind not in {ViolationKind.MANY, ViolationKind.OPEN, ViolationKind.KEPT}:
        return False
    used = [recording.sessions[use.session] for use in request.uses]
    given = [
        other
        for other in used
        if other.born_in == request.number and is_of_same_registry(session, other)
    ]
    return len(given) > 1


@cause(
    "a `scoped_session` that is never removed",
    "Without `remove()` a `scoped_session` keeps the session of its scope, usually a "
    "thread, and gives it to every later request in that scope.",
    code("never_removed"),
    "https://docs.sqlalchemy.org/en/20/orm/contextual.html#using-thread-local-scope-with-web-applications",
    beneath_views=True,
)
def never_removed(sight: Sight, recording: Recording) -> bool:
    return (
        maker(sight) == Maker.SCOPED_SESSION
        and sight.kind in {*LEFT, ViolationKind.STARTUP}
        and (not sight.kept_by or sight.kept_by[-1] == REGISTRY)
        and not is_emptied(sight.session, recording)
    )


@cause(
    "a handle that leaves its session open",
    "The view's handle makes a session for each request, and nothing closes it when "
    "the request is over.",
    code("never_closed"),
    "https://flask.palletsprojects.com/en/stable/appcontext/#storing-data",
    beneath_views=True,
)
def never_closed(sight: Sight, recording: Recording) -> bool:
    return (
        maker(sight) == Maker.HAND
        and sight.kind in {ViolationKind.OPEN, ViolationKind.KEPT}
        and not sight.kept_by
        and sight.place is not None
        and sight.place.of_flask_admin
        and sight.request is not None
        and len(sight.request.uses) == 1
    )
