"""How the session of a request ends, and what failed before."""

from session_scoping.fixes import code
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.causes.cause import documented
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

MASS_DELETE = BY_ID["mass-delete-not-rolled-back"]
ROLLED_BACK = (
    "https://docs.sqlalchemy.org/en/20/faq/sessions.html"
    "#this-session-s-transaction-has-been-rolled-back-due-to-a-previous-exception-during-flush-or-similar"
)
# How a request shows that its session was closed before it was done.
ENDS = {
    ViolationKind.MANY,
    ViolationKind.DETACHED,
    ViolationKind.REUSED,
    ViolationKind.CLOSED_EARLY,
}


@cause(
    "`db.session.remove()` or `close()` in the middle of a request",
    "The session is closed while the request still uses it. Rows that it has loaded "
    "are detached, and changes that were not committed are lost.",
    "Delete the call: the session is removed when the request is over.",
)
def closed_early(sight: Sight, recording: Recording) -> Place | None:
    if sight.kind not in ENDS or sight.request is None:
        return None
    lines = (
        use.closed_early for use in sight.request.uses if not use.closed_unsolicited
    )
    return next(filter(None, lines), None)


@cause(
    "a connection that is taken by hand and not returned",
    "This code takes a connection from the pool, past the session. The teardown ends "
    "only the session. A pool that has no connection left lets the next request wait.",
    code("connection"),
    "https://docs.sqlalchemy.org/en/20/core/connections.html",
)
def kept_connection(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.CONNECTION and any(
        unreturned.by_hand
        for unreturned in recording.unreturned
        if sight.request and unreturned.request == sight.request.number
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
        and request.commit_failed_at is None  # the app's own
        and request.method == "POST"
        and request.path.partition("?")[0].endswith("/action/")
        and MASS_DELETE.is_in(recording.stack.get(MASS_DELETE.package, ""))
    )


@cause(
    "a commit that fails and is not rolled back",
    "The database refused this commit, and the transaction stayed open. `remove()` and "
    "`close()` do not roll back after a failed commit. The next request on that "
    "connection goes on in the transaction.",
    code("failed_commit"),
    "https://docs.sqlalchemy.org/en/20/orm/session_basics.html#rolling-back",
)
def failed_commit(sight: Sight, recording: Recording) -> Place | None:
    request = sight.request
    if sight.kind != ViolationKind.TRANSACTION or request is None:
        return None
    return request.commit_failed_at


@cause(
    "code that Flask-Admin calls reads from a session that has failed",
    "Flask-Admin could not save a row. It translates its message before it rolls back, "
    "and for that it calls this code, such as a locale selector. The session refuses "
    "what the code asks, and the page answers 500.",
    code("read_while_saving"),
    ROLLED_BACK,
)
def read_while_saving(sight: Sight, recording: Recording) -> Place | None:
    request = sight.request
    if sight.kind != ViolationKind.NOT_ROLLED_BACK or request is None:
        return None
    return request.raised_at if request.raised_while_saving else None


@cause(
    "a failed autoflush that is caught without a rollback",
    "This query flushes the session first, with a row that the database refuses, such "
    "as a row that is not complete yet. The error is caught. The session then refuses "
    "everything, and with it the saving of the row.",
    code("autoflush"),
    "https://docs.sqlalchemy.org/en/20/orm/session_api.html#sqlalchemy.orm.Session.no_autoflush",
)
def autoflush(sight: Sight, recording: Recording) -> Place | None:
    request = sight.request
    if sight.kind != ViolationKind.NOT_ROLLED_BACK or request is None:
        return None
    by_query = request.autoflush_failed and not request.exception
    return request.flush_failed_at if by_query else None


@cause(
    "a failed statement that is not rolled back",
    "A statement or a commit failed in this request. Then an error page, or code that "
    "caught the error, used the session without a rollback, which SQLAlchemy refuses.",
    code("not_rolled_back"),
    ROLLED_BACK,
)
def not_rolled_back(sight: Sight, recording: Recording) -> bool | Place | None:
    if sight.kind != ViolationKind.NOT_ROLLED_BACK or sight.request is None:
        return False
    return sight.request.raised_at or sight.request.flush_failed_at or True
