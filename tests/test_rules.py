"""The rules, judged from recordings that are written by hand.

A case of a rule is a pair: a recording that breaks it, and the same with a thing fixed.
"""

import typing as t
from dataclasses import replace

import pytest

from session_scoping.recording import Deed
from session_scoping.recording import Maker
from session_scoping.recording import Recording
from session_scoping.recording import REFUSED
from session_scoping.recording import Unsolicited
from session_scoping.rules.cells import State
from session_scoping.rules.defects import of_import
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.recordings import alone
from tests.recordings import broken_rules
from tests.recordings import BY_ADMIN
from tests.recordings import DETACHED
from tests.recordings import FAULT
from tests.recordings import HAND
from tests.recordings import LIBRARY
from tests.recordings import OLDER
from tests.recordings import OWN
from tests.recordings import PENDING
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import session
from tests.recordings import STARTUP
from tests.recordings import use
from tests.recordings import VALIDATORS
from tests.recordings import view
from tests.violations import Case
from tests.violations import CASES
from tests.violations import HEALTHY


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


def test_a_row_of_no_session_after_an_injected_fault_breaks_recovers() -> None:
    early = use(0, closed_early=OWN)
    seen = alone(early, exception=DETACHED, status=500, injected=FAULT)
    assert broken_rules(seen) == "recovers"


def test_an_older_session_is_reported_although_a_write_was_refused() -> None:
    error = f"OperationalError: {REFUSED}"
    seen = alone(0, exception=error, status=500, sessions=[session(0, **OLDER)])
    assert broken_rules(seen) == "fresh"


def test_commits_at_two_lines_are_two_violations() -> None:
    commits = [Unsolicited(Deed.COMMIT, 0, at) for at in (LIBRARY, VALIDATORS)]
    assert len(judge(alone(0, unsolicited=commits)).violations) == 2


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


def test_a_session_that_ends_with_its_context_is_not_closed_early() -> None:
    sessions = [session(n, born_in=0, context=OWN if n else None) for n in (0, 1, 2)]
    seen = alone(0, use(1, closed_early=OWN), 2, sessions=sessions)
    assert broken_rules(seen) == "single"


def test_a_session_that_a_view_holds_breaks_handle_but_not_single() -> None:
    sessions = [
        session(0, maker=Maker.HAND, born_in=None, at_startup=True),
        session(1, born_in=0),
    ]
    seen = alone(0, 1, sessions=sessions, views=[view(session=0)])
    assert broken_rules(seen) == "handle fresh"


def test_a_session_that_a_view_holds_is_not_what_its_handle_gives() -> None:
    sessions = [session(n, **OLDER) for n in (0, 1)]
    seen = alone(0, 1, sessions=sessions, views=[view(session=0)])
    assert broken_rules(seen) == "handle fresh"


def test_a_session_made_by_flask_admin_is_reported_once() -> None:
    seen = alone(0, 1, sessions=[session(0), session(1, **BY_ADMIN, born_in=0)])
    assert [violation.rule for violation in judge(seen).violations] == [Rule.SINGLE]


def test_a_kept_session_made_by_hand_is_in_no_registry() -> None:
    given = session(0, **HAND, kept=True)
    assert (
        broken_rules(alone(use(0, close_error="gone"), sessions=[given])) == "released"
    )


def test_a_used_session_of_startup_breaks_fresh_only_once() -> None:
    seen = alone(0, sessions=[session(0, **STARTUP, closed=False)])
    rules = [violation.rule for violation in judge(seen).violations]
    assert rules == ["fresh", "released"]


@pytest.mark.parametrize("keeper", [0, None])
def test_the_row_of_what_keeps_a_session_of_startup_is_broken(
    keeper: int | None,
) -> None:
    given = session(0, **STARTUP, kept_by=["the app", "cache"], keeper=keeper)
    verdict = judge(alone(sessions=[given]))
    assert keeper in verdict.rows
    assert verdict.cell(Rule.FRESH, keeper).state == State.BROKEN


def test_a_request_that_ends_when_the_next_starts_does_not_overlap_it() -> None:
    requests = [request(0, 0, ended=1.0), request(1, 0)]
    assert broken_rules(recording(requests)) == "fresh"


def test_a_rule_broken_in_any_request_that_works_is_not_recovers() -> None:
    requests = [request(0, use(0, closed=False)), request(1, use(1, closed=False))]
    requests[1].exception = "ValueError: no"
    assert broken_rules(recording(requests)) == "released"
