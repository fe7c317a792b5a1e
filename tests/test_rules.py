"""Rules, causes and verdicts, judged from recordings that are written by hand.

A case of a rule is a pair: a recording that breaks it, and the same with a thing fixed.
"""

import json
import typing as t
from dataclasses import asdict
from dataclasses import replace
from inspect import signature
from pathlib import Path

import pytest

from session_scoping.errors import CannotTell
from session_scoping.errors import RulesBroken
from session_scoping.recording import Deed
from session_scoping.recording import Fault
from session_scoping.recording import FORMAT
from session_scoping.recording import Injected
from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import LIST
from session_scoping.recording import Maker
from session_scoping.recording import NotARecording
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Request
from session_scoping.recording import Session
from session_scoping.recording import Stopped
from session_scoping.recording import Unreturned
from session_scoping.recording import Unsolicited
from session_scoping.recording import Use
from session_scoping.recording import View
from session_scoping.rules.causes import CAUSES
from session_scoping.rules.cells import Cell
from session_scoping.rules.defects import of_import
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Outcome

LIBRARY = Place("flask_admin/contrib/sqla/view.py", 1041, "get_list")
VALIDATORS = Place("flask_admin/contrib/sqla/validators.py", 40, "__call__")
OF_APP = Place("flask_admin_views.py", 3, "get_query")  # not Flask-Admin's
OWN = Place("shop/admin.py", 17, "create_app")
OTHER = Place("shop/admin.py", 99, "get_query")
PENDING = "PendingRollbackError: This Session's transaction has been rolled back"
DETACHED = "DetachedInstanceError: Parent instance is not bound to a Session"


# --------------------------------------------------------- a recording in a few lines


def view(**more: t.Any) -> View:
    defaults = {
        "name": "UserView",
        "endpoint": "user",
        "model": "User",
        "handle": "flask_sqlalchemy.SQLAlchemy",
    }
    return View(**{**defaults, **more})


def request(number: int, *uses: Use | int, **more: t.Any) -> Request:
    """Make a request that starts at second ``number``.

    A number among the uses stands for a session that is used and closed.
    """
    defaults = {"view": 0, "operation": LIST, "status": 200}
    times = {"started": float(number), "ended": number + 0.5}
    used = tuple(use(each) if isinstance(each, int) else each for each in uses)
    given = {**defaults, **times, **more}
    return Request(number, "GET", "/admin/user/", uses=used, **given)


def use(session: int, **more: t.Any) -> Use:
    return Use(session, LIBRARY, **{"closed": True, **more})


def closed_by(library: Place) -> Use:
    return use(0, closed_early=library, closed_unsolicited=True)


def session(number: int, **more: t.Any) -> Session:
    """Make a session of the request of the same number, closed."""
    defaults = {"maker": Maker.FLASK_SQLALCHEMY, "engines": [0], "closed": True}
    return Session(number, **{**defaults, "born_in": number, **more})


def recording(
    requests: t.Sequence[Request],
    sessions: t.Sequence[Session] | None = None,
    views: t.Sequence[View] = (view(),),
    kept: t.Sequence[KeptInstance] = (),
    unreturned: t.Sequence[Unreturned] = (),
    late_commits: t.Sequence[LateCommit] = (),
    unsolicited: t.Sequence[Unsolicited] = (),
    admin: str = "2.2.1",
    flask: str = "3.1.1",
) -> Recording:
    if sessions is None:
        used = {use.session for request in requests for use in request.uses}
        sessions = [session(number) for number in range(max(used, default=-1) + 1)]
    assert [session.number for session in sessions] == list(range(len(sessions)))
    assert [request.number for request in requests] == list(range(len(requests)))
    return Recording(
        "shop",
        {"Flask-Admin": admin, "Flask": flask},
        ["sqlite:///shop.db", "sqlite:///log.db"],
        list(views),
        list(requests),
        list(sessions),
        list(kept),
        list(unreturned),
        list(late_commits),
        list(unsolicited),
    )


def alone(*uses: Use | int, sessions: t.Any = None, **more: t.Any) -> Recording:
    """Record a single request.  Further arguments are for it, or for the recording."""
    names = {*signature(recording).parameters} & {*more}
    given = {name: more.pop(name) for name in names}
    return recording([request(0, *uses, **more)], sessions, **given)


def staircase(length: int = 3) -> Recording:
    """Record requests with a session each, closed at the end of the request."""
    numbers = range(length)
    return recording([request(n, n) for n in numbers])


def shared(maker: str, kept_by: t.Sequence[str] = ()) -> Recording:
    """Record two requests that share a session, which stays open."""
    requests = [request(n, use(0, closed=False)) for n in (0, 1)]
    given = session(0, maker=maker, closed=False, kept=True, kept_by=kept_by)
    return recording(requests, [given])


def held(maker: str) -> Recording:
    """Record a view that holds a session of startup, and does not use it."""
    given = session(0, maker=maker, born_in=None, at_startup=True, own=OWN)
    return alone(sessions=[given], views=[view(session=0, handle="Session")])


# ------------------------------------------------------------------------------- rules


class Case(t.NamedTuple):
    rules: str  # the broken rules, in their order
    message: str
    broken: Recording
    fixed: Recording
    also_fixed: Recording | None = None  # in another way


IN_A_MODULE = ["module shop", "session"]
OLDER = {"born_in": None}  # than the requests
HAND = {"maker": Maker.HAND, "born_in": 0}
BY_HAND = session(1, maker=Maker.HAND)
BY_ADMIN = {"maker": Maker.HAND, "place": LIBRARY}
ON_A_THREAD = Outside(LIBRARY, None, "worker", 0)
NESTED = {"parent": 0, "started": 0.1, "ended": 0.2}
OVERTAKING = {"overtakes": 1, "started": 1.1, "ended": 1.2}
OVERLAPPING = {"started": 0.25, "ended": 0.75}
STARTUP = {"born_in": None, "at_startup": True, "kept": True}
IN_A_MODULE = ["module shop", "session"]
FAULT = Injected(Fault.BEFORE, "SELECT 1")
ROLLED_BACK = Injected(Fault.ROLLBACK, "ROLLBACK")
FAULTED = {"injected": FAULT, "exception": "OperationalError: failed", "status": 500}
ERROR = {"exception": "ValueError: no", "status": 500}

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
    "the handle gives two sessions": Case(
        "single",
        "session 1 is used beside session 0",
        alone(0, 1, sessions=[session(0), session(1, born_in=0)]),
        alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
    ),
    "a session serves a second request": Case(
        "fresh",
        "session 0 has served request 0 before",
        recording([request(0, 0), request(1, 0)]),
        recording([request(0, 0), request(1, 1)]),
        recording([request(0, 0), request(1, 0, **NESTED)]),
    ),
    "a request uses a session of startup": Case(
        "fresh",
        "session 0 is older than the request",
        alone(0, sessions=[session(0, **OLDER)]),
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
        alone(
            sessions=[session(0, closed=False, outside=[Outside(OWN, OWN, "worker")])]
        ),
        alone(sessions=[session(0, outside=[Outside(OWN, OWN, "worker")])]),
    ),
    "a connection is not returned": Case(
        "released",
        "connections taken: 2, returned: 1",
        alone(0, taken=2, returned=1, unreturned=[Unreturned(0, OWN)]),
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
        "a User that it loaded is still referred to",
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
        "recovers",
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


def broken_rules(seen: Recording) -> str:
    rules = {violation.rule for violation in judge(seen).violations}
    return " ".join(rule for rule in Rule if rule in rules)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_rule_is_broken(case: Case) -> None:
    assert broken_rules(case.broken) == case.rules
    messages = [violation.what for violation in judge(case.broken).violations]
    assert case.message in messages


FAILURE_SIGNS: dict[str, dict[str, t.Any]] = {
    "an exception": {"exception": "ValueError: no"},
    "a status of 500": {"status": 500},
    "an injected fault": {"injected": FAULT},
}


@pytest.mark.parametrize("sign", FAILURE_SIGNS.values(), ids=list(FAILURE_SIGNS))
def test_a_rule_broken_only_in_a_failed_request_breaks_recovers(
    sign: dict[str, t.Any],
) -> None:
    requests = [request(0, 0), request(1, use(1, closed=False), **sign)]
    assert broken_rules(recording(requests)) == "recovers"


def test_a_pending_rollback_is_reported_of_the_first_session() -> None:
    sessions = [session(0), session(1, born_in=0, engines=[1])]
    seen = alone(0, 1, sessions=sessions, exception=PENDING, status=500)
    [violation] = judge(seen).violations
    assert violation.sessions == (0,)


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_says_what_is_right(rule: Rule) -> None:
    assert rule.sentence.endswith(".")


def test_a_defect_that_prevents_the_import_is_named() -> None:
    assert "pip install flask-sqlalchemy" in of_import(ImportError("T_SESSION"))
    assert "install it, or releases" in of_import(ImportError("No module named 'x'"))


def test_every_rule_has_a_case() -> None:
    assert {rule for case in CASES.values() for rule in case.rules.split()} == {*Rule}


HEALTHY = {
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
}


FIXED = {f"fixed: {name}": case.fixed for name, case in CASES.items()} | {
    f"fixed in another way: {name}": case.also_fixed
    for name, case in CASES.items()
    if case.also_fixed
}


@pytest.mark.parametrize(
    "seen", [*FIXED.values(), *HEALTHY.values()], ids=[*FIXED, *HEALTHY]
)
def test_a_fixed_or_healthy_recording_breaks_no_rule(seen: Recording) -> None:
    assert judge(seen).violations == ()


def with_sessions_left_alone(seen: Recording) -> Recording:
    sessions = [replace(session, left_alone=True) for session in seen.sessions]
    return replace(seen, sessions=sessions)


ABOUT_A_SESSION = {
    name: case.broken
    for name, case in CASES.items()
    if any(violation.sessions for violation in judge(case.broken).violations)
}


@pytest.mark.parametrize("seen", ABOUT_A_SESSION.values(), ids=list(ABOUT_A_SESSION))
def test_a_session_that_is_left_alone_breaks_no_rule(seen: Recording) -> None:
    assert judge(with_sessions_left_alone(seen)).violations == ()


def test_a_session_that_a_view_holds_breaks_handle_but_not_single() -> None:
    sessions = [
        session(0, maker=Maker.HAND, born_in=None, at_startup=True),
        session(1, born_in=0),
    ]
    seen = alone(0, 1, sessions=sessions, views=[view(session=0)])
    assert broken_rules(seen) == "handle fresh"


def test_a_used_session_of_startup_breaks_fresh_only_once() -> None:
    seen = alone(0, sessions=[session(0, **STARTUP, closed=False)])
    rules = [violation.rule for violation in judge(seen).violations]
    assert rules == ["fresh", "released"]


def test_a_request_that_ends_when_the_next_starts_does_not_overlap_it() -> None:
    requests = [request(0, 0, ended=1.0), request(1, 0)]
    assert broken_rules(recording(requests)) == "fresh"


def test_a_rule_broken_in_any_request_that_works_is_not_recovers() -> None:
    requests = [request(0, use(0, closed=False)), request(1, use(1, closed=False))]
    requests[1].exception = "ValueError: no"
    assert broken_rules(recording(requests)) == "released"


# ----------------------------------------------------------------------------- causes

UNIQUE = ["Admin → UserView", "Unique.db_session"]
EXPORT = {"streamed": True, "stream_exception": DETACHED}
SMALL = {"maker": Maker.SCOPED_SESSION, "born_in": 0}


def with_session_of_startup(
    kept_by: t.Sequence[str], maker: str = Maker.LITE, admin: str = "2.2.1"
) -> Recording:
    given = session(0, maker=maker, kept=True, kept_by=kept_by, **OLDER)
    return alone(0, sessions=[given], admin=admin)


CLOSED_EARLY = CASES[
    "a session is closed early, and another session replaces it"
].broken
LATE_COMMIT = CASES["a session commits after the view has answered"].broken
THREAD = CASES["a thread does not close its session"].broken
ROW = CASES["an object keeps a row"].broken
OPEN = CASES["a session is not closed"].broken
TWO_OF_THE_HANDLE = CASES["the handle gives two sessions"].broken
MADE_BY_HAND = CASES["a session made by hand, on the engine of the handle"].broken
KEPT = CASES["an object keeps a closed session"].broken


def failed_bulk_delete(**more: t.Any) -> Request:
    path = "/admin/user/action/"
    return replace(request(0, 0, **FAULTED, **more), method="POST", path=path)


def scoped(**more: t.Any) -> Session:
    return session(0, maker=Maker.SCOPED_SESSION, **more)


# By the name of a cause: a recording that shows it, and recordings that look like it.
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
    "an app context around the test client": (
        recording([request(n, 0, outer_context=True) for n in (0, 1)]),
        [recording([request(n, 0) for n in (0, 1)])],
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
        alone(0, **EXPORT, flask="3.1.2"),
        [
            alone(0, **EXPORT, flask="3.1.1"),
            alone(0, stream_exception=DETACHED, flask="3.1.2"),
            alone(use(0, closed=False), streamed=True, flask="3.1.2"),
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
    "Flask-Admin: a mass delete is not rolled back when its commit fails": (
        recording([failed_bulk_delete(left_in_transaction=True)]),
        [
            recording([failed_bulk_delete(left_in_transaction=True)], admin="9.0"),
            alone(0, left_in_transaction=True),
        ],
    ),
    "a teardown that commits": (LATE_COMMIT, [OPEN]),
    "a session used by a background thread": (THREAD, [OPEN]),
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
        ],
    ),
    "a handle that leaves its session open": (
        alone(Use(0, LIBRARY), sessions=[session(0, **HAND, closed=False)]),
        [
            alone(Use(0, OWN), sessions=[session(0, **HAND, closed=False)]),
            alone(Use(0, OF_APP), sessions=[session(0, **HAND, closed=False)]),
            alone(Use(0, LIBRARY), sessions=[session(0, closed=False)]),
            MADE_BY_HAND,
        ],
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
    "a session made by hand": (
        MADE_BY_HAND,
        [TWO_OF_THE_HANDLE, shared(Maker.HAND, IN_A_MODULE)],
    ),
    "a session kept beyond its request": (KEPT, [OPEN, LATE_COMMIT]),
    "rows kept beyond their request": (ROW, [OPEN, KEPT]),
}


def names_of_causes(seen: Recording) -> set[str]:
    return {
        violation.cause.name if violation.cause else ""
        for violation in judge(seen).violations
    }


def test_every_known_cause_has_a_case() -> None:
    assert [cause.name for cause in CAUSES] == list(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_cause_is_recognised(name: str) -> None:
    assert names_of_causes(KNOWN[name][0]) == {name}


@pytest.mark.parametrize(
    ("name", "seen"),
    [(name, seen) for name, (_, others) in KNOWN.items() for seen in others],
)
def test_a_cause_is_not_named_for_a_similar_recording(
    name: str, seen: Recording
) -> None:
    found = names_of_causes(seen)
    assert found
    assert name not in found


OTHER_SIGNS = {
    "a session that a library closes, and that is used again": (
        "Flask-Admin itself",
        alone(replace(closed_by(LIBRARY), used_after_close=LIBRARY)),
    ),
    "a mass delete of a filtered list": (
        "Flask-Admin: a mass delete is not rolled back when its commit fails",
        recording(
            [
                replace(
                    failed_bulk_delete(left_in_transaction=True),
                    path="/admin/user/action/?flt0_0=a",
                )
            ]
        ),
    ),
    "a session first used by the validator": (
        "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from "
        "startup",
        alone(
            Use(0, VALIDATORS, closed=True),
            sessions=[session(0, maker=Maker.LITE, **OLDER)],
            admin="2.1.0",
        ),
    ),
    "a stream that opens its session again": (
        "Flask 3.1.2 and newer: a streamed export outlives its session",
        alone(
            use(0, used_after_close=LIBRARY, closed=False),
            streamed=True,
            sessions=[session(0, closed=False)],
            flask="3.1.3",
        ),
    ),
    "the stream does not close its session": (
        "a stream that was ended on another thread than it began on",
        alone(
            use(0, closed=False), ended_on="other", sessions=[session(0, closed=False)]
        ),
    ),
    "a lost connection, and a path from the app to the registry": (
        "a lost connection leaves its session in the registry",
        alone(
            0,
            sessions=[
                session(0, kept=True, kept_by=["app", REGISTRY], close_error="gone")
            ],
        ),
    ),
    "a session that serves another request, with no keeper found": (
        "a session kept beyond its request",
        recording([request(0, 0), request(1, 0)]),
    ),
    "a session that a later request closes": (
        "a lost connection leaves its session in the registry",
        recording(
            [
                request(0, 0, injected=ROLLED_BACK),
                request(1, use(0, close_error="gone"), status=500),
            ]
        ),
    ),
    "a scoped_session that its registry keeps": (
        "a `scoped_session` that is never removed",
        alone(
            0,
            sessions=[
                session(
                    0, maker=Maker.SCOPED_SESSION, kept=True, kept_by=["app", REGISTRY]
                )
            ],
        ),
    ),
    "a scoped_session that a module keeps": (
        "a session kept beyond its request",
        alone(
            0,
            sessions=[
                session(
                    0,
                    maker=Maker.SCOPED_SESSION,
                    kept=True,
                    kept_by=["module shop", "s"],
                )
            ],
        ),
    ),
    "a session made by hand that a module keeps": (
        "a session kept beyond its request",
        recording(
            [request(0, 0), request(1, 0)],
            [session(0, **HAND, kept=True, kept_by=["module shop", "session"])],
        ),
    ),
}


@pytest.mark.parametrize("name", OTHER_SIGNS)
def test_a_cause_is_recognised_by_other_signs_too(name: str) -> None:
    cause, seen = OTHER_SIGNS[name]
    assert names_of_causes(seen) == {cause}


@pytest.mark.parametrize("cause", CAUSES, ids=str)
def test_a_cause_says_what_to_change(cause: t.Any) -> None:
    assert cause.fix.strip()
    assert cause.sentence.endswith(".")


# --------------------------------------------------------------------------- findings


def two_views(first: Recording, second: Recording) -> Recording:
    """Put the second recording behind the first, with its requests in another view."""
    requests, sessions = len(first.requests), len(first.sessions)
    more = [
        replace(
            request,
            number=request.number + requests,
            view=1,
            started=request.started + requests,
            ended=request.ended + requests,
            uses=[replace(use, session=use.session + sessions) for use in request.uses],
        )
        for request in second.requests
    ]
    further = [
        replace(
            session,
            number=session.number + sessions,
            born_in=(session.born_in or 0) + requests,
        )
        for session in second.sessions
    ]
    late = [
        LateCommit(commit.request + requests, commit.session + sessions, commit.place)
        for commit in second.late_commits
    ]
    return replace(
        first,
        views=[view(), view()],
        requests=[*first.requests, *more],
        sessions=[*first.sessions, *further],
        late_commits=[*first.late_commits, *late],
    )


LABELS = {
    "a class of its own": ([view(), view(name="TagView")], ["UserView", "TagView"]),
    "a class for two models": (
        [view(), view(model="Tag")],
        ["UserView(User)", "UserView(Tag)"],
    ),
    "a class for two views of a model": (
        [view(), view(endpoint="old"), view(model="Tag")],
        ["UserView(user)", "UserView(old)", "UserView(Tag)"],
    ),
    "a class for pages without a model": (
        [view(model=""), view(model="", endpoint="old")],
        ["UserView(user)", "UserView(old)"],
    ),
}


@pytest.mark.parametrize(("views", "labels"), LABELS.values(), ids=list(LABELS))
def test_no_two_views_have_the_same_label(views: list[View], labels: list[str]) -> None:
    verdict = judge(Recording(views=views))
    assert [verdict.label(number) for number in range(len(views))] == labels


@pytest.mark.parametrize(
    ("line", "causes"),
    [
        (LIBRARY, {"a `scoped_session` that is never removed"}),
        (
            VALIDATORS,
            {
                "a `scoped_session` that is never removed",
                "a session kept beyond its request",
            },
        ),
    ],
)
def test_a_cause_beneath_the_views_explains_all_sessions_from_its_line(
    line: Place, causes: set[str]
) -> None:
    seen = two_views(
        shared(Maker.SCOPED_SESSION), shared(Maker.SCOPED_SESSION, IN_A_MODULE)
    )
    seen.sessions[0].place, seen.sessions[1].place = LIBRARY, line
    assert names_of_causes(seen) == causes


def test_a_finding_names_its_lines_of_code() -> None:
    """In a view, then beneath the views."""
    used = use(0, own=OWN, closed=False)
    kept = {"kept": True, "kept_by": IN_A_MODULE, "closed": False, "place": LIBRARY}
    [finding] = judge(
        recording([request(0, used), request(1, used)], [session(0, **kept)])
    ).findings
    made, kept_by = f"made at:   {LIBRARY}", f"kept by:   {' → '.join(IN_A_MODULE)}"
    assert [*dict.fromkeys(finding.places)] == [made, f"your code: {OWN}", kept_by]
    kept["kept_by"] = ()
    given = session(0, maker=Maker.SCOPED_SESSION, **kept)
    used_twice = [request(0, used), request(1, use(0, closed=False))]
    [finding] = judge(recording(used_twice, [given])).findings
    assert [*dict.fromkeys(finding.places)] == [made, f"used at:   {OWN}"]


def test_a_finding_names_a_line_of_the_app_once() -> None:
    """It made the session, and is where the view is given it."""
    seen = held(Maker.HAND)
    seen.requests[0].uses = [use(0, closed=False)]
    [finding] = judge(seen).findings
    assert [violation.rule for violation in finding.violations][:2] == [
        Rule.HANDLE,
        Rule.FRESH,
    ]
    assert [*dict.fromkeys(finding.places)] == [
        f"your code: {OWN}",
        f"used at:   {LIBRARY}",
    ]


def test_violations_of_a_cause_in_a_view_are_a_finding() -> None:
    [finding] = judge(shared(Maker.SCOPED_SESSION)).findings
    assert finding.rules == ["fresh", "released"]


BENEATH_VIEWS = (
    "a stream that was ended on another thread than it began on",
    "a lost connection leaves its session in the registry",
    "an app context around the test client",
    "a teardown that commits",
    "a scope that is smaller than a request",
    "a `scoped_session` that is never removed",
    "a handle that leaves its session open",
)
IN_A_VIEW = (
    "Flask 3.1.2 and newer: a streamed export outlives its session",
    "a session made by hand",
)


@pytest.mark.parametrize("name", BENEATH_VIEWS)
def test_a_cause_beneath_the_views_is_a_single_finding(name: str) -> None:
    seen, _ = KNOWN[name]
    assert [finding.views for finding in judge(two_views(seen, seen)).findings] == [
        [0, 1]
    ]


@pytest.mark.parametrize("name", IN_A_VIEW)
def test_a_cause_in_two_views_is_two_findings(name: str) -> None:
    seen, _ = KNOWN[name]
    assert [finding.views for finding in judge(two_views(seen, seen)).findings] == [
        [0],
        [1],
    ]


def test_two_causes_in_one_view_are_two_findings() -> None:
    seen = recording(
        [request(0, 0), request(1, 1, 2)],
        [session(0), session(1), session(2, maker=Maker.HAND, born_in=1)],
        late_commits=[LateCommit(0, 0, OWN)],
    )
    assert len(judge(seen).findings) == 2


def test_violations_without_a_known_cause_are_grouped_by_their_message() -> None:
    uses = use(0, closed=False), use(1, closed=False)
    seen = alone(*uses, sessions=[session(0), session(1, born_in=0)])
    assert [finding.rules for finding in judge(seen).findings] == [
        ["single"],
        ["released"],
    ]


WORST_FIRST = {
    "the finding that breaks more rules": (shared(Maker.SCOPED_SESSION), [1, 0]),
    "of as many rules, the finding in more requests": (
        recording(
            [request(n, 2 * n, 2 * n + 1) for n in range(2)],
            [session(n, **({} if n % 2 == 0 else HAND)) for n in range(4)],
        ),
        [1, 0],
    ),
    "of two alike, the first": (MADE_BY_HAND, [0, 1]),
}


@pytest.mark.parametrize("name", WORST_FIRST)
def test_the_worst_finding_comes_first(name: str) -> None:
    second, order = WORST_FIRST[name]
    first = MADE_BY_HAND
    found = judge(two_views(first, second)).findings
    assert [finding.views[0] for finding in found] == order


def test_a_repeated_violation_has_all_its_requests() -> None:
    requests = [
        request(n, n, operation=name)
        for n, name in enumerate(("list", "details", "list"))
    ]
    late = [LateCommit(n, n, OWN) for n in range(3)]
    [violation] = judge(recording(requests, late_commits=late)).violations
    assert violation.operations == ("list", "details")
    assert violation.requests == violation.sessions == (0, 1, 2)


def test_sessions_made_on_two_lines_are_two_violations() -> None:
    sessions = [session(0), *(session(n, **HAND, own=own) for n, own in LINES)]
    verdict = judge(alone(0, 1, 2, sessions=sessions))
    assert [violation.made for violation in verdict.violations] == [OWN, OTHER]


LINES = ((1, OWN), (2, OTHER))


# ------------------------------------------------------------- places of violations

PLACES: dict[str, tuple[Recording, str, object]] = {
    "where the session was made": (
        alone(use(0, closed=False), sessions=[session(0, own=OWN, place=LIBRARY)]),
        "made",
        OWN,
    ),
    "where it was made, by a library": (
        alone(use(0, closed=False), sessions=[session(0, place=LIBRARY)]),
        "made",
        LIBRARY,
    ),
    "where it was first used": (alone(use(0, closed=False)), "place", LIBRARY),
    "the line of the app that uses it": (
        alone(use(0, closed=False, own=OTHER)),
        "own",
        OTHER,
    ),
    "where a session of startup was made": (
        alone(0, sessions=[session(0, **OLDER, own=OWN, place=LIBRARY)]),
        "what",
        f"session 0 is older than the request: made at {OWN}",
    ),
    "where a session of startup was made, by a library": (
        alone(0, sessions=[session(0, **OLDER, place=LIBRARY)]),
        "what",
        f"session 0 is older than the request: made at {LIBRARY}",
    ),
    "where a session was made that is given to a view": (
        recording([], [session(0, own=OWN)], [view(session=0, place=OTHER)]),
        "own",
        OWN,
    ),
    "the class of a view that is given a session": (
        recording([], [session(0)], [view(session=0, place=OTHER)]),
        "own",
        OTHER,
    ),
    "where it was closed too early": (
        alone(use(0, own=OTHER, used_after_close=LIBRARY, closed_early=OWN)),
        "own",
        OWN,
    ),
    "where it is used after the answer": (
        alone(use(0, own=OTHER, used_after_close=LIBRARY)),
        "own",
        OTHER,
    ),
    "the view that ran while a thread worked": (
        alone(
            view=1,
            sessions=[
                session(0, closed=False, outside=[Outside(OWN, OWN, "worker", 0)])
            ],
            views=[view(), view()],
        ),
        "view",
        1,
    ),
    "the view in which Flask-Admin makes a session": (
        alone(
            0,
            view=1,
            sessions=[session(0), session(1, **BY_ADMIN, born_in=0)],
            views=[view(), view()],
        ),
        "view",
        1,
    ),
    "where a thread first used a session": (
        alone(
            sessions=[
                session(
                    0,
                    closed=False,
                    outside=[Outside(place, place, "worker") for place in (OWN, OTHER)],
                )
            ]
        ),
        "own",
        OWN,
    ),
    "no view, when none or several ran": (
        alone(
            sessions=[session(0, closed=False, outside=[Outside(OWN, OWN, "worker")])]
        ),
        "view",
        None,
    ),
}


@pytest.mark.parametrize(("seen", "field", "value"), PLACES.values(), ids=list(PLACES))
def test_a_violation_names_its_place(
    seen: Recording, field: str, value: object
) -> None:
    [violation] = judge(seen).violations
    assert getattr(violation, field) == value


def test_sessions_made_on_two_lines_of_a_library_are_two_violations() -> None:
    places = LIBRARY, VALIDATORS
    requests = [request(n, use(n, closed=False)) for n in (0, 1)]
    sessions = [session(n, place=places[n]) for n in (0, 1)]
    found = [
        violation.made for violation in judge(recording(requests, sessions)).violations
    ]
    assert found == [LIBRARY, VALIDATORS]


def test_connections_from_two_lines_are_two_violations() -> None:
    requests = [request(n, taken=1) for n in (0, 1)]
    unreturned = [Unreturned(0, OWN), Unreturned(1, OTHER)]
    verdict = judge(recording(requests, unreturned=unreturned))
    found = [violation.own for violation in verdict.violations]
    assert found == [OWN, OTHER]


def test_a_violation_without_an_operation_names_its_request() -> None:
    late = [LateCommit(0, 0, OWN)]
    seen = alone(0, operation=None, late_commits=late)
    [violation] = judge(seen).violations
    assert violation.operations == ("GET /admin/user/",)


# ---------------------------------------------------------------------------- verdict

CELLS = {
    "the rule holds": (staircase(), "single", "holds"),
    "the rule is broken": (shared(Maker.LITE), "fresh", "broken"),
    "another rule is broken": (shared(Maker.LITE), "single", "holds"),
    "no request": (recording([]), "single", "not reached"),
    "sent to a login": (alone(status=302), "single", "not reached"),
    "the request failed": (alone(**ERROR), "single", "not reached"),
    "the request is forbidden": (alone(status=403), "handle", "not reached"),
    "a form was saved": (
        recording([replace(request(0, 0, status=302), method="POST")]),
        "single",
        "holds",
    ),
    "a form was refused": (
        recording([replace(request(0, status=400), method="POST")]),
        "single",
        "not reached",
    ),
    "a form without an answer": (
        recording([replace(request(0, status=0), method="POST")]),
        "single",
        "not reached",
    ),
    "broken, and no request": (
        replace(held(Maker.HAND), requests=[]),
        "handle",
        "broken",
    ),
    "a page that uses no session": (alone(), "single", "not tried"),
    "requests overlap, and a later request uses the session": (
        recording([request(0, 0), request(1, 1, **OVERLAPPING), request(2, 1)]),
        "isolated",
        "not tried",
    ),
    "no requests overlap": (staircase(), "isolated", "not tried"),
    "requests overlap": (HEALTHY["overlapping requests"], "isolated", "holds"),
    "a nested request": (
        HEALTHY["a nested request with its own session"],
        "isolated",
        "not tried",
    ),
    "no request failed": (staircase(), "recovers", "not tried"),
    "a request failed": (
        recording([request(0, 0), request(1, **ERROR)]),
        "recovers",
        "holds",
    ),
}


@pytest.mark.parametrize(("seen", "rule", "cell"), CELLS.values(), ids=list(CELLS))
def test_a_cell_has_the_state_of_a_rule(seen: Recording, rule: str, cell: str) -> None:
    assert judge(seen).cell(Rule(rule), 0).state == cell


def test_a_cell_is_about_one_view() -> None:
    verdict = judge(two_views(staircase(), shared(Maker.LITE)))
    assert [verdict.cell(Rule.FRESH, number).state for number in (0, 1)] == [
        "holds",
        "broken",
    ]


def test_a_cell_of_all_views_has_the_worst_state() -> None:
    verdict = judge(two_views(staircase(), shared(Maker.LITE)))
    assert verdict.summed(Rule.SINGLE, "db").state == "holds"
    cell = verdict.summed(Rule.FRESH, "db")
    assert (cell.subject, cell.state) == ("db", "broken")
    assert cell.seen == tuple(
        str(violation)
        for violation in verdict.violations
        if violation.rule == Rule.FRESH
    )


def test_a_saved_cell_is_complete() -> None:
    cell = judge(shared(Maker.LITE)).cell(Rule.FRESH, 0)
    assert Cell.from_json(json.loads(json.dumps(asdict(cell)))) == cell


def test_overlapping_requests_of_two_views_try_neither_view() -> None:
    seen = recording([request(0, 0), request(1, 1, **OVERLAPPING)])
    seen.requests[1].view = 1
    seen.views.append(view())
    assert judge(seen).cell(Rule.ISOLATED, 1).state == "not tried"


FAILURES = {
    "an exception": ({"exception": "ValueError: no"}, True),
    "an answer that broke off": ({"stream_exception": "OSError: gone"}, True),
    "no effect": ({"unexpected": "the row is not there"}, True),
    "nothing": ({}, False),
    "an injected fault": ({"exception": "no", "injected": FAULT}, False),
    "a write that was stopped": (
        {"exception": "no", "stopped": [Stopped("DELETE")]},
        False,
    ),
    "an exception that breaks a rule": ({"stream_exception": DETACHED}, False),
}


@pytest.mark.parametrize(("more", "failed"), FAILURES.values(), ids=list(FAILURES))
def test_a_failure_is_an_error_that_breaks_no_rule(
    more: dict[str, t.Any], failed: bool
) -> None:
    seen = alone(**more, sessions=[])
    assert judge(seen).failures == (seen.requests if failed else [])


WRITES = alone(0, stopped=[Stopped("DELETE", OWN, OWN)])
OUTCOMES = {
    "every view holds": (staircase(), Outcome.HOLDS),
    "a rule is broken": (shared(Maker.LITE), Outcome.BROKEN),
    "a broken rule, and no request": (
        replace(held(Maker.HAND), requests=[]),
        Outcome.BROKEN,
    ),
    "no request": (recording([]), Outcome.NOTHING_SEEN),
    "a login": (alone(status=302), Outcome.NOTHING_SEEN),
    "a failure": (alone(0, **ERROR), Outcome.NOTHING_SEEN),
    "a page that uses no session": (alone(), Outcome.NOTHING_SEEN),
    "a page that tries to write": (WRITES, Outcome.WRITES),
}


@pytest.mark.parametrize(("seen", "outcome"), OUTCOMES.values(), ids=list(OUTCOMES))
def test_the_outcome_of_a_verdict(seen: Recording, outcome: Outcome) -> None:
    verdict = judge(seen)
    assert verdict.outcome == outcome
    assert verdict.holds == (outcome == Outcome.HOLDS)


def test_each_outcome_has_an_exit_status() -> None:
    statuses = {outcome.value: outcome.status for outcome in Outcome}
    assert statuses == {"holds": 0, "broken": 1, "tries to write": 1, "nothing seen": 2}


def test_a_verdict_that_holds_raises_nothing() -> None:
    judge(staircase()).raise_for_violations()


def test_a_broken_rule_raises_with_its_line_and_its_fix() -> None:
    seen = alone(0, 1, sessions=[session(0), session(1, **HAND, own=OWN)])
    with pytest.raises(RulesBroken) as caught:
        judge(seen).raise_for_violations()
    message = str(caught.value)
    assert message.startswith(
        "1 of 7 rules is broken: single\nUserView: A session made by hand\n"
    )
    assert "\n  single: session 1 is not the session that the handle gives\n" in message
    assert f"\n  made at:   {OWN}\n  used at:   {LIBRARY}\n  change:\n    " in message
    assert "self.session.query(User)" in message


def test_a_broken_rule_without_a_known_cause_raises_without_a_fix() -> None:
    with pytest.raises(RulesBroken) as caught:
        judge(OPEN).raise_for_violations()
    assert str(caught.value).splitlines()[1:] == [
        "UserView: Session 0 is not closed",
        "  released: session 0 is not closed",
        f"  used at:   {LIBRARY}",
    ]


def test_a_broken_rule_outside_of_the_admin_raises_without_a_view() -> None:
    seen = replace(OPEN, requests=[replace(OPEN.requests[0], view=None)])
    with pytest.raises(RulesBroken, match="\noutside of the admin: Session 0"):
        judge(seen).raise_for_violations()


def test_a_page_that_tries_to_write_raises_with_its_line() -> None:
    with pytest.raises(RulesBroken, match=r"DELETE \(shop/admin\.py:17 in create_app"):
        judge(WRITES).raise_for_violations()


def test_a_verdict_on_nothing_raises() -> None:
    with pytest.raises(CannotTell, match="nothing was seen"):
        judge(Recording()).raise_for_violations()


SENTENCES = {
    "sessions are request-scoped": staircase(),
    "sessions are request-scoped, in 1 of 2 views": replace(
        staircase(), views=[view(), view()]
    ),
    "sessions are request-scoped, but 1 request did not work": recording(
        [request(0, 0), request(1, **ERROR)]
    ),
    "sessions are request-scoped, but opening a page tries to write": WRITES,
    "2 of 7 rules are broken: handle, fresh": alone(
        0, sessions=[session(0, **OLDER)], views=[view(replaced=True)]
    ),
    "1 of 7 rules is broken, in 1 of 2 views: handle": alone(
        views=[view(replaced=True), view()]
    ),
    "nothing was seen: no view that uses a session has answered": Recording(),
}


@pytest.mark.parametrize(("sentence", "seen"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_verdict_has_a_sentence(sentence: str, seen: Recording) -> None:
    assert judge(seen).sentence == sentence


def test_the_views_that_answered_are_seen() -> None:
    seen = [request(0), request(1, view=1, status=302), request(2, view=None)]
    assert judge(recording(seen, views=[view(), view()])).seen == {0, None}


PROVEN = {
    "a view has used a session": (staircase(), True),
    "a view has used none": (alone(), False),
    "a view has failed": (alone(0, **ERROR), False),
    "only code outside of the views has used a session": (alone(0, view=None), False),
    "nothing": (Recording(), False),
}


@pytest.mark.parametrize(("seen", "proven"), PROVEN.values(), ids=list(PROVEN))
def test_a_verdict_is_proven_by_a_view_that_uses_a_session(
    seen: Recording, proven: bool
) -> None:
    assert judge(seen).proven is proven


# ------------------------------------------------------------------------------- JSON

SAVED = {
    **{name: case.broken for name, case in CASES.items()},
    **HEALTHY,
    "all that a request can have": alone(
        use(0, own=OWN, used_after_close=OTHER),
        stopped=[Stopped("DELETE", OWN, OTHER)],
        sessions=[session(0, place=LIBRARY, own=OWN)],
    ),
}


@pytest.mark.parametrize("seen", SAVED.values(), ids=list(SAVED))
def test_a_loaded_recording_equals_the_saved_recording(
    seen: Recording, tmp_path: Path
) -> None:
    seen.save(tmp_path / "seen.json")
    loaded = Recording.load(tmp_path / "seen.json")
    assert json.dumps(loaded.to_json()) == json.dumps(seen.to_json())
    assert judge(loaded).violations == judge(seen).violations


def test_a_saved_verdict_can_be_loaded_as_a_recording(tmp_path: Path) -> None:
    verdict = judge(shared(Maker.SCOPED_SESSION))
    (tmp_path / "seen.json").write_text(json.dumps(verdict.to_json()))
    assert (
        judge(Recording.load(tmp_path / "seen.json")).violations == verdict.violations
    )


COMPLETE = staircase().to_json()
DANCE = {"kind": "dance", "subject": "", "variant": ""}
UNKNOWN = {"view": 0, "operation": DANCE, "why": ""}
NO_RECORDINGS = {
    "not JSON": ("no", " is not JSON: Expecting value"),
    "not UTF-8": (b"\xff\xfe", " is not JSON: 'utf-8' codec can't decode"),
    "an empty file": ("", " is not JSON: Expecting value"),
    "a list": ("[]", " has no recording in it"),
    "other data": ('{"views": []}', " has no recording in it"),
    "a recording that is no object": ('{"recording": 1}', ": not a recording"),
    "no format": ('{"recording": {}}', ": not a recording"),
    "another format": (
        json.dumps({"recording": {**COMPLETE, "format": FORMAT + 1}}),
        f": the recording has format {FORMAT + 1}, not {FORMAT}: record it again",
    ),
    "a missing key": (
        json.dumps({"recording": {"format": FORMAT}}),
        ": not a whole recording: no 'app'",
    ),
    "a missing key further in": (
        json.dumps({"recording": {**COMPLETE, "requests": [{"number": 0}]}}),
        ": not a whole recording: no 'method'",
    ),
    "another type": (
        json.dumps({"recording": {**COMPLETE, "requests": 1}}),
        ": not a whole recording: 'int' object is not iterable",
    ),
    "an unknown operation": (
        json.dumps({"recording": {**COMPLETE, "unseen": [UNKNOWN]}}),
        ": not a whole recording: 'dance' is not a valid OperationKind",
    ),
}


@pytest.mark.parametrize(
    ("content", "message"), NO_RECORDINGS.values(), ids=list(NO_RECORDINGS)
)
def test_an_invalid_recording_raises_an_error_of_one_line(
    content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NotARecording) as caught:
        Recording.load(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "seen.json")
