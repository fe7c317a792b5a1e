"""Recordings that break a rule, each beside the same with a thing fixed."""

import typing as t
from dataclasses import replace

from session_scoping.recording import Deed
from session_scoping.recording import DetachedRow
from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Recording
from session_scoping.recording import REFUSED
from session_scoping.recording import REGISTRY
from session_scoping.recording import Unreturned
from session_scoping.recording import Unsolicited
from tests.recordings import alone
from tests.recordings import ATTACHED
from tests.recordings import AUTOFLUSH
from tests.recordings import BY_ADMIN
from tests.recordings import BY_HAND
from tests.recordings import closed_by
from tests.recordings import DETACHED
from tests.recordings import ERROR
from tests.recordings import FAULT
from tests.recordings import FAULTED
from tests.recordings import HAND
from tests.recordings import held
from tests.recordings import IN_A_MODULE
from tests.recordings import LIBRARY
from tests.recordings import NESTED
from tests.recordings import OF_A_FORM
from tests.recordings import OF_A_THREAD
from tests.recordings import OLDER
from tests.recordings import ON_A_THREAD
from tests.recordings import on_a_thread
from tests.recordings import OVERLAPPING
from tests.recordings import OVERTAKING
from tests.recordings import OWN
from tests.recordings import PENDING
from tests.recordings import RECONNECT
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import session
from tests.recordings import staircase
from tests.recordings import STARTUP
from tests.recordings import use
from tests.recordings import view

AT_ONCE = "IllegalStateChangeError: Method 'close()' can't be called here"


class Case(t.NamedTuple):
    """A recording that breaks rules, and the same with a thing fixed."""

    rules: str  # the broken rules, in their order
    message: str
    broken: Recording
    fixed: Recording
    also_fixed: Recording | None = None  # in another way


CASES = {
    "a view holds a session": Case(
        "handle",
        "UserView holds session 0, a Session, not a handle",
        held(Maker.HAND),
        alone(sessions=[session(0, **OLDER)]),
    ),
    "a view holds a session, after a view whose session is left alone": Case(
        "handle",
        "UserView holds session 1, a Session, not a handle",
        alone(
            sessions=[session(0, left_alone=True), session(1, **OLDER)],
            views=[view(session=n, handle="Session") for n in (0, 1)],
        ),
        alone(
            sessions=[session(0, left_alone=True), session(1, **OLDER)],
            views=[view(session=0, handle="Session"), view()],
        ),
    ),
    "a view's handle is replaced": Case(
        "handle",
        "UserView.session is not the object that it was at first",
        alone(views=[view(replaced=True)]),
        alone(views=[view()]),
    ),
    "a session made by hand, on the engine of the handle": Case(
        "single",
        "session 1 is not the session that the handle gives",
        alone(0, 1, sessions=[session(0), session(1, **HAND)]),
        alone(0, 1, sessions=[session(0), session(1, **HAND, engines=[1])]),
    ),
    "a session made by hand, on the engine of the view's other requests": Case(
        "single",
        "session 1 is not the session that the handle gives",
        recording([request(0, 0), request(1, 1)], [session(0), BY_HAND]),
        recording([request(n, n, view=None) for n in (0, 1)], [session(0), BY_HAND]),
    ),
    "a session made by hand, used after a session that is left alone": Case(
        "single",
        "session 2 is not the session that the handle gives",
        alone(
            0,
            1,
            2,
            sessions=[
                session(0, left_alone=True),
                session(1, born_in=0),
                session(2, **HAND),
            ],
        ),
        alone(0, 1, sessions=[session(0, left_alone=True), session(1, born_in=0)]),
    ),
    "a handle of the app's own makes a second session": Case(
        "single",
        "session 1 is used beside session 0",
        alone(0, 1, sessions=[session(n, **HAND, handle_of=0) for n in (0, 1)]),
        alone(0, 1, sessions=[session(n, **HAND, handle_of=n) for n in (0, 1)]),
    ),
    "Flask-Admin makes a session, and uses it nowhere": Case(
        "single",
        "session 1 is made by Flask-Admin itself",
        alone(0, sessions=[session(0), session(1, **BY_ADMIN, born_in=0)]),
        alone(0, sessions=[session(0), session(1, **HAND)]),
    ),
    "Flask-Admin makes a session on another thread": Case(
        "single",
        "session 1 is made by Flask-Admin itself",
        alone(
            0,
            sessions=[
                session(0),
                session(1, **BY_ADMIN, born_in=None, outside=[ON_A_THREAD]),
            ],
        ),
        alone(
            0,
            sessions=[
                session(0),
                session(1, **{**HAND, "born_in": None}, outside=[ON_A_THREAD]),
            ],
        ),
    ),
    "Flask-Admin works on another thread": Case(
        "single",
        "session 0 is used by Flask-Admin on another thread",
        alone(
            0, sessions=[session(0, outside=[replace(ON_A_THREAD, unsolicited=True)])]
        ),
        alone(0, sessions=[session(0, outside=[ON_A_THREAD])]),
    ),
    "Flask-Admin sends a statement past the session": Case(
        "single",
        "Flask-Admin sends a statement past the session",
        alone(0, unsolicited=[Unsolicited(Deed.PAST_THE_SESSION, 0, LIBRARY)]),
        alone(0),
    ),
    "a second handle has an engine of its own for the same database": Case(
        "single",
        "session 1 is used beside session 0",
        replace(
            alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
            engines=["sqlite:///shop.db"] * 2,
        ),
        alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
        replace(
            alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
            engines=["sqlite:///%3Amemory%3A"] * 2,
            in_memory=[0, 1],
        ),
    ),
    "two engines for one file, and two for databases in memory": Case(
        "single",
        "session 1 is used beside session 0",
        replace(
            alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
            engines=["sqlite:///file:shop?uri=true"] * 2,
        ),
        replace(
            alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
            engines=["sqlite:///file:shop?mode=memory&uri=true"] * 2,
            in_memory=[0, 1],
        ),
    ),
    "the handle gives two sessions": Case(
        "single",
        "session 1 is used beside session 0",
        alone(0, 1, sessions=[session(0), session(1, born_in=0)]),
        alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
    ),
    "a request uses a session of an earlier request before its own": Case(
        "single fresh",
        "session 0 is used beside session 1",
        recording([request(0, 0), request(1, 0, 1)]),
        recording([request(0, 0), request(1, 1)]),
    ),
    "a session serves a second request": Case(
        "fresh",
        "session 0 has served request 0 before",
        recording([request(0, 0), request(1, 0)]),
        recording([request(0, 0), request(1, 1)]),
        recording([request(0, 0), request(1, 0, **NESTED)]),
    ),
    "a session serves a request on another thread": Case(
        "fresh",
        f"session 0 was used on another thread before: {OF_A_THREAD}",
        recording([request(0, 0), request(1, 0, exception=OF_A_THREAD, status=500)]),
        recording([request(0, 0), request(1, 1, exception=OF_A_THREAD, status=500)]),
    ),
    "a request uses a session of startup": Case(
        "fresh",
        "session 0 is older than the request",
        alone(0, sessions=[session(0, **OLDER)]),
        alone(0, sessions=[session(0, **OLDER, empty=True)]),
    ),
    "a request uses an empty session of startup, and does not close it": Case(
        "fresh released",
        "session 0 is older than the request",
        alone(use(0, closed=False), sessions=[session(0, **OLDER, empty=True)]),
        alone(0, sessions=[session(0, **OLDER, empty=True)]),
    ),
    "two requests use an empty session of startup": Case(
        "fresh",
        "session 0 is older than the request",
        recording([request(0, 0), request(1, 0)], [session(0, **OLDER, empty=True)]),
        recording([request(0, 0), request(1)], [session(0, **OLDER, empty=True)]),
    ),
    "building the app leaves an empty session, and no registry has it": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(sessions=[session(0, **STARTUP, empty=True, kept_by=["class V", "s"])]),
        alone(
            sessions=[session(0, **STARTUP, empty=True, kept_by=["class V", REGISTRY])]
        ),
    ),
    "a form keeps a row since the app was built": Case(
        "released",
        "a User that was loaded while the app was built is kept",
        alone(
            sessions=[session(0, **OLDER)],
            kept=[KeptInstance("User", 0, None, OF_A_FORM, 0)],
        ),
        alone(
            sessions=[session(0, **OLDER)],
            kept=[KeptInstance("User", 0, None, ["module shop", "user"])],
        ),
        alone(sessions=[session(0, **OLDER)], kept=[KeptInstance("User", 0, None)]),
    ),
    "a request shows what was in the database before": Case(
        "fresh",
        "shows 'Herbert', which the database no longer holds",
        alone(0, outdated="shows 'Herbert', which the database no longer holds"),
        alone(0),
    ),
    "building the app leaves an open session": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(
            sessions=[
                session(0, born_in=None, at_startup=True, kept=True, closed=False)
            ]
        ),
        alone(
            sessions=[
                session(0, born_in=None, at_startup=True, kept=False, closed=False)
            ]
        ),
    ),
    "an object keeps a closed session of startup": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(sessions=[session(0, **STARTUP, kept_by=["class shop.View", "s"])]),
        alone(sessions=[session(0, **STARTUP, kept_by=IN_A_MODULE)]),
    ),
    "a list of a module keeps a closed session of startup": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(sessions=[session(0, **STARTUP, kept_by=["module shop", "s", "[0]"])]),
        alone(sessions=[session(0, **STARTUP, kept_by=IN_A_MODULE)]),
    ),
    "a registry keeps a session of startup that was used": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(sessions=[session(0, **STARTUP, kept_by=["class V", REGISTRY])]),
        alone(
            sessions=[session(0, **STARTUP, empty=True, kept_by=["class V", REGISTRY])]
        ),
    ),
    "a request uses an empty session of startup, which something keeps": Case(
        "fresh released",
        "session 0 is older than the request",
        alone(0, sessions=[session(0, **OLDER, empty=True, kept=True)]),
        alone(0, sessions=[session(0, **OLDER, empty=True)]),
    ),
    "a module keeps an open session of startup": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        alone(sessions=[session(0, **STARTUP, closed=False, kept_by=IN_A_MODULE)]),
        alone(sessions=[session(0, **STARTUP, kept_by=IN_A_MODULE)]),
    ),
    "two overlapping requests share a session": Case(
        "fresh isolated",
        "session 0 serves two requests at the same time",
        recording([request(0, 0), request(1, 0, **OVERLAPPING)]),
        recording([request(0, 0), request(1, 1, **OVERLAPPING)]),
    ),
    "two overlapping requests share a connection": Case(
        "isolated",
        "works in the transaction of another request at the same time: both sessions "
        "are bound to one connection",
        recording([request(0, 0), request(1, use(1, joined=True), **OVERLAPPING)]),
        recording([request(0, 0), request(1, 1, **OVERLAPPING)]),
    ),
    "a session commits after the view has answered": Case(
        "isolated",
        "session 0 commits after the view has answered",
        alone(0, late_commits=[LateCommit(0, 0, OWN)]),
        alone(use(0)),
    ),
    "Flask-Admin commits by itself": Case(
        "isolated",
        "Flask-Admin commits where it has nothing to save",
        alone(0, unsolicited=[Unsolicited(Deed.COMMIT, 0, LIBRARY)]),
        alone(0),
    ),
    "a row is used after its session was closed": Case(
        "alive",
        f"a row is used after session 0 was closed: {DETACHED}",
        alone(use(0, closed_early=OWN), exception=DETACHED, status=500),
        alone(use(0, closed_early=OWN)),
    ),
    "a row is used, and nothing has closed its session early": Case(
        "alive",
        f"a row of no session is used: {DETACHED}",
        alone(0, exception=DETACHED, status=500, raised_at=OWN),
        alone(0, **ERROR),
    ),
    "a thread uses a row outside of any request": Case(
        "alive",
        f"a row of no session is used on thread worker: {DETACHED}",
        replace(alone(0), detached_rows=[DetachedRow(DETACHED, OWN, "worker", 0)]),
        alone(0),
    ),
    "a thread uses a row while no request runs": Case(
        "alive",
        f"a row of no session is used on thread worker: {DETACHED}",
        replace(alone(0), detached_rows=[DetachedRow(DETACHED, None, "worker")]),
        alone(0),
    ),
    "a message says that a row is used after its session was closed": Case(
        "alive",
        f"a row is used after session 0 was closed: {DETACHED}",
        alone(use(0, closed_early=OWN), said=[DETACHED]),
        alone(use(0, closed_early=OWN), said=["Failed to update record."]),
    ),
    "a row of one session is added to another": Case(
        "single",
        f"adds a row of one session to another: {ATTACHED}",
        alone(0, exception=ATTACHED, status=500),
        alone(0),
    ),
    "a row of a session of startup is added to another": Case(
        "fresh",
        "session 0 is older than the request",
        alone(0, exception=ATTACHED, status=500, sessions=[session(0, **OLDER)]),
        alone(0),
    ),
    "a session is used after it was closed": Case(
        "alive",
        "session 0 is used again after it was closed",
        alone(use(0, used_after_close=LIBRARY)),
        alone(use(0)),
        alone(use(0, used_after_close=LIBRARY), sessions=[session(0, **HAND)]),
    ),
    "a session is used after it was closed, beside a session made by hand": Case(
        "alive",
        "session 1 is used again after it was closed",
        alone(
            0,
            use(1, used_after_close=LIBRARY),
            sessions=[session(0, **HAND, engines=[1]), session(1, born_in=0)],
        ),
        alone(0, 1, sessions=[session(0, **HAND, engines=[1]), session(1, born_in=0)]),
    ),
    "a session is closed early, and another session replaces it": Case(
        "single alive",
        "session 0 is closed before the view has answered",
        alone(
            use(0, closed_early=OWN), 1, sessions=[session(0), session(1, born_in=0)]
        ),
        alone(use(0, closed_early=OWN), sessions=[session(0), session(1)]),
    ),
    "a library closes the session early": Case(
        "alive",
        "session 0 is closed before the view has answered",
        alone(closed_by(LIBRARY)),
        alone(closed_by(LIBRARY), **ERROR),
        alone(closed_by(LIBRARY), status=0),
    ),
    "a stream breaks off": Case(
        "alive",
        f"the response broke off: {DETACHED}",
        alone(0, streamed=True, stream_exception=DETACHED),
        alone(0, streamed=True, stream_exception="OSError: gone"),
    ),
    "a session is not closed": Case(
        "released",
        "session 0 is not closed",
        alone(use(0, closed=False)),
        alone(use(0)),
        alone(use(0, closed=False), ended=0.0),
    ),
    "a nested request does not close its own session": Case(
        "released",
        "session 0 is not closed",
        recording(
            [request(0), request(1, use(0, closed=False), **NESTED)],
            [session(0, born_in=1, closed=False)],
        ),
        recording(
            [request(0), request(1, use(0, closed=False), **NESTED)],
            [session(0, born_in=1)],
        ),
    ),
    "an object keeps a closed session": Case(
        "released",
        "session 0 is still referred to",
        alone(0, sessions=[session(0, kept=True)]),
        alone(0),
    ),
    "a thread does not close its session": Case(
        "released",
        "session 0, used on thread worker, is not closed",
        alone(sessions=[on_a_thread()]),
        alone(sessions=[session(0, outside=[Outside(OWN, OWN, "worker")])]),
        alone(sessions=[on_a_thread(at_work=True)]),
    ),
    "a thread at work repeats a statement in its transaction": Case(
        "released",
        "session 0, used on thread worker, is not closed",
        alone(sessions=[on_a_thread(at_work=True, repeats=True)]),
        alone(sessions=[on_a_thread(at_work=True)]),
    ),
    "a connection is not returned": Case(
        "released",
        "connections taken: 2, returned: 1",
        alone(0, taken=2, returned=1, unreturned=[Unreturned(0, OWN, OWN)]),
        alone(0, taken=2, returned=2),
    ),
    "a connection is not returned, and its request has ended": Case(
        "released",
        "connections taken: 1, returned: 0",
        alone(0, taken=1),
        alone(0, taken=1, ended=0.0),
    ),
    "an object keeps a row": Case(
        "released",
        "a User that the request loaded is still referred to",
        alone(0, kept=[KeptInstance("User", 0, 0)]),
        alone(0),
        alone(0, ended=0.0, kept=[KeptInstance("User", 0, 0)]),
    ),
    "an operation fails after an injected fault": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: ValueError: no",
        recording([request(0), request(1, **FAULTED), request(2, **ERROR)]),
        recording([request(0), request(1, **FAULTED), request(2)]),
        recording([request(0, **ERROR), request(1, **FAULTED), request(2, **ERROR)]),
    ),
    "an operation has no effect after an injected fault": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: no row",
        recording([request(0), request(1, **FAULTED), request(2, unexpected="no row")]),
        recording([request(0), request(1, **FAULTED), request(2)]),
    ),
    "a page shows an uncommitted change of another request": Case(
        "isolated",
        "shows a change that another request has not committed",
        alone(0, dirty_read=True),
        alone(0),
    ),
    "a request saves an uncommitted change of another request": Case(
        "isolated",
        "saves a change that no request has committed",
        alone(0, dirty_write=True),
        alone(0),
    ),
    "an operation has no effect beside another request": Case(
        "isolated",
        "fails beside a concurrent request: changes no row",
        recording(
            [
                request(0, 0),
                request(1, 1),
                request(2, 2, **OVERTAKING, unexpected="changes no row"),
            ]
        ),
        recording(
            [
                request(0, 0, unexpected="changes no row"),
                request(1, 1),
                request(2, 2, **OVERTAKING, unexpected="changes no row"),
            ]
        ),
    ),
    "a connection is returned with its transaction open": Case(
        "released",
        "a connection is back in the pool with its transaction open",
        alone(0, left_in_transaction=True),
        alone(0),
    ),
    "a connection is returned read only": Case(
        "released",
        "a connection is back in the pool, and query_only is 1, not 0",
        alone(0, left_changed="query_only is 1, not 0"),
        alone(0),
    ),
    "a thread goes on with the session of a request that has ended": Case(
        "fresh",
        "session 0 is used on thread worker after the request that it served",
        alone(
            0, sessions=[session(0, outside=[Outside(OWN, OWN, "worker", served=0)])]
        ),
        alone(0, sessions=[session(0, outside=[Outside(OWN, OWN, "worker")])]),
    ),
    "an operation shows no row after an injected fault": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: does not show 'Dune'",
        recording(
            [
                request(0, 0),
                request(1, 1, **FAULTED),
                request(2, 2, unexpected="does not show 'Dune'"),
            ]
        ),
        recording(
            [
                request(0, 0, unexpected="does not show 'Dune'"),
                request(1, 1, **FAULTED),
                request(2, 2, unexpected="does not show 'Dune'"),
            ]
        ),
    ),
    "an operation recovers, and a later request does not": Case(
        "recovers",
        f"fails because of an earlier request: {PENDING}",
        recording(
            [
                request(0),
                request(1, **FAULTED),
                request(2),
                request(3, exception=PENDING),
            ]
        ),
        recording([request(0), request(1, **FAULTED), request(2), request(3)]),
    ),
    "a request fails because an earlier request did not roll back": Case(
        "fresh recovers",
        f"fails because of an earlier request: {PENDING}",
        alone(0, exception=PENDING, status=500, sessions=[session(0, born_in=None)]),
        alone(0, **ERROR),
    ),
    "a request goes on after an error without a rollback": Case(
        "recovers",
        f"uses the session again without a rollback: {PENDING}",
        alone(0, exception=PENDING, status=500),
        alone(0, **ERROR),
    ),
    "a message says that a request goes on after an error without a rollback": Case(
        "recovers",
        f"uses the session again without a rollback: {PENDING}",
        alone(0, said=[PENDING], **AUTOFLUSH),
        alone(0, said=["IntegrityError: NOT NULL"], **AUTOFLUSH),
    ),
    "a message says that an earlier request has not rolled back": Case(
        "fresh recovers",
        f"fails because of an earlier request: {PENDING}",
        recording([request(0, 0), request(1, 0, said=[PENDING])]),
        staircase(),
    ),
    "a request cannot connect again before a rollback": Case(
        "recovers",
        f"uses the session again without a rollback: {RECONNECT}",
        alone(0, exception=RECONNECT, status=500),
        alone(0, **ERROR),
    ),
    "a request shows a message of a missing rollback, and fails otherwise": Case(
        "recovers",
        f"uses the session again without a rollback: {PENDING}",
        alone(0, said=[PENDING], **ERROR),
        alone(0, **ERROR),
    ),
    "a session of a registry cannot be closed, and a session made by hand": Case(
        "recovers",
        "session 0 cannot be closed, and stays in the registry",
        alone(use(0, close_error="gone"), sessions=[session(0, kept=True)]),
        alone(use(0, close_error="gone"), sessions=[session(0, **HAND)]),
    ),
    "an error of another type says that a request goes on without a rollback": Case(
        "recovers",
        "uses the session again without a rollback: SaveError: This Session's "
        "transaction has been rolled back",
        alone(0, exception=PENDING.replace("PendingRollback", "Save"), status=500),
        alone(0, **ERROR),
    ),
    "a request without a session fails because of an earlier request": Case(
        "recovers",
        f"fails because of an earlier request: {PENDING}",
        alone(exception=PENDING, status=500),
        alone(**ERROR),
    ),
    "a session is not closed when the view fails": Case(
        "recovers",
        "`released` is broken when the request fails: session 0 is not closed",
        alone(use(0, closed=False), **ERROR),
        alone(use(0), **ERROR),
    ),
}

HEALTHY = {
    "a query flushes what is refused while pages are read": alone(
        0, said=[f"{PENDING}: {REFUSED}"], **AUTOFLUSH
    ),
    "an injected fault fails the flush of a query": alone(
        0, said=[PENDING], **AUTOFLUSH, injected=FAULT
    ),
    "a write is refused in a teardown, which does not close its session": recording(
        [
            request(
                0,
                use(0, closed=False),
                exception=f"OperationalError: {REFUSED}",
                status=500,
                teardown_failed_at=OWN,
            ),
            request(1, 0),
        ]
    ),
    "a row is used, of a session that is left alone": alone(
        0, exception=DETACHED, status=500, sessions=[session(0, left_alone=True)]
    ),
    "a line makes two sessions by hand": alone(
        0, 1, sessions=[session(n, **HAND, own=OWN) for n in (0, 1)]
    ),
    "a closed session of startup that nothing keeps": alone(
        sessions=[session(0, **STARTUP)]
    ),
    "a staircase": staircase(),
    "a session for each of two engines": recording(
        [request(0, 0, 1), request(1, 2, 3)],
        [session(n, born_in=n // 2, engines=[n % 2]) for n in range(4)],
    ),
    "two engines in one session": alone(0, sessions=[session(0, engines=[0, 1])]),
    "sessions made by hand, and no handle": recording(
        [request(0, 0), request(1, 1)], [session(n, maker=Maker.HAND) for n in (0, 1)]
    ),
    "a nested request with its own session": recording(
        [request(0, 0), request(1, 1, **NESTED)]
    ),
    "a nested request leaves the session of the outer request open": recording(
        [request(0, 0), request(1, use(0, closed=False), **NESTED)]
    ),
    "a session is closed early, and not used again": alone(use(0, closed_early=OWN)),
    "a session is closed early, and another session uses another engine": alone(
        use(0, closed_early=OWN),
        1,
        sessions=[session(0), session(1, engines=[1], born_in=0)],
    ),
    "overlapping requests": recording(
        [request(n, n, started=n / 10, ended=1.0) for n in range(5)]
    ),
    "a session of startup that no request uses": alone(
        sessions=[session(0, born_in=None, at_startup=True)]
    ),
    "a session made outside of requests that no request uses": alone(
        sessions=[session(0, born_in=None, kept=True)]
    ),
    "an unreturned connection of a session that is left alone": alone(
        use(0, closed=False), taken=1, sessions=[session(0, left_alone=True)]
    ),
    "a request without a session": alone(),
    "nothing": Recording(),
    "a row that a session in a registry keeps": alone(
        0, kept=[KeptInstance("User", 0, 0, ["Admin → UserView", "session", REGISTRY])]
    ),
    "two requests use a session at once, after a fault": recording(
        [request(0), request(1, **FAULTED), request(2, exception=AT_ONCE)]
    ),
}

CLOSED_EARLY = CASES[
    "a session is closed early, and another session replaces it"
].broken

LATE_COMMIT = CASES["a session commits after the view has answered"].broken
ROW = CASES["an object keeps a row"].broken
OPEN = CASES["a session is not closed"].broken
TWO_OF_THE_HANDLE = CASES["the handle gives two sessions"].broken
MADE_BY_HAND = CASES["a session made by hand, on the engine of the handle"].broken
KEPT = CASES["an object keeps a closed session"].broken
