"""What the check of a rule yields: a sight for each time that the rule is broken."""

import typing as t

from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Use
from session_scoping.recording import Word


class ViolationKind(Word):
    """How a rule is broken."""

    RAW = "the view holds a session"
    REPLACED = "the view holds another handle"
    STRAY = "a session made by hand"
    MANY = "a second session of the handle"
    UNSOLICITED = "work that Flask-Admin does by itself"
    STARTUP = "a session of startup"
    AGAIN = "a session of an earlier request"
    OTHER_THREAD = "a session of another thread"
    OUTDATED = "a page of what was in the database before"
    OVERLAP = "a session of two requests at the same time"
    JOINED = "a transaction of two requests at the same time"
    DIRTY_READ = "a dirty read"
    DIRTY_WRITE = "a dirty write"
    LATE_COMMIT = "a commit after the view has answered"
    CONCURRENT = "a failure beside another request"
    ATTACHED = "a row of two sessions"
    DETACHED = "a row of no session"
    REUSED = "a use after the session is closed"
    CLOSED_EARLY = "a session that is closed early"
    STREAM = "a stream that ends with an error"
    OPEN = "a session that is not closed"
    KEPT = "a session that something refers to"
    THREAD = "a session of a thread"
    TRANSACTION = "a transaction that is left open"
    CHANGED = "a connection that is left changed"
    CONNECTION = "a connection that is not returned"
    INSTANCE = "an instance that something refers to"
    AFTER_FAILURE = "a failure after an injected fault"
    PENDING_ROLLBACK = "a failure by an earlier request"
    NOT_ROLLED_BACK = "a failure that is not rolled back"
    UNCLOSED = "a session that cannot be closed"


class Sight(t.NamedTuple):
    """A sight of a broken rule: once, in one request or view."""

    kind: ViolationKind  # sights of a kind become one violation
    what: str  # what was seen, in a line
    request: Request | None = None
    session: Session | None = None
    view: int | None = None  # where there is no request
    place: Place | None = None
    own: Place | None = None
    kept_by: t.Sequence[str] = ()

    @classmethod
    def of_use(
        cls,
        kind: ViolationKind,
        what: str,
        request: Request,
        session: Session,
        use: Use,
    ) -> "Sight":
        """Return the sight of a session that a request uses."""
        kept_by = session.kept_by
        return cls(kind, what, request, session, None, use.place, use.own, kept_by)
