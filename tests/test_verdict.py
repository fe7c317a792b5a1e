"""The verdict on a recording: its table, its outcome, and its notes."""

import json
import typing as t
from dataclasses import asdict
from dataclasses import replace

import pytest

from session_scoping.errors import CannotTell
from session_scoping.errors import RulesBroken
from session_scoping.recording import Maker
from session_scoping.recording import Operation
from session_scoping.recording import OperationKind
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import StartupQuery
from session_scoping.recording import View
from session_scoping.recording import Write
from session_scoping.rules.cells import Cell
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Outcome
from tests.recordings import alone
from tests.recordings import broken_rules
from tests.recordings import DETACHED
from tests.recordings import ERROR
from tests.recordings import FAULT
from tests.recordings import HAND
from tests.recordings import held
from tests.recordings import LIBRARY
from tests.recordings import of_form
from tests.recordings import OLDER
from tests.recordings import OTHER
from tests.recordings import OVERLAPPING
from tests.recordings import OVERTAKING
from tests.recordings import OWN
from tests.recordings import PENDING
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import session
from tests.recordings import shared
from tests.recordings import staircase
from tests.recordings import two_views
from tests.recordings import use
from tests.recordings import view
from tests.violations import HEALTHY
from tests.violations import OPEN
from tests.violations import ROW

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
    "an exception that breaks a rule": ({"stream_exception": DETACHED}, False),
}


@pytest.mark.parametrize(("more", "failed"), FAILURES.values(), ids=list(FAILURES))
def test_a_failure_is_an_error_that_breaks_no_rule(
    more: dict[str, t.Any], failed: bool
) -> None:
    seen = alone(**more, sessions=[])
    assert judge(seen).failures == (seen.requests if failed else [])


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_request_that_ctrl_c_has_dropped_breaks_no_rule(interrupted: bool) -> None:
    seen = alone(0, left_in_transaction=True, interrupted=interrupted)
    assert bool(judge(seen).violations) != interrupted


LOOK_UP = Operation(OperationKind.LOOK_UP, "author")
NO_LIST = recording([request(0, 0, **ERROR), request(1, 1, operation=LOOK_UP)])
LIST_AND_LOOK_UP = recording([request(0), request(1, 1, operation=LOOK_UP)])
OTHER_PAGE = recording(
    [request(0, 0, **ERROR), request(1, 1, view=1, operation=None)],
    views=[view(), view()],
)

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
    "a page that writes": (alone(0, writes=[Write("DELETE", 0)]), Outcome.HOLDS),
    "no list, but a look-up": (NO_LIST, Outcome.NOTHING_SEEN),
    "a list, and a look-up": (LIST_AND_LOOK_UP, Outcome.HOLDS),
    "no list, but a page of another view": (OTHER_PAGE, Outcome.NOTHING_SEEN),
    "no row": (of_form(staircase(), False), Outcome.NOTHING_WRITTEN),
    "a row": (of_form(staircase(), True), Outcome.HOLDS),
    "a row in one of two views": (of_form(staircase(), False, True), Outcome.HOLDS),
    "no view that takes a row": (of_form(staircase(), None), Outcome.HOLDS),
    "no row, and a broken rule": (
        of_form(shared(Maker.LITE), False),
        Outcome.BROKEN,
    ),
}


@pytest.mark.parametrize(("seen", "outcome"), OUTCOMES.values(), ids=list(OUTCOMES))
def test_the_outcome_of_a_verdict(seen: Recording, outcome: Outcome) -> None:
    verdict = judge(seen)
    assert verdict.outcome == outcome
    assert verdict.holds == (outcome == Outcome.HOLDS)


def test_each_outcome_has_an_exit_status() -> None:
    statuses = {outcome.value: outcome.status for outcome in Outcome}
    assert statuses == {
        "holds": 0,
        "broken": 1,
        "nothing seen": 2,
        "nothing written": 2,
    }


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
    assert "db.session.query(User)" in message


def test_a_broken_rule_without_a_known_cause_raises_without_a_fix() -> None:
    with pytest.raises(RulesBroken) as caught:
        judge(OPEN).raise_for_violations()
    assert str(caught.value).splitlines()[1:] == [
        "UserView: Session 0 is not closed",
        "  released: session 0 is not closed",
        f"  used at:   {LIBRARY}",
        "  more: session-scoping explain released",
    ]


def test_a_broken_rule_outside_of_the_admin_raises_without_a_view() -> None:
    seen = replace(OPEN, requests=[replace(OPEN.requests[0], view=None)])
    with pytest.raises(RulesBroken, match="\nthe rest of the app: Session 0"):
        judge(seen).raise_for_violations()


@pytest.mark.parametrize(
    ("known", "line"),
    [
        (
            view(name="OrderView", model="Order"),
            "add_view(OrderView(Order, db_session))",
        ),
        (
            view(name="ModelView", model="Order"),
            "add_view(OrderView(Order, db_session))",
        ),
        (view(name="IndexView", model=""), "add_view(UserView(User, db_session))"),
    ],
)
def test_a_change_names_the_view_and_its_model(known: View, line: str) -> None:
    verdict = judge(replace(held(Maker.HAND), views=[replace(known, session=0)]))
    assert line in verdict.fix(verdict.findings[0])


def test_a_change_that_uses_what_a_model_has_names_the_model_of_the_example() -> None:
    verdict = judge(replace(ROW, views=[view(name="OrderView", model="Order")]))
    assert "get(User, " in verdict.fix(verdict.findings[0])


def test_what_is_seen_alike_in_two_views_is_one_finding() -> None:
    """The cause is not known, and neither is the line."""
    failed = {"exception": PENDING}
    seen = recording(
        [request(0, 0), request(1, **failed), request(2, view=1, **failed)],
        views=[view(), view()],
    )
    [finding] = judge(seen).findings
    assert finding.views == [0, 1]
    assert finding.cause is None


def test_a_finding_without_a_cause_has_no_change() -> None:
    verdict = judge(OPEN)
    assert not verdict.fix(verdict.findings[0])


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Recording(), "nothing was seen"),
        (of_form(staircase(), False), "nothing was written"),
    ],
)
def test_a_verdict_on_nothing_raises(seen: Recording, why: str) -> None:
    with pytest.raises(CannotTell, match=why):
        judge(seen).raise_for_violations()


SENTENCES = {
    "sessions are request-scoped": staircase(),
    "sessions are request-scoped, in 1 of 2 views": replace(
        staircase(), views=[view(), view()]
    ),
    "sessions are request-scoped, but 1 request did not work": recording(
        [request(0, 0), request(1, **ERROR)]
    ),
    "2 of 7 rules are broken: handle, fresh": alone(
        0, sessions=[session(0, **OLDER)], views=[view(replaced=True)]
    ),
    "1 of 7 rules is broken, in 1 of 2 views: handle": alone(
        views=[view(replaced=True), view()]
    ),
    "nothing was seen: no view that uses a session has answered": Recording(),
    "nothing was seen: no list has answered": recording(
        [request(0, 0, **ERROR), request(1, 1, view=1, operation=LOOK_UP)],
        views=[view(), view()],
    ),
    "nothing was written: no view has created a row": of_form(staircase(), False),
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


UPDATE = Write("UPDATE user SET seen=?", 0, LIBRARY, OWN, committed=True)
REFUSAL = "OperationalError: refused while pages are read: a rollback would not undo it"
REFUSED_BEFORE = f"PendingRollbackError: Original exception was: {REFUSAL}"
WRITES = {
    "once": ([UPDATE], f"{OWN} writes while pages are read, once: {{}}: rolled back"),
    "often": (
        [replace(UPDATE, request=None)] * 2,
        f"{OWN} writes while pages are read, 2 times: {{}}: rolled back",
    ),
    "at no line that is known": (
        [replace(UPDATE, place=None, own=None)],
        "the app writes while pages are read, once: {}: rolled back",
    ),
    "committed only once": (
        [replace(UPDATE, committed=False), UPDATE],
        f"{OWN} writes while pages are read, 2 times: {{}}: rolled back",
    ),
    "never committed": (
        [replace(UPDATE, committed=False)],
        f"{OWN} writes while pages are read, once: {{}}: rolled back; the app itself "
        "does not commit it",
    ),
    "refused": (
        [replace(UPDATE, own=None, refused=True)],
        f"{LIBRARY} writes while pages are read, once: {{}}: refused, because a "
        "rollback would not undo it",
    ),
}


@pytest.mark.parametrize(("writes", "note"), WRITES.values(), ids=list(WRITES))
def test_a_write_is_noted_and_breaks_no_rule(writes: list[Write], note: str) -> None:
    seen = replace(alone(0, writes=writes), notes=["another"])
    verdict = judge(seen)
    assert verdict.notes == [note.format("`UPDATE user SET seen=?`"), "another"]
    assert verdict.holds


def test_a_query_that_only_the_start_sends_is_noted_and_breaks_no_rule() -> None:
    queries = [StartupQuery(OWN), StartupQuery(OTHER, repeated=True)]
    verdict = judge(replace(alone(0), startup_queries=queries))
    assert verdict.notes == [
        f"{OWN} queries the database while the app is built, and in no request: the "
        "answer is as old as the process"
    ]
    assert verdict.holds


def test_a_long_statement_is_noted_in_short() -> None:
    [note] = judge(alone(writes=[replace(UPDATE, sql="x" * 200)])).notes
    assert f"`{'x' * 100} …`" in note


HINDERED = {
    "a row that it has inserted is missing": (
        {"exception": "ObjectDeletedError: Instance has been deleted"},
        [UPDATE],
    ),
    "a query finds nothing": (
        {"exception": "AttributeError: 'NoneType' object has no attribute 'id'"},
        [UPDATE],
    ),
    "a stream misses a row": ({"stream_exception": "NoResultFound: no row"}, [UPDATE]),
    "a write is refused": (
        {"exception": "ValueError: cannot log"},
        [replace(UPDATE, refused=True, committed=False)],
    ),
    "an earlier write was refused": ({"exception": REFUSED_BEFORE}, []),
}

UNHINDERED = {
    "another error": ({"exception": "ValueError: no"}, [UPDATE]),
    "nothing was committed": (
        {"exception": "NoResultFound: no row"},
        [replace(UPDATE, committed=False)],
    ),
    "another request has committed": (
        {"exception": "NoResultFound: no row"},
        [replace(UPDATE, request=None)],
    ),
}


@pytest.mark.parametrize(("error", "writes"), HINDERED.values(), ids=list(HINDERED))
def test_a_request_fails_because_nothing_is_written(
    error: dict[str, str], writes: list[Write]
) -> None:
    verdict = judge(alone(0, **error, status=500, writes=writes))
    assert verdict.hindered == verdict.recording.requests
    assert not verdict.failures
    assert not verdict.violations
    assert verdict.cell(Rule.RECOVERS, 0).state == "not reached"


@pytest.mark.parametrize(("error", "writes"), UNHINDERED.values(), ids=list(UNHINDERED))
def test_a_request_fails_by_itself(error: dict[str, str], writes: list[Write]) -> None:
    verdict = judge(alone(0, **error, status=500, writes=writes))
    assert verdict.failures == verdict.recording.requests
    assert not verdict.hindered


BY_FAILURE = {
    "isolated": [request(0, 0), request(1, 1), request(2, 2, **OVERTAKING, **ERROR)],
    "recovers": [request(0), request(1), request(2, use(0, closed=False), **ERROR)],
    "alive": [request(0), request(1), request(2, 0, stream_exception=DETACHED)],
}


@pytest.mark.parametrize(("rule", "requests"), BY_FAILURE.items(), ids=list(BY_FAILURE))
def test_what_breaks_only_by_a_refusal_is_not_reported(
    rule: str, requests: list[Request]
) -> None:
    requests[2].unexpected = "changes no row" if rule == "isolated" else ""
    assert broken_rules(recording(requests)) == rule
    refused = Write("VACUUM", 2, OWN, OWN, refused=True)
    assert not broken_rules(recording(requests, writes=[refused]))
