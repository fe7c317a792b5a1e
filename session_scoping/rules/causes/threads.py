"""Sessions that are used outside of any request, where no request ends."""

from session_scoping.fixes import code
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.causes.cause import LEFT
from session_scoping.rules.causes.cause import maker
from session_scoping.rules.causes.cause import use_of
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

REMOVE = "https://docs.sqlalchemy.org/en/20/orm/contextual.html#sqlalchemy.orm.scoped_session.remove"
THREADS = (
    "https://docs.sqlalchemy.org/en/20/orm/session_basics.html#session-faq-threadsafe"
)


@cause(
    "a thread that keeps one session for all turns of a loop",
    "The thread repeats a statement in the same transaction. It does not see what "
    "requests have committed since the first turn.",
    code("loop"),
    THREADS,
    beneath_views=True,
)
def looping_thread(sight: Sight, recording: Recording) -> bool:
    return (
        sight.kind == ViolationKind.THREAD
        and sight.session is not None
        and any(outside.repeats for outside in sight.session.outside)
    )


@cause(
    "a thread that does not remove its `scoped_session`",
    "No request ends on that thread, so that no teardown removes its session. It stays "
    "in the registry, and keeps its connection.",
    code("outside_request"),
    REMOVE,
    beneath_views=True,
)
def scoped_session_in_thread(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.THREAD and maker(sight) == Maker.SCOPED_SESSION


@cause(
    "a `scoped_session` that is used outside of any request",
    "No request ends where this code runs, so that no teardown removes its session. It "
    "stays in the registry, and the next request on that thread gets it.",
    code("outside_request"),
    REMOVE,
    beneath_views=True,
)
def outside_request(sight: Sight, recording: Recording) -> Place | None:
    use = use_of(sight)
    if use is None or maker(sight) != Maker.SCOPED_SESSION:
        return None
    kinds = {ViolationKind.STARTUP, ViolationKind.INSTANCE}
    return use.outside if sight.kind in kinds else None


@cause(
    "a `scoped_session` that is used on another thread than its request's",
    "The teardown runs on the thread of the request, and removes the session of that "
    "thread. The session of the other thread stays in the registry.",
    code("other_thread"),
    "https://flask.palletsprojects.com/en/stable/async-await/",
    beneath_views=True,
)
def other_thread(sight: Sight, recording: Recording) -> Place | bool | None:
    use = use_of(sight)
    if use is None or maker(sight) != Maker.SCOPED_SESSION:
        return None
    return sight.kind in LEFT and bool(use.thread) and (use.own or True)


@cause(
    "an app context that a thread does not leave",
    "The session ends with the app context. This thread has ended, or waits for its "
    "next work, without leaving the app context.",
    code("thread"),
    "https://flask.palletsprojects.com/en/stable/appcontext/",
    beneath_views=True,
)
def context_in_thread(sight: Sight, recording: Recording) -> bool:
    return (
        sight.kind == ViolationKind.THREAD
        and maker(sight) in {Maker.FLASK_SQLALCHEMY, Maker.LITE}
        and sight.session is not None
        and sight.session.outside[0].in_context
    )


@cause(
    "a session that a background thread makes and does not close",
    "No request ends on that thread, so that only this code can close its session.",
    code("own_thread"),
    THREADS,
)
def session_in_thread(sight: Sight, recording: Recording) -> bool:
    return sight.kind == ViolationKind.THREAD and maker(sight) == Maker.HAND
