"""Sessions of the app's own, and what outlives its request."""

from session_scoping.fixes import code
from session_scoping.recording import INSTALLED
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Session
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.defects import FLASK_ADMIN
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

# What is in the path to something that a cache of these packages keeps.
CACHES = ("_lru_cache_wrapper", "_Cache__data")


@cause(
    "Flask-Admin itself",
    "This is not the app's code: this release of Flask-Admin does it by itself.",
    """\
# report it to Flask-Admin, with what this prints about its own code:
session-scoping upgrade flask-admin==2.2.1 flask-admin==THIS_RELEASE""",
    f"{FLASK_ADMIN}/issues",
)
def flask_admin(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.UNSOLICITED and bool(
        sight.place and sight.place.of_flask_admin
    )


@cause(
    "a session made in a mapper event",
    "While a session is flushed, its mapper events must not use another session. Only "
    "the connection that the event is given is in that transaction for sure.",
    code("mapper_event"),
    "https://docs.sqlalchemy.org/en/20/orm/session_events.html#mapper-level-flush-events",
    beneath_views=True,
)
def mapper_event(sight: Sight, recording: Recording) -> bool:
    return sight.session is not None and sight.session.in_mapper_event


@cause(
    "a session made by hand",
    "This code makes a session of its own. The session does not see what the request "
    "has not committed with another session, and only this code can close it.",
    code("by_hand"),
)
def session_by_hand(sight: Sight, recording: Recording) -> bool:
    session = sight.session
    if session is None or session.maker != Maker.HAND:
        return False
    return not sight.kept_by or (
        sight.kind == ViolationKind.OPEN and _served_one(session, recording)
    )


def _served_one(session: Session, recording: Recording) -> bool:
    """Was a session made in the only request that used it?"""
    served = [
        request.number
        for request in recording.requests
        for use in request.uses
        if use.session == session.number
    ]
    return served == [session.born_in]


@cause(
    "a session kept since the app was built",
    "The code that builds the app opens this session, and something keeps it since.",
    code("kept_since_start"),
    "https://docs.sqlalchemy.org/en/20/orm/session_basics.html#closing",
)
def kept_since_start(sight: Sight, recording: Recording) -> bool:
    return (
        sight.kind == ViolationKind.STARTUP
        and sight.request is None
        # A view that keeps it would use it, if the client were allowed to see the view.
        and sight.view is None
    )


@cause(
    "a session kept beyond its request",
    "Something in the app keeps a session from an earlier request or from startup.",
    code("kept_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def kept_session(sight: Sight, recording: Recording) -> bool:
    if sight.kept_by and (
        sight.kept_by[-1] == REGISTRY or sight.kept_by[0].endswith(INSTALLED)
    ):
        return False  # the change is of the app's own code
    return sight.session is not None and (
        sight.session.kept or sight.kind in {ViolationKind.STARTUP, ViolationKind.AGAIN}
    )


@cause(
    "a row kept by a form since the app was built",
    "The class of a form is made once. The row that was loaded then is detached, and "
    "shows what was in the database at that time.",
    code("default_row"),
    f"{FLASK_ADMIN}/issues/945",
)
def default_row(sight: Sight, recording: Recording) -> bool:
    return (
        sight.kind == ViolationKind.INSTANCE
        and sight.request is None
        and any(step.startswith("UnboundField") for step in sight.kept_by)
    )


@cause(
    "rows kept by a cache of `lru_cache` or `cachetools`",
    "The cache keeps rows that a session loaded earlier. They are detached, and show "
    "what was in the database then.",
    code("cached_rows"),
    "https://docs.sqlalchemy.org/en/20/errors.html#error-bhk3",
)
def cached_rows(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.INSTANCE and any(
        cache in step for step in sight.kept_by for cache in CACHES
    )


@cause(
    "rows kept beyond their request",
    "Something in the app has kept rows that a session loaded earlier. They are "
    "detached, and show what was in the database then.",
    code("kept_instance"),
)
def kept_rows(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.INSTANCE
