"""The causes that are known by name, each with the change that fixes it."""

import typing as t
from dataclasses import dataclass

from session_scoping.fixes import code
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import Defect
from session_scoping.rules.defects import FLASK_ADMIN
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

Recognise = t.Callable[[Sight, Recording], bool]


@dataclass(frozen=True)
class Cause:
    """Why a rule is broken, and what to change."""

    name: str
    sentence: str
    fix: str  # code, what to install, or what to delete
    link: str
    beneath_views: bool  # is it in the app or its tests, and not in a view?
    defect: Defect | None = None  # the documented defect of a release, if it is one


# The first cause that recognises a sight explains it: their order in this file decides.
CAUSES: dict[Cause, Recognise] = {}


def cause(
    name: str, sentence: str, fix: str, link: str = "", beneath_views: bool = False
) -> t.Callable[[Recognise], Cause]:
    """Make a cause of the decorated function, which recognises it."""
    return _keep(Cause(name, sentence, fix, link, beneath_views))


def documented(
    name: str, defect: Defect, beneath_views: bool = False
) -> t.Callable[[Recognise], Cause]:
    """Make a cause, which is a known defect of a release, of the decorated function."""
    texts = defect.sentence, defect.workaround, defect.link
    return _keep(Cause(name, *texts, beneath_views, defect))


def _keep(known: Cause) -> t.Callable[[Recognise], Cause]:
    def keep(recognise: Recognise) -> Cause:
        CAUSES[known] = recognise
        return known

    return keep


def cause_of(sight: Sight, recording: Recording) -> Cause | None:
    """Return the first known cause that explains a broken rule, or ``None``."""
    for known, recognise in CAUSES.items():
        if recognise(sight, recording):
            return known
    return None


def _maker(sight: Sight) -> Maker | None:
    return sight.session.maker if sight.session else None


def _held(sight: Sight, recording: Recording) -> bool:
    """Does a view hold this session instead of a handle?"""
    return sight.session is not None and any(
        view.session == sight.session.number for view in recording.views
    )


UNIQUE = BY_ID["unique-keeps-session"]
UNCLOSED = BY_ID["close-fails-and-is-kept"]
STREAMED = BY_ID["streams-too-late"]
MASS_DELETE = BY_ID["mass-delete-not-rolled-back"]


@cause(
    "a stream that was ended on another thread than it began on",
    "An app context can be left only on the thread that entered it. The context of the "
    "stream stays on its thread. Every later request there runs inside it, and all of "
    "them share one session.",
    code("ended_elsewhere"),
    "https://github.com/pallets/flask/issues/6123",
    beneath_views=True,
)
def ended_elsewhere(sight: Sight, recording: Recording) -> bool:
    request = sight.request
    if request is None or not (request.outer_context or request.ended_on):
        return False
    earlier = recording.requests[: request.number + 1]
    return any(
        previous.ended_on and previous.thread == request.thread for previous in earlier
    )


@documented(
    "a lost connection leaves its session in the registry", UNCLOSED, beneath_views=True
)
def unclosed(sight: Sight, recording: Recording) -> bool:
    session = sight.session
    return (
        session is not None
        and (bool(session.close_error) or _was_unclosed(sight, session))
        and session.maker in {Maker.FLASK_SQLALCHEMY, Maker.SCOPED_SESSION}
        and sight.kind
        in {
            ViolationKind.KEPT,
            ViolationKind.AGAIN,
            ViolationKind.OPEN,
            ViolationKind.OVERLAP,
            ViolationKind.REUSED,
        }
        and (not sight.kept_by or sight.kept_by[-1] == REGISTRY)
    )


def _was_unclosed(sight: Sight, session: Session) -> bool:
    """Was it still there because closing it had failed? It may be closed by now."""
    uses = sight.request.uses if sight.request else ()
    return any(use.session == session.number and use.close_error for use in uses)


@cause(
    "an app context around the test client",
    "Requests made inside `with app.app_context():` share that context, and with it "
    "one session. Nothing is released between them.",
    code("outer_context"),
    "https://flask.palletsprojects.com/en/stable/appcontext/",
    beneath_views=True,
)
def outer_context(sight: Sight, recording: Recording) -> bool:
    return sight.request is not None and sight.request.outer_context


@cause(
    "`db.session()` given to a view",
    "`db.session()` returns a session, not a handle. The view keeps that session for "
    "the life of the app.",
    code("called_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def called_session(sight: Sight, recording: Recording) -> bool:
    return _held(sight, recording) and _maker(sight) in {
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
    return _held(sight, recording) and _maker(sight) == Maker.LITE


@cause(
    "a raw session given to a view",
    "The view keeps this session for the life of the app, and every request shares it.",
    code("raw_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def raw_session(sight: Sight, recording: Recording) -> bool:
    return _held(sight, recording)


@documented(
    "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from startup",
    UNIQUE,
)
def unique(sight: Sight, recording: Recording) -> bool:
    return (
        UNIQUE.is_in(recording.stack.get(UNIQUE.package, ""))
        and _maker(sight) == Maker.LITE
        and (
            any("Unique" in step for step in sight.kept_by)
            or bool(sight.place and sight.place.file.endswith("sqla/validators.py"))
        )
    )


@cause(
    "`db.session.remove()` or `close()` in the middle of a request",
    "The session is closed while the request still uses it. Rows that it has loaded "
    "are detached, and changes that were not committed are lost.",
    "Delete the call: the session is removed when the request is over.",
)
def closed_early(sight: Sight, recording: Recording) -> bool:
    return (
        sight.kind
        in {ViolationKind.MANY, ViolationKind.REUSED, ViolationKind.CLOSED_EARLY}
        and sight.request is not None
        and any(
            use.closed_early and not use.closed_unsolicited
            for use in sight.request.uses
        )
    )


@documented("Flask 3.1.2 and newer: a streamed export outlives its session", STREAMED)
def streamed(sight: Sight, recording: Recording) -> bool:
    request = sight.request
    return (
        request is not None
        and request.streamed
        and STREAMED.is_in(recording.stack.get(STREAMED.package, ""))
        and sight.kind
        in {ViolationKind.STREAM, ViolationKind.REUSED, ViolationKind.OPEN}
        and (
            bool(request.stream_exception)
            or any(use.used_after_close for use in request.uses)
        )
    )


@documented(
    "Flask-Admin: a mass delete is not rolled back when its commit fails",
    MASS_DELETE,
)
def mass_delete(sight: Sight, recording: Recording) -> bool:
    request = sight.request
    return (
        sight.kind == ViolationKind.TRANSACTION
        and request is not None
        and request.method == "POST"
        and request.path.partition("?")[0].endswith("/action/")
        and MASS_DELETE.is_in(recording.stack.get(MASS_DELETE.package, ""))
    )


@cause(
    "a teardown that commits",
    "Changes that the view has not committed are saved when the request ends, "
    "half-done changes included.",
    code("commits"),
    beneath_views=True,
)
def commits(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.LATE_COMMIT


@cause(
    "a session used by a background thread",
    "No request ends on that thread, so nothing closes its session.",
    code("thread"),
    "https://docs.sqlalchemy.org/en/20/orm/session_basics.html#session-faq-threadsafe",
)
def thread(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.THREAD


@cause(
    "a scope that is smaller than a request",
    "The handle gives more than one session in one request. A row that one session has "
    'loaded cannot be used with another ("already attached to session").',
    code("small_scope"),
    f"{FLASK_ADMIN}/issues/2831",
    beneath_views=True,
)
def small_scope(sight: Sight, recording: Recording) -> bool:
    return (
        _maker(sight) == Maker.SCOPED_SESSION
        and sight.kind in {ViolationKind.MANY, ViolationKind.OPEN, ViolationKind.KEPT}
        and sight.request is not None
        and len(_given(sight.request, recording)) > 1
    )


def _given(request: Request, recording: Recording) -> list[Session]:
    """Return the sessions that a ``scoped_session`` made for a request."""
    sessions = [recording.sessions[use.session] for use in request.uses]
    return [
        session
        for session in sessions
        if session.maker == Maker.SCOPED_SESSION and session.born_in == request.number
    ]


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
        _maker(sight) == Maker.SCOPED_SESSION
        and sight.kind
        in {
            ViolationKind.OPEN,
            ViolationKind.AGAIN,
            ViolationKind.OVERLAP,
            ViolationKind.KEPT,
            ViolationKind.STARTUP,
        }
        and (not sight.kept_by or sight.kept_by[-1] == REGISTRY)
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
        _maker(sight) == Maker.HAND
        and sight.kind in {ViolationKind.OPEN, ViolationKind.KEPT}
        and not sight.kept_by
        and sight.place is not None
        and sight.place.of_flask_admin
        and sight.request is not None
        and len(sight.request.uses) == 1
    )


@cause(
    "a failed statement that is not rolled back",
    "A statement or a commit failed in this request. Then an error page, or code that "
    "caught the error, used the session without a rollback, which SQLAlchemy refuses.",
    code("not_rolled_back"),
    "https://docs.sqlalchemy.org/en/20/faq/sessions.html"
    "#this-session-s-transaction-has-been-rolled-back-due-to-a-previous-exception-during-flush-or-similar",
)
def not_rolled_back(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.NOT_ROLLED_BACK


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
    "a session made by hand",
    "This code makes a session of its own, although the handle has a session for this "
    "request. The new session does not see what the request has changed, and only this "
    "code can close it.",
    code("by_hand"),
)
def by_hand(sight: Sight, recording: Recording) -> bool:
    return _maker(sight) == Maker.HAND and not sight.kept_by


@cause(
    "a session kept beyond its request",
    "Something in the app keeps a session from an earlier request or from startup.",
    code("kept_session"),
    f"{FLASK_ADMIN}/issues/1272",
)
def kept_session(sight: Sight, recording: Recording) -> bool:
    return sight.session is not None and (
        sight.session.kept or sight.kind in {ViolationKind.STARTUP, ViolationKind.AGAIN}
    )


@cause(
    "rows kept beyond their request",
    "Something in the app has kept rows that a request loaded. They are detached, and "
    "show what was in the database then.",
    code("kept_instance"),
)
def kept_instance(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.INSTANCE
