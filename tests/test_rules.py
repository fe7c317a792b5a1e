"""Each rule and each known cause, of recordings that are written out by hand.

Every case is a pair: a recording that breaks rules, and the same with one thing fixed.
"""

import json
import typing as t
from dataclasses import asdict
from dataclasses import replace
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
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Outcome
from session_scoping.rules.verdict import Verdict

LIBRARY = Place("flask_admin/contrib/sqla/view.py", 1041, "get_list")
VALIDATORS = Place("flask_admin/contrib/sqla/validators.py", 40, "__call__")
OWN = Place("shop/admin.py", 17, "create_app")
OTHER = Place("shop/admin.py", 99, "get_query")
PENDING = "PendingRollbackError: This Session's transaction has been rolled back"
DETACHED = "DetachedInstanceError: Parent instance is not bound to a Session"


# --------------------------------------------------------- a recording in a few lines


def view(**more: t.Any) -> View:
    defaults = {"model": "User", "handle": "flask_sqlalchemy.SQLAlchemy"}
    return View("Admin", "UserView", "user", **{**defaults, **more})


def request(number: int, *uses: Use | int, **more: t.Any) -> Request:
    """A second after the one before; a number stands for a session, used and closed."""
    defaults = {"view": 0, "operation": LIST, "status": 200}
    times = {"started": float(number), "ended": number + 0.5}
    used = tuple(use(one) if isinstance(one, int) else one for one in uses)
    given = {**defaults, **times, **more}
    return Request(number, "GET", "/admin/user/", uses=used, **given)


def use(session: int, **more: t.Any) -> Use:
    return Use(session, LIBRARY, **{"closed": True, **more})


def closed_by(library: Place) -> Use:
    return use(0, closed_early=library, closed_unsolicited=True)


def session(number: int, **more: t.Any) -> Session:
    """Born in the request of the same number, and closed."""
    defaults = {"maker": Maker.FLASK_SQLALCHEMY, "engines": [0], "closed": True}
    return Session(number, **{**defaults, "born_in": number, **more})


def recording(
    requests: t.Sequence[Request],
    sessions: t.Sequence[Session],
    views: t.Sequence[View] = (view(),),
    kept: t.Sequence[KeptInstance] = (),
    unreturned: t.Sequence[Unreturned] = (),
    late_commits: t.Sequence[LateCommit] = (),
    unsolicited: t.Sequence[Unsolicited] = (),
    admin: str = "2.2.1",
    flask: str = "3.1.1",
) -> Recording:
    numbers = [one.number for one in sessions]
    assert numbers == list(range(len(numbers)))
    assert [one.number for one in requests] == list(range(len(requests)))
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


def alone(*uses: Use | int, **more: t.Any) -> list[Request]:
    """No request but one."""
    return [request(0, *uses, **more)]


def staircase(length: int = 3) -> Recording:
    """Each request has a session of its own, which is closed at its end."""
    numbers = range(length)
    return recording([request(n, n) for n in numbers], [session(n) for n in numbers])


def shared(maker: str, kept_by: t.Sequence[str] = ()) -> Recording:
    """One session serves two requests, and stays open."""
    requests = [request(n, use(0, closed=False)) for n in (0, 1)]
    given = session(0, maker=maker, closed=False, kept=True, kept_by=kept_by)
    return recording(requests, [given])


def held(maker: str) -> Recording:
    """A view holds a session that is older than the requests, and does not use it."""
    given = session(0, maker=maker, born_in=None, at_startup=True, own=OWN)
    return recording(alone(), [given], [view(session=0, handle="Session")])


# ------------------------------------------------------------------------------- rules


class Case(t.NamedTuple):
    rules: str  # that are broken, in their order
    says: str
    broken: Recording
    fixed: Recording


LEAK = {"born_in": None}  # of a session that was there before
HAND = {"maker": Maker.HAND, "born_in": 0}
BY_HAND = session(1, maker=Maker.HAND)
BY_ADMIN = {"maker": Maker.HAND, "place": LIBRARY}
BESIDE = Outside(LIBRARY, None, "worker", 0)
NESTED = {"parent": 0, "started": 0.1, "ended": 0.2}
BETWEEN = {"overtakes": 1, "started": 1.1, "ended": 1.2}
AT_ONCE = {"started": 0.25, "ended": 0.75}
STARTUP = {"born_in": None, "at_startup": True, "kept": True}
NAME = ["module shop", "session"]
STRUCK = Injected(Fault.BEFORE, "SELECT 1")
ROLLED_BACK = Injected(Fault.ROLLBACK, "ROLLBACK")
FAILS = {"injected": STRUCK, "exception": "OperationalError: failed", "status": 500}
CRASH = {"exception": "ValueError: no", "status": 500}

CASES = {
    "a view holds a session": Case(
        "handle",
        "UserView holds session 0, a Session, not a handle",
        held(Maker.HAND),
        recording(alone(), [session(0, **LEAK)]),
    ),
    "a view holds a session, after a view whose session is left alone": Case(
        "handle",
        "UserView holds session 1, a Session, not a handle",
        recording(
            alone(),
            [session(0, left_alone=True), session(1, **LEAK)],
            [view(session=n, handle="Session") for n in (0, 1)],
        ),
        recording(
            alone(),
            [session(0, left_alone=True), session(1, **LEAK)],
            [view(session=0, handle="Session"), view()],
        ),
    ),
    "a view holds another handle than it did": Case(
        "handle",
        "UserView.session is not the object that it was at first",
        recording(alone(), [], [view(replaced=True)]),
        recording(alone(), [], [view()]),
    ),
    "a session made by hand, on the engine of the handle": Case(
        "single",
        "session 1 is not the session that the handle gives",
        recording(alone(0, 1), [session(0), session(1, **HAND)]),
        recording(alone(0, 1), [session(0), session(1, **HAND, engines=[1])]),
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
        recording(
            alone(0, 1, 2),
            [session(0, left_alone=True), session(1, born_in=0), session(2, **HAND)],
        ),
        recording(
            alone(0, 1),
            [session(0, left_alone=True), session(1, born_in=0)],
        ),
    ),
    "Flask-Admin makes a session, and uses it nowhere": Case(
        "single",
        "session 1 is made by Flask-Admin itself",
        recording(alone(0), [session(0), session(1, **BY_ADMIN, born_in=0)]),
        recording(alone(0), [session(0), session(1, **HAND)]),
    ),
    "Flask-Admin makes a session on another thread": Case(
        "single",
        "session 1 is made by Flask-Admin itself",
        recording(
            alone(0),
            [session(0), session(1, **BY_ADMIN, born_in=None, outside=[BESIDE])],
        ),
        recording(
            alone(0),
            [session(0), session(1, **{**HAND, "born_in": None}, outside=[BESIDE])],
        ),
    ),
    "Flask-Admin works on another thread": Case(
        "single",
        "session 0 is used by Flask-Admin on another thread",
        recording(alone(0), [session(0, outside=[replace(BESIDE, unsolicited=True)])]),
        recording(alone(0), [session(0, outside=[BESIDE])]),
    ),
    "Flask-Admin speaks past the session": Case(
        "single",
        "Flask-Admin sends a statement past the session",
        recording(
            alone(0),
            [session(0)],
            unsolicited=[Unsolicited(Deed.PAST_THE_SESSION, 0, LIBRARY)],
        ),
        recording(alone(0), [session(0)]),
    ),
    "the handle gives two sessions": Case(
        "single",
        "session 1 is used beside session 0",
        recording(alone(0, 1), [session(0), session(1, born_in=0)]),
        recording(alone(0, 1), [session(0), session(1, born_in=0, engines=[1])]),
    ),
    "the session of another request": Case(
        "fresh",
        "session 0 has served request 0 before",
        recording([request(0, 0), request(1, 0)], [session(0)]),
        recording([request(0, 0), request(1, 1)], [session(0), session(1)]),
    ),
    "the session of the outer request is its own": Case(
        "fresh",
        "session 0 has served request 0 before",
        recording([request(0, 0), request(1, 0, parent=None)], [session(0)]),
        recording([request(0, 0), request(1, 0, **NESTED)], [session(0)]),
    ),
    "the session of startup": Case(
        "fresh",
        "session 0 is older than the request",
        recording(alone(0), [session(0, **LEAK)]),
        recording(alone(0), [session(0)]),
    ),
    "building the app leaves a session": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        recording(
            alone(),
            [session(0, born_in=None, at_startup=True, kept=True, closed=False)],
        ),
        recording(
            alone(),
            [session(0, born_in=None, at_startup=True, kept=False, closed=False)],
        ),
    ),
    "building the app closes it, but something goes on holding it": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        recording(alone(), [session(0, **STARTUP, kept_by=["class shop.View", "s"])]),
        recording(alone(), [session(0, **STARTUP, kept_by=NAME)]),
    ),
    "a module goes on holding an open one": Case(
        "fresh",
        "session 0 was opened while the app was built, and is still there",
        recording(alone(), [session(0, **STARTUP, closed=False, kept_by=NAME)]),
        recording(alone(), [session(0, **STARTUP, kept_by=NAME)]),
    ),
    "two requests at the same time share a session": Case(
        "fresh isolated",
        "session 0 serves two requests at the same time",
        recording([request(0, 0), request(1, 0, **AT_ONCE)], [session(0)]),
        recording([request(0, 0), request(1, 1, **AT_ONCE)], [session(0), session(1)]),
    ),
    "a commit when the view has answered": Case(
        "isolated",
        "session 0 commits after the view has answered",
        recording(alone(0), [session(0)], late_commits=[LateCommit(0, 0, OWN)]),
        recording(alone(use(0)), [session(0)]),
    ),
    "Flask-Admin commits by itself": Case(
        "isolated",
        "Flask-Admin commits where it has nothing to save",
        recording(
            alone(0), [session(0)], unsolicited=[Unsolicited(Deed.COMMIT, 0, LIBRARY)]
        ),
        recording(alone(0), [session(0)]),
    ),
    "a session is used again after it is closed": Case(
        "alive",
        "session 0 is used again after it was closed",
        recording(alone(use(0, used_after_close=LIBRARY)), [session(0)]),
        recording(alone(use(0)), [session(0)]),
    ),
    "one made by hand may be used again and again": Case(
        "alive",
        "session 0 is used again after it was closed",
        recording(alone(use(0, used_after_close=LIBRARY)), [session(0)]),
        recording(alone(use(0, used_after_close=LIBRARY)), [session(0, **HAND)]),
    ),
    "a session is used again after it is closed, beside a session made by hand": Case(
        "alive",
        "session 1 is used again after it was closed",
        recording(
            alone(0, use(1, used_after_close=LIBRARY)),
            [session(0, **HAND, engines=[1]), session(1, born_in=0)],
        ),
        recording(
            alone(0, 1), [session(0, **HAND, engines=[1]), session(1, born_in=0)]
        ),
    ),
    "a session is closed in the middle, and another one goes on": Case(
        "single alive",
        "session 0 is closed before the view has answered",
        recording(
            alone(use(0, closed_early=OWN), 1), [session(0), session(1, born_in=0)]
        ),
        recording(alone(use(0, closed_early=OWN)), [session(0), session(1)]),
    ),
    "a library closes the session in the middle": Case(
        "alive",
        "session 0 is closed before the view has answered",
        recording(alone(closed_by(LIBRARY)), [session(0)]),
        recording(alone(closed_by(LIBRARY), **CRASH), [session(0)]),
    ),
    "a stream breaks off": Case(
        "alive",
        f"the response broke off: {DETACHED}",
        recording(alone(0, streamed=True, stream_exception=DETACHED), [session(0)]),
        recording(
            alone(0, streamed=True, stream_exception="OSError: gone"), [session(0)]
        ),
    ),
    "a session is not closed": Case(
        "released",
        "session 0 is not closed",
        recording(alone(use(0, closed=False)), [session(0)]),
        recording(alone(use(0)), [session(0)]),
    ),
    "the request is still running": Case(
        "released",
        "session 0 is not closed",
        recording(alone(use(0, closed=False)), [session(0)]),
        recording(alone(use(0, closed=False), ended=0.0), [session(0)]),
    ),
    "a nested request does not close a session of its own": Case(
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
    "something refers to a closed session": Case(
        "released",
        "session 0 is still referred to",
        recording(alone(0), [session(0, kept=True)]),
        recording(alone(0), [session(0, kept=False)]),
    ),
    "a thread does not close its session": Case(
        "released",
        "session 0, used on thread worker, is not closed",
        recording(
            alone(), [session(0, closed=False, outside=[Outside(OWN, OWN, "worker")])]
        ),
        recording(alone(), [session(0, outside=[Outside(OWN, OWN, "worker")])]),
    ),
    "a connection is not given back": Case(
        "released",
        "connections taken: 2, returned: 1",
        recording(
            alone(0, taken=2, returned=1), [session(0)], unreturned=[Unreturned(0, OWN)]
        ),
        recording(alone(0, taken=2, returned=2), [session(0)]),
    ),
    "a connection is not given back by a request that is over": Case(
        "released",
        "connections taken: 1, returned: 0",
        recording(alone(0, taken=1), [session(0)]),
        recording(alone(0, taken=1, ended=0.0), [session(0)]),
    ),
    "something refers to a row, and the request is over": Case(
        "released",
        "a User that it loaded is still referred to",
        recording(alone(0), [session(0)], kept=[KeptInstance("User", 0, 0)]),
        recording(alone(0, ended=0.0), [session(0)], kept=[KeptInstance("User", 0, 0)]),
    ),
    "something refers to a row": Case(
        "released",
        "a User that it loaded is still referred to",
        recording(alone(0), [session(0)], kept=[KeptInstance("User", 0, 0)]),
        recording(alone(0), [session(0)]),
    ),
    "what works only until a step has failed": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: ValueError: no",
        recording([request(0), request(1, **FAILS), request(2, **CRASH)], []),
        recording([request(0), request(1, **FAILS), request(2)], []),
    ),
    "what has an effect only until a step has failed": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: no row",
        recording(
            [request(0), request(1, **FAILS), request(2, unexpected="no row")], []
        ),
        recording([request(0), request(1, **FAILS), request(2)], []),
    ),
    "what has never worked": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: ValueError: no",
        recording([request(0), request(1, **FAILS), request(2, **CRASH)], []),
        recording([request(0, **CRASH), request(1, **FAILS), request(2, **CRASH)], []),
    ),
    "a page shows what another request has not committed": Case(
        "isolated",
        "shows a change that another request has not committed",
        recording(alone(0, dirty_read=True), [session(0)]),
        recording(alone(0), [session(0)]),
    ),
    "a request saves a change that no request has committed": Case(
        "isolated",
        "saves a change that no request has committed",
        recording(alone(0, dirty_write=True), [session(0)]),
        recording(alone(0), [session(0)]),
    ),
    "an operation works only where no other request does the same": Case(
        "isolated",
        "fails beside a concurrent request: changes no row",
        recording(
            [
                request(0, 0),
                request(1, 1),
                request(2, 2, **BETWEEN, unexpected="changes no row"),
            ],
            [session(0), session(1), session(2)],
        ),
        recording(
            [
                request(0, 0, unexpected="changes no row"),
                request(1, 1),
                request(2, 2, **BETWEEN, unexpected="changes no row"),
            ],
            [session(0), session(1), session(2)],
        ),
    ),
    "a connection goes back to the pool in a transaction": Case(
        "released",
        "a connection is back in the pool with its transaction open",
        recording(alone(0, left_in_transaction=True), [session(0)]),
        recording(alone(0), [session(0)]),
    ),
    "an operation works no more once it has failed": Case(
        "recovers",
        "does not work once `SELECT 1` has failed: does not show 'Dune'",
        recording(
            [
                request(0, 0),
                request(1, 1, **FAILS),
                request(2, 2, unexpected="does not show 'Dune'"),
            ],
            [session(0), session(1), session(2)],
        ),
        recording(
            [
                request(0, 0, unexpected="does not show 'Dune'"),
                request(1, 1, **FAILS),
                request(2, 2, unexpected="does not show 'Dune'"),
            ],
            [session(0), session(1), session(2)],
        ),
    ),
    "an operation recovers, and a later request does not": Case(
        "recovers",
        f"fails because of an earlier request: {PENDING}",
        recording(
            [
                request(0),
                request(1, **FAILS),
                request(2),
                request(3, exception=PENDING),
            ],
            [],
        ),
        recording([request(0), request(1, **FAILS), request(2), request(3)], []),
    ),
    "a session that another request broke": Case(
        "recovers",
        f"fails because of an earlier request: {PENDING}",
        recording(alone(0, exception=PENDING, status=500), [session(0, born_in=None)]),
        recording(alone(0, **CRASH), [session(0, born_in=0)]),
    ),
    "a request that goes on when something has failed": Case(
        "recovers",
        f"uses the session again without a rollback: {PENDING}",
        recording(alone(0, exception=PENDING, status=500), [session(0)]),
        recording(alone(0, **CRASH), [session(0)]),
    ),
    "a session that is refused before it has sent anything": Case(
        "recovers",
        f"fails because of an earlier request: {PENDING}",
        recording(alone(exception=PENDING, status=500), []),
        recording(alone(**CRASH), []),
    ),
    "a session is not closed only when the view fails": Case(
        "recovers",
        "`released` is broken when the request fails: session 0 is not closed",
        recording(alone(use(0, closed=False), **CRASH), [session(0)]),
        recording(alone(use(0), **CRASH), [session(0)]),
    ),
}


def broken(verdict: Verdict) -> str:
    rules = {one.rule for one in verdict.violations}
    return " ".join(name for name in Rule if name in rules)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_rule_is_broken(case: Case) -> None:
    verdict = judge(case.broken)
    assert broken(verdict) == case.rules
    assert case.says in [one.what for one in verdict.violations]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_rule_holds_again(case: Case) -> None:
    assert judge(case.fixed).violations == ()


TROUBLE: dict[str, dict[str, t.Any]] = {
    "an exception": {"exception": "ValueError: no"},
    "an answer": {"status": 500},
    "a step that was made to fail": {"injected": STRUCK},
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=list(TROUBLE))
def test_what_is_broken_only_in_trouble_breaks_recovers(
    trouble: dict[str, t.Any],
) -> None:
    requests = [request(0, 0), request(1, use(1, closed=False), **trouble)]
    assert broken(judge(recording(requests, [session(0), session(1)]))) == "recovers"


def test_a_pending_rollback_is_the_fault_of_the_first_session() -> None:
    failed = alone(0, 1, exception=PENDING, status=500)
    sessions = [session(0), session(1, born_in=0, engines=[1])]
    [violation] = judge(recording(failed, sessions)).violations
    assert violation.sessions == (0,)


def test_every_rule_has_a_case() -> None:
    assert {rule for case in CASES.values() for rule in case.rules.split()} == {*Rule}


HEALTHY = {
    "a staircase": staircase(),
    "a session for each of two engines": recording(
        [request(0, 0, 1), request(1, 2, 3)],
        [session(n, born_in=n // 2, engines=[n % 2]) for n in range(4)],
    ),
    "two engines in one session": recording(alone(0), [session(0, engines=[0, 1])]),
    "by hand where no handle goes": recording(
        [request(0, 0), request(1, 1)], [session(n, maker=Maker.HAND) for n in (0, 1)]
    ),
    "a nested request with a session of its own": recording(
        [request(0, 0), request(1, 1, **NESTED)], [session(0), session(1)]
    ),
    "a nested request that leaves the outer one's session open": recording(
        [request(0, 0), request(1, use(0, closed=False), **NESTED)], [session(0)]
    ),
    "closed after its request, whose context a test has preserved": recording(
        [request(0, 0), request(1, 1)], [session(0), session(1)]
    ),
    "closed early, and not missed": recording(
        alone(use(0, closed_early=OWN)), [session(0)]
    ),
    "closed early, and another one on another engine": recording(
        alone(use(0, closed_early=OWN), 1),
        [session(0), session(1, engines=[1], born_in=0)],
    ),
    "requests at the same time": recording(
        [request(n, n, started=n / 10, ended=1.0) for n in range(5)],
        [session(n) for n in range(5)],
    ),
    "a session of startup that nobody uses any more": recording(
        alone(), [session(0, born_in=None, at_startup=True)]
    ),
    "one made outside of requests that no request uses": recording(
        alone(), [session(0, born_in=None, kept=True)]
    ),
    "a connection that belongs to an open session left alone": recording(
        alone(use(0, closed=False), taken=1), [session(0, left_alone=True)]
    ),
    "a request without a session": recording(alone(), []),
    "nothing": Recording(),
}


@pytest.mark.parametrize("seen", HEALTHY.values(), ids=list(HEALTHY))
def test_all_rules_hold(seen: Recording) -> None:
    assert judge(seen).violations == ()


def left_alone(seen: Recording) -> Recording:
    sessions = [replace(one, left_alone=True) for one in seen.sessions]
    return replace(seen, sessions=sessions)


OF_A_SESSION = {
    name: case.broken
    for name, case in CASES.items()
    if any(one.sessions for one in judge(case.broken).violations)
}


@pytest.mark.parametrize("seen", OF_A_SESSION.values(), ids=list(OF_A_SESSION))
def test_nothing_is_held_against_a_session_that_is_left_alone(seen: Recording) -> None:
    assert judge(left_alone(seen)).violations == ()


def test_a_session_that_a_view_holds_is_not_a_second_one_too() -> None:
    """`handle` says it already, and the change is the same."""
    sessions = [
        session(0, maker=Maker.HAND, born_in=None, at_startup=True),
        session(1, born_in=0),
    ]
    assert broken(judge(recording(alone(0, 1), sessions, [view(session=0)]))) == (
        "handle fresh"
    )


def test_a_session_of_startup_that_is_used_is_told_once() -> None:
    sessions = [session(0, **STARTUP, closed=False)]
    rules = [one.rule for one in judge(recording(alone(0), sessions)).violations]
    assert rules == ["fresh", "released"]


def test_one_request_ends_when_the_next_one_starts() -> None:
    requests = [request(0, 0, ended=1.0), request(1, 0)]
    assert broken(judge(recording(requests, [session(0)]))) == "fresh"


def test_what_is_broken_without_any_trouble_is_not_a_matter_of_recovery() -> None:
    """The rule itself is reported, although a request that fails breaks it, too."""
    requests = [request(0, use(0, closed=False)), request(1, use(1, closed=False))]
    requests[1].exception = "ValueError: no"
    verdict = judge(recording(requests, [session(0), session(1)]))
    assert broken(verdict) == "released"


# ----------------------------------------------------------------------------- causes

UNIQUE = ["Admin → UserView", "Unique.db_session"]
EXPORT = {"streamed": True, "stream_exception": DETACHED}
SMALL = {"maker": Maker.SCOPED_SESSION, "born_in": 0}


def of_startup(
    kept_by: t.Sequence[str], maker: str = Maker.LITE, admin: str = "2.2.1"
) -> Recording:
    given = session(0, maker=maker, kept=True, kept_by=kept_by, **LEAK)
    return recording(alone(0), [given], admin=admin)


EARLY = CASES["a session is closed in the middle, and another one goes on"].broken
COMMITS = CASES["a commit when the view has answered"].broken
THREAD = CASES["a thread does not close its session"].broken
ROW = CASES["something refers to a row"].broken
OPEN = CASES["a session is not closed"].broken
MANY = CASES["the handle gives two sessions"].broken
STRAY = CASES["a session made by hand, on the engine of the handle"].broken
KEPT = CASES["something refers to a closed session"].broken


def deleting(**more: t.Any) -> Request:
    path = "/admin/user/action/"
    return replace(request(0, 0, **FAILS, **more), method="POST", path=path)


def scoped(**more: t.Any) -> Session:
    return session(0, maker=Maker.SCOPED_SESSION, **more)


# By its name: what shows a cause, and what looks like it but is another one, or none.
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
            recording(
                [request(n, 0, outer_context=True) for n in (0, 1)], [session(0)]
            ),
            # the stream is a later request
            recording(
                [
                    *(request(n, 0, outer_context=True) for n in (0, 1)),
                    request(2, ended_on="other"),
                ],
                [session(0)],
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
        recording([request(n, 0, outer_context=True) for n in (0, 1)], [session(0)]),
        [recording([request(n, 0) for n in (0, 1)], [session(0)])],
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
        of_startup(UNIQUE, admin="2.2.0"),
        [
            of_startup(UNIQUE, admin="2.2.1"),
            of_startup(UNIQUE, admin="2.0.2"),
            of_startup(UNIQUE, admin=""),
            of_startup(["Admin → UserView", "cache"], admin="2.2.0"),
            of_startup(UNIQUE, Maker.FLASK_SQLALCHEMY, admin="2.2.0"),
        ],
    ),
    "`db.session.remove()` or `close()` in the middle of a request": (
        EARLY,
        [
            MANY,
            recording(
                alone(use(0, closed_early=OWN)),
                [session(0)],
                late_commits=[LateCommit(0, 0, OWN)],
            ),
        ],
    ),
    "Flask 3.1.2 and newer: a streamed export outlives its session": (
        recording(alone(0, **EXPORT), [session(0)], flask="3.1.2"),
        [
            recording(alone(0, **EXPORT), [session(0)], flask="3.1.1"),
            recording(alone(0, stream_exception=DETACHED), [session(0)], flask="3.1.2"),
            recording(
                alone(use(0, closed=False), streamed=True), [session(0)], flask="3.1.2"
            ),
            # it breaks off, but this is about something else
            recording(
                alone(0, 1, streamed=True, stream_exception="OSError: gone"),
                [session(0), session(1, **HAND)],
                flask="3.1.2",
            ),
        ],
    ),
    "Flask-Admin: a mass delete is not rolled back when its commit fails": (
        recording([deleting(left_in_transaction=True)], [session(0)]),
        [
            recording([deleting(left_in_transaction=True)], [session(0)], admin="9.0"),
            recording(alone(0, left_in_transaction=True), [session(0)]),
        ],
    ),
    "a teardown that commits": (COMMITS, [OPEN]),
    "a session used by a background thread": (THREAD, [OPEN]),
    "a scope that is smaller than a request": (
        recording(alone(0, 1), [session(n, **SMALL) for n in (0, 1)]),
        [
            MANY,
            shared(Maker.SCOPED_SESSION),
            # one of the two is older
            recording(alone(0, 1), [scoped(born_in=None), session(1, **SMALL)]),
            # one of the two is not of its making
            recording(alone(0, 1), [session(0), session(1, **SMALL)]),
            # both are, but this is about something else
            recording(
                alone(0, 1),
                [scoped(), session(1, **SMALL, engines=[1])],
                late_commits=[LateCommit(0, 0, OWN)],
            ),
        ],
    ),
    "a `scoped_session` that is never removed": (
        shared(Maker.SCOPED_SESSION),
        [
            shared(Maker.FLASK_SQLALCHEMY),
            recording(alone(use(0, used_after_close=OWN)), [scoped()]),
            recording(alone(0), [scoped(kept=True, kept_by=NAME)]),
        ],
    ),
    "a handle that leaves its session open": (
        recording(alone(Use(0, LIBRARY)), [session(0, **HAND, closed=False)]),
        [
            recording(alone(Use(0, OWN)), [session(0, **HAND, closed=False)]),
            recording(alone(Use(0, LIBRARY)), [session(0, closed=False)]),
            STRAY,
        ],
    ),
    "a failed statement that is not rolled back": (
        recording(alone(0, exception=PENDING, status=500), [session(0)]),
        [CASES["a session that another request broke"].broken],
    ),
    "Flask-Admin itself": (
        recording(
            alone(closed_by(LIBRARY)),
            [session(0)],
            unsolicited=[
                Unsolicited(Deed.COMMIT, 0, LIBRARY),
                Unsolicited(Deed.PAST_THE_SESSION, 0, LIBRARY),
            ],
        ),
        [recording(alone(closed_by(OWN)), [session(0)])],
    ),
    "a session made by hand": (STRAY, [MANY, shared(Maker.HAND, NAME)]),
    "a session kept beyond its request": (KEPT, [OPEN, COMMITS]),
    "rows kept beyond their request": (ROW, [OPEN, KEPT]),
}


def causes(seen: Recording) -> set[str]:
    return {one.cause.name if one.cause else "" for one in judge(seen).violations}


def test_every_known_cause_has_a_case() -> None:
    assert [cause.name for cause in CAUSES] == list(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_cause_is_recognised(name: str) -> None:
    assert causes(KNOWN[name][0]) == {name}


@pytest.mark.parametrize(
    ("name", "seen"),
    [(name, seen) for name, (_, others) in KNOWN.items() for seen in others],
)
def test_a_cause_is_not_blamed_for_another_thing(name: str, seen: Recording) -> None:
    found = causes(seen)
    assert found
    assert name not in found


ALSO_KNOWN = {
    "the validator that first used it": (
        "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from "
        "startup",
        recording(
            alone(Use(0, VALIDATORS, closed=True)),
            [session(0, maker=Maker.LITE, **LEAK)],
            admin="2.1.0",
        ),
    ),
    "a stream that opens its session anew": (
        "Flask 3.1.2 and newer: a streamed export outlives its session",
        recording(
            alone(use(0, used_after_close=LIBRARY, closed=False), streamed=True),
            [session(0, closed=False)],
            flask="3.1.3",
        ),
    ),
    "the stream itself": (
        "a stream that was ended on another thread than it began on",
        recording(
            alone(use(0, closed=False), ended_on="other"), [session(0, closed=False)]
        ),
    ),
    "a lost connection, and the way from the app to the registry": (
        "a lost connection leaves its session in the registry",
        recording(
            alone(0),
            [session(0, kept=True, kept_by=["app", REGISTRY], close_error="gone")],
        ),
    ),
    "a session that serves another request, though nothing is seen to keep it": (
        "a session kept beyond its request",
        recording([request(0, 0), request(1, 0)], [session(0)]),
    ),
    "a session that could not be closed before, and was closed after all": (
        "a lost connection leaves its session in the registry",
        recording(
            [
                request(0, 0, injected=ROLLED_BACK),
                request(1, use(0, close_error="gone"), status=500),
            ],
            [session(0)],
        ),
    ),
    "a scoped_session that its registry keeps": (
        "a `scoped_session` that is never removed",
        recording(
            alone(0),
            [
                session(
                    0, maker=Maker.SCOPED_SESSION, kept=True, kept_by=["app", REGISTRY]
                )
            ],
        ),
    ),
    "a scoped_session that somebody else keeps": (
        "a session kept beyond its request",
        recording(
            alone(0),
            [
                session(
                    0,
                    maker=Maker.SCOPED_SESSION,
                    kept=True,
                    kept_by=["module shop", "s"],
                )
            ],
        ),
    ),
    "one made by hand that the app keeps": (
        "a session kept beyond its request",
        recording(
            [request(0, 0), request(1, 0)],
            [session(0, **HAND, kept=True, kept_by=["module shop", "session"])],
        ),
    ),
}


@pytest.mark.parametrize("name", ALSO_KNOWN)
def test_a_cause_is_recognised_by_other_signs_too(name: str) -> None:
    cause, seen = ALSO_KNOWN[name]
    assert causes(seen) == {cause}


@pytest.mark.parametrize("cause", CAUSES, ids=str)
def test_a_cause_says_what_to_change(cause: t.Any) -> None:
    assert cause.fix.strip()
    assert cause.sentence.endswith(".")


# --------------------------------------------------------------------------- findings


def two_views(first: Recording, second: Recording) -> Recording:
    """What was seen in one view, and then in another one."""
    requests, sessions = len(first.requests), len(first.sessions)
    more = [
        replace(
            one,
            number=one.number + requests,
            view=1,
            started=one.started + requests,
            ended=one.ended + requests,
            uses=[replace(use, session=use.session + sessions) for use in one.uses],
        )
        for one in second.requests
    ]
    further = [
        replace(
            one,
            number=one.number + sessions,
            born_in=(one.born_in or 0) + requests,
        )
        for one in second.sessions
    ]
    late = [
        LateCommit(one.request + requests, one.session + sessions, one.place)
        for one in second.late_commits
    ]
    return replace(
        first,
        views=[view(), view()],
        requests=[*first.requests, *more],
        sessions=[*first.sessions, *further],
        late_commits=[*first.late_commits, *late],
    )


def test_what_one_cause_breaks_in_one_view_is_one_finding() -> None:
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
def test_what_a_cause_beneath_the_views_breaks_is_one_finding(name: str) -> None:
    seen, _ = KNOWN[name]
    assert [one.views for one in judge(two_views(seen, seen)).findings] == [[0, 1]]


@pytest.mark.parametrize("name", IN_A_VIEW)
def test_what_a_cause_breaks_in_two_views_is_two_findings(name: str) -> None:
    seen, _ = KNOWN[name]
    assert [one.views for one in judge(two_views(seen, seen)).findings] == [[0], [1]]


def test_what_one_cause_breaks_beneath_two_views_is_one_finding() -> None:
    verdict = judge(
        two_views(shared(Maker.SCOPED_SESSION), shared(Maker.SCOPED_SESSION))
    )
    assert [(one.views, one.rules) for one in verdict.findings] == [
        ([0, 1], ["fresh", "released"])
    ]


def test_two_causes_in_one_view_are_two_findings() -> None:
    seen = recording(
        [request(0, 0), request(1, 1, 2)],
        [session(0), session(1), session(2, maker=Maker.HAND, born_in=1)],
        late_commits=[LateCommit(0, 0, OWN)],
    )
    assert len(judge(seen).findings) == 2


def test_what_has_no_known_cause_is_grouped_by_what_it_is() -> None:
    uses = use(0, closed=False), use(1, closed=False)
    seen = recording(alone(*uses), [session(0), session(1, born_in=0)])
    assert [one.rules for one in judge(seen).findings] == [["single"], ["released"]]


WORST_FIRST = {
    "that breaks more rules": (shared(Maker.SCOPED_SESSION), [1, 0]),
    "that breaks as many, in more requests": (
        recording(
            [request(n, 2 * n, 2 * n + 1) for n in range(2)],
            [session(n, **({} if n % 2 == 0 else HAND)) for n in range(4)],
        ),
        [1, 0],
    ),
    "that came first, of two alike": (STRAY, [0, 1]),
}


@pytest.mark.parametrize("name", WORST_FIRST)
def test_the_first_finding_is_the_one(name: str) -> None:
    second, order = WORST_FIRST[name]
    first = STRAY
    found = judge(two_views(first, second)).findings
    assert [one.views[0] for one in found] == order


def test_what_happens_again_is_told_once_with_all_its_requests() -> None:
    requests = [
        request(n, n, operation=name)
        for n, name in enumerate(("list", "details", "list"))
    ]
    sessions = [session(n) for n in range(3)]
    late = [LateCommit(n, n, OWN) for n in range(3)]
    [one] = judge(recording(requests, sessions, late_commits=late)).violations
    assert one.operations == ("list", "details")
    assert (one.requests, one.sessions) == ((0, 1, 2), (0, 1, 2))


def test_sessions_from_two_lines_are_told_apart() -> None:
    sessions = [session(0), *(session(n, **HAND, own=own) for n, own in LINES)]
    verdict = judge(recording(alone(0, 1, 2), sessions))
    assert [one.made for one in verdict.violations] == [OWN, OTHER]


LINES = ((1, OWN), (2, OTHER))


# ----------------------------------------------------------------- what it points at

PLACES: dict[str, tuple[Recording, str]] = {
    "where the session was made": (
        recording(alone(use(0, closed=False)), [session(0, own=OWN, place=LIBRARY)]),
        f"made {OWN}",
    ),
    "where it was made, by a library": (
        recording(alone(use(0, closed=False)), [session(0, place=LIBRARY)]),
        f"made {LIBRARY}",
    ),
    "where it was first used": (
        recording(alone(use(0, closed=False)), [session(0)]),
        f"place {LIBRARY}",
    ),
    "the line of the app that uses it": (
        recording(alone(use(0, closed=False, own=OTHER)), [session(0)]),
        f"own {OTHER}",
    ),
    "where a session of startup was made": (
        recording(alone(0), [session(0, **LEAK, own=OWN, place=LIBRARY)]),
        f"what session 0 is older than the request: made at {OWN}",
    ),
    "where a session of startup was made, by a library": (
        recording(alone(0), [session(0, **LEAK, place=LIBRARY)]),
        f"what session 0 is older than the request: made at {LIBRARY}",
    ),
    "where a session was made that is given to a view": (
        recording([], [session(0, own=OWN)], [view(session=0, place=OTHER)]),
        f"own {OWN}",
    ),
    "the class of a view that is given a session": (
        recording([], [session(0)], [view(session=0, place=OTHER)]),
        f"own {OTHER}",
    ),
    "where it was closed too early": (
        recording(
            alone(use(0, own=OTHER, used_after_close=LIBRARY, closed_early=OWN)),
            [session(0)],
        ),
        f"own {OWN}",
    ),
    "where it is used after the answer": (
        recording(alone(use(0, own=OTHER, used_after_close=LIBRARY)), [session(0)]),
        f"own {OTHER}",
    ),
    "the view that ran while a thread worked": (
        recording(
            alone(view=1),
            [session(0, closed=False, outside=[Outside(OWN, OWN, "worker", 0)])],
            [view(), view()],
        ),
        "view 1",
    ),
    "the view in which Flask-Admin makes a session": (
        recording(
            alone(0, view=1),
            [session(0), session(1, **BY_ADMIN, born_in=0)],
            [view(), view()],
        ),
        "view 1",
    ),
    "where a thread first used a session": (
        recording(
            alone(),
            [
                session(
                    0,
                    closed=False,
                    outside=[Outside(one, one, "worker") for one in (OWN, OTHER)],
                )
            ],
        ),
        f"own {OWN}",
    ),
    "no view, when none or several ran": (
        recording(
            alone(), [session(0, closed=False, outside=[Outside(OWN, OWN, "worker")])]
        ),
        f"view {None}",
    ),
}


@pytest.mark.parametrize(("seen", "says"), PLACES.values(), ids=list(PLACES))
def test_a_violation_points_at(seen: Recording, says: str) -> None:
    field, _, value = says.partition(" ")
    [one] = judge(seen).violations
    assert str(getattr(one, field)) == value


def test_sessions_from_two_lines_of_a_library_are_told_apart() -> None:
    places = LIBRARY, VALIDATORS
    requests = [request(n, use(n, closed=False)) for n in (0, 1)]
    sessions = [session(n, place=places[n]) for n in (0, 1)]
    found = [one.made for one in judge(recording(requests, sessions)).violations]
    assert found == [LIBRARY, VALIDATORS]


def test_connections_from_two_lines_are_told_apart() -> None:
    requests = [request(n, taken=1) for n in (0, 1)]
    unreturned = [Unreturned(0, OWN), Unreturned(1, OTHER)]
    verdict = judge(recording(requests, [], unreturned=unreturned))
    found = [one.own for one in verdict.violations]
    assert found == [OWN, OTHER]


def test_a_violation_without_an_operation_is_told_by_its_request() -> None:
    late = [LateCommit(0, 0, OWN)]
    seen = recording(alone(0, operation=None), [session(0)], late_commits=late)
    [one] = judge(seen).violations
    assert one.operations == ("GET /admin/user/",)


# ---------------------------------------------------------------------------- verdict

CELLS = {
    "seen": (staircase(), "single", "holds"),
    "seen, and broken": (shared(Maker.LITE), "fresh", "broken"),
    "another rule is broken": (shared(Maker.LITE), "single", "holds"),
    "no request": (recording([], []), "single", "not reached"),
    "sent to a login": (recording(alone(status=302), []), "single", "not reached"),
    "failed": (recording(alone(**CRASH), []), "single", "not reached"),
    "forbidden": (recording(alone(status=403), []), "handle", "not reached"),
    "a form was saved": (
        recording([replace(request(0, 0, status=302), method="POST")], [session(0)]),
        "single",
        "holds",
    ),
    "a form was refused": (
        recording([replace(request(0, status=400), method="POST")], []),
        "single",
        "not reached",
    ),
    "a form without an answer": (
        recording([replace(request(0, status=0), method="POST")], []),
        "single",
        "not reached",
    ),
    "broken, though never seen": (
        replace(held(Maker.HAND), requests=[]),
        "handle",
        "broken",
    ),
    "a page that uses no session": (recording(alone(), []), "single", "not tried"),
    "at the same time, and a later request uses the session again": (
        recording(
            [request(0, 0), request(1, 1, **AT_ONCE), request(2, 1)],
            [session(0), session(1)],
        ),
        "isolated",
        "not tried",
    ),
    "one after another": (staircase(), "isolated", "not tried"),
    "at the same time": (
        HEALTHY["requests at the same time"],
        "isolated",
        "holds",
    ),
    "one inside the other": (
        HEALTHY["a nested request with a session of its own"],
        "isolated",
        "not tried",
    ),
    "nothing went wrong": (staircase(), "recovers", "not tried"),
    "something went wrong": (
        recording([request(0, 0), request(1, **CRASH)], [session(0)]),
        "recovers",
        "holds",
    ),
}


@pytest.mark.parametrize(("seen", "rule", "cell"), CELLS.values(), ids=list(CELLS))
def test_a_cell_says_what_is_known(seen: Recording, rule: str, cell: str) -> None:
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
        str(one) for one in verdict.violations if one.rule == Rule.FRESH
    )


def test_a_cell_that_is_saved_is_whole() -> None:
    cell = judge(shared(Maker.LITE)).cell(Rule.FRESH, 0)
    assert Cell.from_json(json.loads(json.dumps(asdict(cell)))) == cell


def test_requests_at_the_same_time_in_two_views_try_neither() -> None:
    seen = recording(
        [request(0, 0), request(1, 1, **AT_ONCE)], [session(0), session(1)]
    )
    seen.requests[1].view = 1
    seen.views.append(view())
    assert judge(seen).cell(Rule.ISOLATED, 1).state == "not tried"


FAILURES = {
    "an exception": ({"exception": "ValueError: no"}, True),
    "an answer that broke off": ({"stream_exception": "OSError: gone"}, True),
    "no effect": ({"unexpected": "the row is not there"}, True),
    "nothing": ({}, False),
    "a step that was made to fail": ({"exception": "no", "injected": STRUCK}, False),
    "a write that was stopped": (
        {"exception": "no", "stopped": [Stopped("DELETE")]},
        False,
    ),
    "what a rule tells": ({"stream_exception": DETACHED}, False),
}


@pytest.mark.parametrize(("more", "told"), FAILURES.values(), ids=list(FAILURES))
def test_a_failure_is_what_no_rule_tells(more: dict[str, t.Any], told: bool) -> None:
    seen = recording(alone(**more), [])
    assert judge(seen).failures == (seen.requests if told else [])


WRITES = recording(alone(0, stopped=[Stopped("DELETE", OWN, OWN)]), [session(0)])
OUTCOMES = {
    "every view holds": (staircase(), Outcome.HOLDS),
    "a rule is broken": (shared(Maker.LITE), Outcome.BROKEN),
    "a broken rule counts more than what was not seen": (
        replace(held(Maker.HAND), requests=[]),
        Outcome.BROKEN,
    ),
    "no request": (recording([], []), Outcome.NOTHING_SEEN),
    "a login": (recording(alone(status=302), []), Outcome.NOTHING_SEEN),
    "a failure": (recording(alone(0, **CRASH), [session(0)]), Outcome.NOTHING_SEEN),
    "a page that uses no session": (recording(alone(), []), Outcome.NOTHING_SEEN),
    "a page that tries to write": (WRITES, Outcome.WRITES),
}


@pytest.mark.parametrize(("seen", "outcome"), OUTCOMES.values(), ids=list(OUTCOMES))
def test_the_outcome_of_a_verdict(seen: Recording, outcome: Outcome) -> None:
    verdict = judge(seen)
    assert verdict.outcome == outcome
    assert verdict.holds == (outcome == Outcome.HOLDS)


def test_a_verdict_that_holds_raises_nothing() -> None:
    judge(staircase()).raise_for_violations()


def test_a_broken_rule_raises_with_its_line_and_its_fix() -> None:
    seen = recording(alone(0, 1), [session(0), session(1, **HAND, own=OWN)])
    with pytest.raises(RulesBroken) as caught:
        judge(seen).raise_for_violations()
    said = str(caught.value)
    assert said.startswith(
        "1 of 7 rules is broken: single\nUserView: A session made by hand\n"
    )
    assert "\n  single: session 1 is not the session that the handle gives (" in said
    assert "self.session.query(User)" in said


def test_a_broken_rule_without_a_known_cause_raises_without_a_fix() -> None:
    with pytest.raises(RulesBroken) as caught:
        judge(OPEN).raise_for_violations()
    assert str(caught.value).splitlines()[1:] == [
        "UserView: Session 0 is not closed",
        f"  released: session 0 is not closed ({LIBRARY})",
    ]


def test_a_broken_rule_outside_of_the_admin_says_so() -> None:
    seen = replace(OPEN, requests=[replace(OPEN.requests[0], view=None)])
    with pytest.raises(RulesBroken, match="\noutside of the admin: Session 0"):
        judge(seen).raise_for_violations()


def test_a_page_that_tries_to_write_raises_with_its_line() -> None:
    with pytest.raises(RulesBroken, match=r"DELETE \(shop/admin\.py:17 in create_app"):
        judge(WRITES).raise_for_violations()


def test_a_verdict_on_nothing_raises_too() -> None:
    with pytest.raises(CannotTell, match="nothing was seen"):
        judge(Recording()).raise_for_violations()


SENTENCES = {
    "sessions are request-scoped": staircase(),
    "sessions are request-scoped, in 1 of 2 views": replace(
        staircase(), views=[view(), view()]
    ),
    "sessions are request-scoped, but 1 request did not work": recording(
        [request(0, 0), request(1, **CRASH)], [session(0)]
    ),
    "sessions are request-scoped, but opening a page tries to write": WRITES,
    "2 of 7 rules are broken: handle, fresh": recording(
        alone(0), [session(0, **LEAK)], [view(replaced=True)]
    ),
    "1 of 7 rules is broken, in 1 of 2 views: handle": recording(
        alone(), [], [view(replaced=True), view()]
    ),
    "nothing was seen: no view that uses a session has answered": Recording(),
}


@pytest.mark.parametrize(("sentence", "seen"), SENTENCES.items(), ids=list(SENTENCES))
def test_a_verdict_in_a_sentence(sentence: str, seen: Recording) -> None:
    assert judge(seen).sentence == sentence


def test_seen_are_the_views_that_answered() -> None:
    seen = [request(0), request(1, view=1, status=302), request(2, view=None)]
    assert judge(recording(seen, [], [view(), view()])).seen == {0, None}


PROVEN = {
    "a view has used a session": (staircase(), True),
    "a view has used none": (recording(alone(), []), False),
    "a view has failed": (recording(alone(0, **CRASH), [session(0)]), False),
    "somebody else has used a session": (
        recording(alone(0, view=None), [session(0)]),
        False,
    ),
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
    "all that a request can tell": recording(
        alone(
            use(0, own=OWN, used_after_close=OTHER),
            stopped=[Stopped("DELETE", OWN, OTHER)],
        ),
        [session(0, place=LIBRARY, own=OWN)],
    ),
}


@pytest.mark.parametrize("seen", SAVED.values(), ids=list(SAVED))
def test_a_saved_recording_gives_the_same_verdict(
    seen: Recording, tmp_path: Path
) -> None:
    seen.save(tmp_path / "seen.json")
    assert (
        judge(Recording.load(tmp_path / "seen.json")).violations
        == judge(seen).violations
    )


@pytest.mark.parametrize("seen", SAVED.values(), ids=list(SAVED))
def test_a_saved_recording_is_whole(seen: Recording, tmp_path: Path) -> None:
    seen.save(tmp_path / "seen.json")
    loaded = Recording.load(tmp_path / "seen.json")
    assert json.dumps(loaded.to_json()) == json.dumps(seen.to_json())


def test_a_saved_verdict_is_a_saved_recording(tmp_path: Path) -> None:
    verdict = judge(shared(Maker.SCOPED_SESSION))
    (tmp_path / "seen.json").write_text(json.dumps(verdict.to_json()))
    assert (
        judge(Recording.load(tmp_path / "seen.json")).violations == verdict.violations
    )


WHOLE = staircase().to_json()
DANCE = {"kind": "dance", "subject": "", "variant": ""}
UNKNOWN = {"view": 0, "operation": DANCE, "why": ""}
NO_RECORDINGS = {
    "not JSON": ("no", "is not JSON: Expecting value"),
    "not a text": (b"\xff\xfe", "is not JSON: 'utf-8' codec can't decode"),
    "nothing": ("", "is not JSON: Expecting value"),
    "a list": ("[]", "has no recording in it"),
    "of something else": ('{"views": []}', "has no recording in it"),
    "no recording": ('{"recording": 1}', ": not a recording"),
    "no format": ('{"recording": {}}', ": not a recording"),
    "another format": (
        json.dumps({"recording": {**WHOLE, "format": FORMAT + 1}}),
        f": the recording has format {FORMAT + 1}, not {FORMAT}: record it again",
    ),
    "a missing key": (
        json.dumps({"recording": {"format": FORMAT}}),
        ": not a whole recording: no 'app'",
    ),
    "a missing key further in": (
        json.dumps({"recording": {**WHOLE, "requests": [{"number": 0}]}}),
        ": not a whole recording: no 'method'",
    ),
    "another type": (
        json.dumps({"recording": {**WHOLE, "requests": 1}}),
        ": not a whole recording: 'int' object is not iterable",
    ),
    "an unknown word": (
        json.dumps({"recording": {**WHOLE, "unseen": [UNKNOWN]}}),
        ": not a whole recording: 'dance' is not a valid OperationKind",
    ),
}


@pytest.mark.parametrize(
    ("text", "says"), NO_RECORDINGS.values(), ids=list(NO_RECORDINGS)
)
def test_what_is_no_recording_is_told_in_a_line(
    text: str | bytes, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NotARecording) as caught:
        Recording.load(path)
    assert str(caught.value).startswith(
        f"{path}{says if says[0] == ':' else f' {says}'}"
    )
    assert "\n" not in str(caught.value)


def test_a_recording_that_is_not_there_is_an_error_of_the_system(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "seen.json")
