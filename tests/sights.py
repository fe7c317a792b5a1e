"""By the name of a cause: a recording that shows it, and some that look like it."""

import typing as t
from dataclasses import replace

from session_scoping.recording import Deed
from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Unreturned
from session_scoping.recording import Unsolicited
from session_scoping.recording import Use
from tests.recordings import alone
from tests.recordings import asked
from tests.recordings import asked_twice
from tests.recordings import ATTACHED
from tests.recordings import AUTOFLUSH
from tests.recordings import BY_HAND
from tests.recordings import closed_by
from tests.recordings import DETACHED
from tests.recordings import ERROR
from tests.recordings import export
from tests.recordings import FAULTED
from tests.recordings import HAND
from tests.recordings import held
from tests.recordings import IN_A_MODULE
from tests.recordings import LIBRARY
from tests.recordings import OF_APP
from tests.recordings import OLDER
from tests.recordings import on_a_thread
from tests.recordings import OTHER
from tests.recordings import OWN
from tests.recordings import PENDING
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import ROLLED_BACK
from tests.recordings import session
from tests.recordings import shared
from tests.recordings import STARTUP
from tests.recordings import STREAM
from tests.recordings import use
from tests.recordings import view
from tests.violations import CASES
from tests.violations import CLOSED_EARLY
from tests.violations import KEPT
from tests.violations import LATE_COMMIT
from tests.violations import MADE_BY_HAND
from tests.violations import OPEN
from tests.violations import ROW
from tests.violations import TWO_OF_THE_HANDLE

UNIQUE = ["Admin → UserView", "Unique.db_session"]
KEPT_BY_VIEW = [f"Admin → {view().name}", "session"]
SMALL = {"maker": Maker.SCOPED_SESSION, "born_in": 0}


def with_session_of_startup(
    kept_by: t.Sequence[str], maker: str = Maker.LITE, admin: str = "2.2.1"
) -> Recording:
    given = session(0, maker=maker, kept=True, kept_by=kept_by, **OLDER)
    return alone(0, sessions=[given], admin=admin)


THREAD = alone(sessions=[on_a_thread()])


def failed_bulk_delete(**more: t.Any) -> Request:
    path = "/admin/user/action/"
    return replace(request(0, 0, **FAULTED, **more), method="POST", path=path)


def scoped(*numbers: int, **more: t.Any) -> Session:
    [number] = numbers or [0]
    return session(number, maker=Maker.SCOPED_SESSION, **more)


def left_by(
    maker: Maker = Maker.FLASK_SQLALCHEMY,
    *,
    own: Place | None = OWN,
    closed_at: Place | None = OTHER,
    engines: t.Sequence[int] = (0,),
    **more: t.Any,
) -> Recording:
    """Record a request that leaves its session, after a request that closes it.

    ``own``, ``closed_at`` and ``engines`` are about the session that is closed.
    """
    return recording(
        [
            request(0, use(0, closed_at=closed_at)),
            request(1, use(1, closed=False), **more),
        ],
        [
            session(0, maker=maker, own=own, engines=engines),
            session(1, maker=maker, own=OWN, closed=False),
        ],
    )


def removed_early(
    removed: Use | None = None,
    failed: dict[str, t.Any] | None = None,
    *,
    left: dict[str, t.Any] | None = None,
    **more: t.Any,
) -> Recording:
    """Record a request that leaves its session, after a request that removes its own.

    ``removed``: the use of the session that is removed. ``failed``: how that request
    fails. ``left``: how the other request fails. Further arguments are for the session
    that is removed.
    """
    before = removed or use(0, closed_early=OTHER)
    return recording(
        [
            request(0, before, **(failed or {})),
            request(1, use(1, closed=False), **(left or {})),
        ],
        [
            session(0, **{"maker": Maker.SCOPED_SESSION, "registry": 0, **more}),
            scoped(1, registry=0, closed=False),
        ],
    )


def scoped_second(engines: t.Sequence[int] = (0,)) -> Session:
    return session(1, maker=Maker.SCOPED_SESSION, born_in=0, engines=engines)


KNOWN: dict[str, tuple[Recording, list[Recording]]] = {
    "a stream that was ended on another thread than it began on": (
        recording(
            [
                request(0, ended_on="other"),
                *(request(n, 0, outer_context=True) for n in (1, 2)),
            ],
            [session(0, born_in=1)],
        ),
        [
            recording([request(n, 0, outer_context=True) for n in (0, 1)]),
            # the stream is a later request
            recording(
                [
                    *(request(n, 0, outer_context=True) for n in (0, 1)),
                    request(2, ended_on="other"),
                ]
            ),
            # the stream began on another thread
            recording(
                [
                    request(0, ended_on="other", thread="first"),
                    *(request(n, 0, outer_context=True) for n in (1, 2)),
                ],
                [session(0, born_in=1)],
            ),
            # the later requests do not run inside its context
            recording(
                [request(0, ended_on="other"), *(request(n, 0) for n in (1, 2))],
                [session(0, born_in=1)],
            ),
        ],
    ),
    "a lost connection leaves its session in the registry": (
        recording(
            [request(0, 0, injected=ROLLED_BACK), request(1, 0)],
            [session(0, kept=True, kept_by=[REGISTRY], close_error="gone")],
        ),
        [
            shared(Maker.SCOPED_SESSION, [REGISTRY]),
            recording(
                [request(0, 0, injected=ROLLED_BACK)],
                [session(0, kept=True, kept_by=["class UserView"], close_error="gone")],
            ),
            recording(
                [request(0, 0), request(1, use(0, close_error="gone"))],
                [session(0, kept=True, kept_by=["class UserView"])],
            ),
            recording(
                [request(0, 0), request(1, 0, use(1, close_error="gone"))],
                [session(0), session(1, left_alone=True)],
            ),
        ],
    ),
    "a lost connection leaves a session in the registry of a `scoped_session`": (
        recording(
            [
                request(0, 0, injected=ROLLED_BACK),
                request(1, use(0, close_error="gone")),
            ],
            [scoped()],
        ),
        [
            shared(Maker.SCOPED_SESSION, [REGISTRY]),
            recording(
                [request(0, use(0, close_error="gone")), request(1, 0)],
                [scoped(kept=True, kept_by=IN_A_MODULE)],
            ),
        ],
    ),
    "an app context that was pushed while the app was built": (
        recording([request(n, 0, outer_context=True, pushed_at=OWN) for n in (0, 1)]),
        [recording([request(n, 0, outer_context=True) for n in (0, 1)])],
    ),
    "an app context around the test client": (
        recording([request(n, 0, outer_context=True) for n in (0, 1)]),
        [recording([request(n, 0) for n in (0, 1)])],
    ),
    "an app context inside a request": (
        alone(0, 1, sessions=[session(0), session(1, born_in=0, context=OWN)]),
        [
            TWO_OF_THE_HANDLE,
            CLOSED_EARLY,
            alone(use(0, closed=False, closed_with=OWN)),
            alone(use(0, closed=False), sessions=[session(0, context=OWN)]),
        ],
    ),
    "`db.session()` given to a view": (
        held(Maker.SCOPED_SESSION),
        [held(Maker.HAND), shared(Maker.SCOPED_SESSION)],
    ),
    "Flask-SQLAlchemy-Lite's `db.session` given to a view": (
        held(Maker.LITE),
        [held(""), shared(Maker.LITE)],
    ),
    "a raw session given to a view": (
        held(Maker.HAND),
        [held(Maker.SCOPED_SESSION), shared(Maker.HAND)],
    ),
    "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from startup": (
        with_session_of_startup(UNIQUE, admin="2.2.0"),
        [
            with_session_of_startup(UNIQUE, admin="2.2.1"),
            with_session_of_startup(UNIQUE, admin="2.0.2"),
            with_session_of_startup(UNIQUE, admin=""),
            with_session_of_startup(["Admin → UserView", "cache"], admin="2.2.0"),
            with_session_of_startup(UNIQUE, Maker.FLASK_SQLALCHEMY, admin="2.2.0"),
        ],
    ),
    "`db.session.remove()` or `close()` in the middle of a request": (
        CLOSED_EARLY,
        [
            TWO_OF_THE_HANDLE,
            alone(use(0, closed_early=OWN), late_commits=[LateCommit(0, 0, OWN)]),
            # a library closes it
            alone(closed_by(LIBRARY), 1, sessions=[session(0), session(1, born_in=0)]),
        ],
    ),
    "Flask 3.1.2 and newer: a streamed export outlives its session": (
        export(0, flask="3.1.2"),
        [
            export(0, flask="3.1.1"),
            alone(0, **STREAM, flask="3.1.2"),
            export(0, streamed=False, flask="3.1.2"),
            export(use(0, closed=False), stream_exception="", flask="3.1.2"),
            # a stream breaks off, and something else breaks the rule
            alone(
                0,
                1,
                streamed=True,
                stream_exception="OSError: gone",
                sessions=[session(0), session(1, **HAND)],
                flask="3.1.2",
            ),
        ],
    ),
    "a stream that uses rows or the session after the view has answered": (
        alone(0, **STREAM),
        [
            export(0, flask="3.1.2"),
            alone(0, stream_exception=DETACHED),
            alone(use(0, closed=False), streamed=True),
            KEPT,
        ],
    ),
    "Flask-Admin: a mass delete is not rolled back when its commit fails": (
        recording([failed_bulk_delete(left_in_transaction=True)]),
        [
            recording([failed_bulk_delete(left_in_transaction=True)], admin="9.0"),
            recording(
                [replace(failed_bulk_delete(left_in_transaction=True), method="GET")]
            ),
            recording(
                [replace(failed_bulk_delete(left_in_transaction=True), path="/user/")]
            ),
            # it breaks another rule
            recording([failed_bulk_delete(taken=1)]),
            # another commit has failed
            recording(
                [failed_bulk_delete(left_in_transaction=True, commit_failed_at=OWN)]
            ),
            alone(0, left_in_transaction=True),
        ],
    ),
    "a commit that fails and is not rolled back": (
        alone(0, left_in_transaction=True, commit_failed_at=OWN),
        [
            alone(0, left_in_transaction=True),
            alone(0, taken=1, commit_failed_at=OWN),
        ],
    ),
    "a connection that is taken by hand and not returned": (
        alone(0, taken=1, unreturned=[Unreturned(0, OWN, OWN, by_hand=True)]),
        [
            alone(0, taken=1, unreturned=[Unreturned(0, OWN, OWN)]),
            alone(0, taken=1),
            recording(
                [request(0, taken=1), request(1, 1)],
                unreturned=[Unreturned(1, OWN, OWN, by_hand=True)],
            ),
            # the request breaks another rule
            alone(
                use(0, closed=False), unreturned=[Unreturned(0, OWN, OWN, by_hand=True)]
            ),
        ],
    ),
    "a teardown that commits": (
        LATE_COMMIT,
        [
            OPEN,
            left_by(teardown_failed_at=OTHER),
        ],
    ),
    "a teardown that raises": (left_by(teardown_failed_at=OTHER), [left_by(), OPEN]),
    "a `scoped_session` that is removed only by some requests": (
        removed_early(),
        [
            # the teardown of other requests removes it
            removed_early(use(0, closed_at=OTHER)),
            # a hook removes it early, and the teardown of another request at the end
            recording(
                [
                    request(0, use(0, closed_early=OTHER)),
                    request(1, use(1, closed_at=OWN)),
                    request(2, use(2, closed=False)),
                ],
                [scoped(n) for n in range(3)],
            ),
            # a library removes it
            removed_early(closed_by(LIBRARY)),
            # only requests that fail leave it, or remove it
            removed_early(left=ERROR),
            removed_early(failed=ERROR),
            # it is no `scoped_session`
            recording(
                [
                    request(0, use(0, closed_early=OTHER)),
                    request(1, use(1, closed=False)),
                ]
            ),
            # another registry is emptied
            removed_early(registry=1),
            removed_early(engines=[1]),
            removed_early(maker=Maker.FLASK_SQLALCHEMY),
        ],
    ),
    "a session that is closed only where no error occurs, as by `after_request`": (
        left_by(Maker.HAND, **ERROR),
        [
            left_by(Maker.HAND),
            left_by(Maker.HAND, own=OTHER, **ERROR),
            left_by(Maker.HAND, closed_at=None, **ERROR),
            # the request that closes its session fails, too
            recording(
                [
                    request(0, use(0, closed_at=OTHER), **ERROR),
                    request(1, use(1, closed=False), **ERROR),
                ],
                [session(n, maker=Maker.HAND, own=OWN) for n in (0, 1)],
            ),
            left_by(Maker.HAND, engines=[1], **ERROR),
            left_by(Maker.FLASK_SQLALCHEMY, **ERROR),
            left_by(Maker.SCOPED_SESSION, **ERROR),
        ],
    ),
    "a `scoped_session` that is removed only where no error occurs": (
        left_by(Maker.SCOPED_SESSION, own=OTHER, **ERROR),
        [left_by(Maker.SCOPED_SESSION), left_by(Maker.HAND, **ERROR)],
    ),
    "a thread that keeps one session for all turns of a loop": (
        alone(sessions=[on_a_thread(at_work=True, repeats=True)]),
        [THREAD, OPEN],
    ),
    "a thread that does not remove its `scoped_session`": (
        alone(sessions=[on_a_thread(Maker.SCOPED_SESSION)]),
        [THREAD, shared(Maker.SCOPED_SESSION)],
    ),
    "an app context that a thread does not leave": (
        alone(sessions=[on_a_thread(Maker.FLASK_SQLALCHEMY, in_context=True)]),
        [
            alone(sessions=[on_a_thread(Maker.FLASK_SQLALCHEMY)]),
            alone(sessions=[on_a_thread(in_context=True)]),
            OPEN,
        ],
    ),
    "a session that a background thread makes and does not close": (
        THREAD,
        [alone(sessions=[on_a_thread(Maker.LITE)]), MADE_BY_HAND],
    ),
    "a `scoped_session` that is used outside of any request": (
        alone(use(0, outside=OTHER), sessions=[scoped(**OLDER)]),
        [
            alone(0, sessions=[scoped(**OLDER)]),
            alone(use(0, outside=OTHER), sessions=[session(0, **OLDER)]),
            shared(Maker.SCOPED_SESSION),
        ],
    ),
    "a `scoped_session` that is used on another thread than its request's": (
        alone(use(0, thread="worker", closed=False), sessions=[scoped()]),
        [
            alone(use(0, closed=False), sessions=[scoped()]),
            alone(use(0, thread="worker", closed=False)),
            alone(use(0, thread="worker"), sessions=[scoped(**OLDER)]),
        ],
    ),
    "a session kept since the app was built": (
        alone(sessions=[session(0, **STARTUP, closed=False)]),
        [
            alone(0, sessions=[session(0, **STARTUP, closed=False)]),
            alone(0, sessions=[session(0, **OLDER, kept=True)]),
            alone(0, sessions=[session(0, **STARTUP, maker=Maker.HAND)]),
            alone(
                sessions=[
                    session(0, **STARTUP, closed=False, keeper=0, kept_by=KEPT_BY_VIEW)
                ],
                views=[view()],
            ),
        ],
    ),
    "two handles or two engines for one database": (
        alone(0, 1, sessions=[session(0), scoped_second()]),
        [
            TWO_OF_THE_HANDLE,
            MADE_BY_HAND,
            alone(0, exception=ATTACHED, status=500),
            alone(use(0, closed=False), 1, sessions=[session(0), scoped_second([1])]),
            # the other maker is code that makes a session by hand
            alone(
                0,
                1,
                2,
                sessions=[session(0), session(1, born_in=0), session(2, **HAND)],
            ),
            # another request has the other session
            recording(
                [request(0, 0), request(1, 1, 2)],
                [session(0), scoped(1), scoped(2, born_in=1)],
            ),
            # the session of another database is not used
            alone(
                0,
                1,
                sessions=[
                    session(0),
                    session(1, born_in=0),
                    session(2, born_in=0, engines=[]),
                ],
            ),
        ],
    ),
    "a handle that makes a session each time it is asked": (
        asked_twice(),
        [
            # there is a session of another maker
            alone(
                *(use(n, closed=False) for n in (0, 1)),
                2,
                sessions=[asked(0), asked(1), session(2, born_in=0)],
            ),
            # another reason to make a session anew
            asked_twice(context=OWN),
            asked_twice(in_stream=True),
            asked_twice(use(1, closed=False, thread="worker")),
            asked_twice(use(1, closed_early=OTHER)),
            asked_twice(use(1, closed_unsolicited=True)),
            # an older session
            asked_twice(born_in=None),
            # another line, handle or database
            asked_twice(own=OTHER),
            asked_twice(handle_of=1),
            asked_twice(engines=[1]),
            # not made by the handle
            alone(
                *(use(n, closed=False) for n in (0, 1)),
                sessions=[asked(n, handle_of=None) for n in (0, 1)],
            ),
            # one in each request
            recording(
                [request(n, use(n, closed=False)) for n in (0, 1)],
                [asked(0), asked(1, born_in=1)],
            ),
        ],
    ),
    "a scope that is smaller than a request": (
        alone(0, 1, sessions=[session(n, **SMALL) for n in (0, 1)]),
        [
            TWO_OF_THE_HANDLE,
            shared(Maker.SCOPED_SESSION),
            # one session is older
            alone(0, 1, sessions=[scoped(born_in=None), session(1, **SMALL)]),
            # one session is not of the scoped_session
            alone(0, 1, sessions=[session(0), session(1, **SMALL)]),
            # another rule is broken
            alone(
                0,
                1,
                sessions=[scoped(), session(1, **SMALL, engines=[1])],
                late_commits=[LateCommit(0, 0, OWN)],
            ),
        ],
    ),
    "a `scoped_session` that is never removed": (
        shared(Maker.SCOPED_SESSION),
        [
            shared(Maker.FLASK_SQLALCHEMY),
            alone(use(0, used_after_close=OWN), sessions=[scoped()]),
            alone(0, sessions=[scoped(kept=True, kept_by=IN_A_MODULE)]),
            removed_early(),
            # other requests of the thread remove theirs
            recording(
                [request(0, 0, 3), request(1, 1), request(2, use(2, closed=False))],
                [scoped(), scoped(1), scoped(2), session(3, engines=[1])],
            ),
        ],
    ),
    "a handle that leaves its session open": (
        alone(Use(0, LIBRARY), sessions=[session(0, **HAND, closed=False)]),
        [
            alone(Use(0, OWN), sessions=[session(0, **HAND, closed=False)]),
            alone(Use(0, OF_APP), sessions=[session(0, **HAND, closed=False)]),
            alone(Use(0, LIBRARY), sessions=[session(0, closed=False)]),
            MADE_BY_HAND,
            asked_twice(),
        ],
    ),
    "a failed autoflush that is caught without a rollback": (
        alone(0, said=[PENDING], **AUTOFLUSH),
        [alone(0, exception=PENDING, status=500, **AUTOFLUSH)],
    ),
    "code that Flask-Admin calls reads from a session that has failed": (
        alone(
            0,
            exception=PENDING,
            status=500,
            raised_at=OTHER,
            raised_while_saving=True,
        ),
        [alone(0, exception=PENDING, status=500, raised_at=OTHER), KEPT],
    ),
    "a failed statement that is not rolled back": (
        alone(0, exception=PENDING, status=500),
        [CASES["a request fails because an earlier request did not roll back"].broken],
    ),
    "Flask-Admin itself": (
        alone(
            closed_by(LIBRARY),
            unsolicited=[
                Unsolicited(Deed.COMMIT, 0, LIBRARY),
                Unsolicited(Deed.PAST_THE_SESSION, 0, LIBRARY),
            ],
        ),
        [alone(closed_by(OWN))],
    ),
    "a session made in a mapper event": (
        alone(
            0,
            use(1, closed=False),
            sessions=[session(0), session(1, **HAND, in_mapper_event=True, engines=[])],
        ),
        [MADE_BY_HAND, ROW],
    ),
    "a session made by hand in a stream": (
        alone(
            0,
            use(1, closed=False),
            sessions=[session(0), session(1, **HAND, in_stream=True)],
        ),
        [
            MADE_BY_HAND,
            OPEN,
            ROW,
            # it is not made in the stream
            alone(0, use(1, closed=False), sessions=[session(0), BY_HAND]),
            # something keeps it
            alone(
                0,
                1,
                sessions=[
                    session(0),
                    session(1, **HAND, in_stream=True, kept=True, kept_by=IN_A_MODULE),
                ],
            ),
        ],
    ),
    "a session made by hand": (
        MADE_BY_HAND,
        [TWO_OF_THE_HANDLE, shared(Maker.HAND, IN_A_MODULE), asked_twice()],
    ),
    "a session kept beyond its request": (
        KEPT,
        [
            OPEN,
            LATE_COMMIT,
            shared(Maker.FLASK_SQLALCHEMY, ["app", REGISTRY]),
            shared(Maker.FLASK_SQLALCHEMY, ["module versions (installed)", "map"]),
        ],
    ),
    "a row kept by a form since the app was built": (
        CASES["a form keeps a row since the app was built"].broken,
        [
            ROW,
            alone(
                sessions=[session(0, **OLDER)],
                kept=[KeptInstance("User", 0, None, ["the app", "user"])],
            ),
        ],
    ),
    "rows kept by a cache of `lru_cache` or `cachetools`": (
        alone(
            0, kept=[KeptInstance("User", 0, 0, ["module shop", "_lru_cache_wrapper"])]
        ),
        [
            ROW,
            with_session_of_startup(["module shop", "_lru_cache_wrapper"]),
        ],
    ),
    "rows kept beyond their request": (ROW, [OPEN, KEPT]),
}
