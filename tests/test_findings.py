"""Findings: the violations of a cause, and the lines that they name."""

from copy import deepcopy
from dataclasses import replace

import pytest

from session_scoping.recording import KeptInstance
from session_scoping.recording import LateCommit
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Unreturned
from session_scoping.recording import View
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Labelled
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.recordings import alone
from tests.recordings import asked_twice
from tests.recordings import broken_rules
from tests.recordings import BY_ADMIN
from tests.recordings import HAND
from tests.recordings import held
from tests.recordings import IN_A_MODULE
from tests.recordings import LIBRARY
from tests.recordings import names_of_causes
from tests.recordings import OLDER
from tests.recordings import on_a_thread
from tests.recordings import OTHER
from tests.recordings import OWN
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import ROLLED_BACK
from tests.recordings import session
from tests.recordings import shared
from tests.recordings import two_views
from tests.recordings import use
from tests.recordings import VALIDATORS
from tests.recordings import view
from tests.sights import KNOWN
from tests.violations import MADE_BY_HAND

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


def test_what_a_library_keeps_is_one_finding() -> None:
    """No cause is known of it, and each request has a session of its own."""
    kept = {"kept": True, "kept_by": ["module versions (installed)", "sessions"]}
    requests = [request(n, n, view=n) for n in (0, 1)]
    sessions = [session(n, **kept) for n in (0, 1)]
    [finding] = judge(recording(requests, sessions)).findings
    assert finding.cause is None
    assert finding.views == [0, 1]


def test_a_finding_names_its_lines_of_code() -> None:
    """In a view, then beneath the views."""
    used = use(0, own=OWN, closed=False)
    kept = {"kept": True, "kept_by": IN_A_MODULE, "closed": False, "place": LIBRARY}
    [finding] = judge(
        recording([request(0, used), request(1, used)], [session(0, **kept)])
    ).findings
    made, kept_by = f"made at:   {LIBRARY}", f"kept by:   {' → '.join(IN_A_MODULE)}"
    assert [*map(str, finding.places)] == [made, f"your code: {OWN}", kept_by]
    kept["kept_by"] = ()
    given = session(0, maker=Maker.SCOPED_SESSION, **kept)
    used_twice = [request(0, used), request(1, use(0, closed=False))]
    [finding] = judge(recording(used_twice, [given])).findings
    assert [*map(str, finding.places)] == [made, f"used at:   {OWN}"]


def test_a_finding_about_a_row_names_what_keeps_it_and_not_its_session() -> None:
    kept = KeptInstance("User", 0, 0, ["module shop", "users"])
    [finding] = judge(alone(0, sessions=[session(0, own=OWN)], kept=[kept])).findings
    assert [*map(str, finding.places)] == ["kept by:   module shop → users"]


def test_a_finding_names_a_line_of_the_app_once() -> None:
    """It made the session, and is where the view is given it."""
    seen = held(Maker.HAND)
    seen.requests[0].uses = [use(0, closed=False)]
    [finding] = judge(seen).findings
    assert [violation.rule for violation in finding.violations][:2] == [
        Rule.HANDLE,
        Rule.FRESH,
    ]
    assert [*map(str, finding.places)] == [
        f"your code: {OWN}",
        f"used at:   {LIBRARY}",
    ]


def test_violations_of_a_cause_in_a_view_are_a_finding() -> None:
    [finding] = judge(shared(Maker.SCOPED_SESSION)).findings
    assert finding.rules == ["fresh", "released"]


def test_a_session_that_something_keeps_has_a_cause_of_its_own() -> None:
    """The view's handle makes sessions at each access, and the view keeps one."""
    kept = {"closed": True, "kept": True, "kept_by": ["UserView", "query"]}
    assert names_of_causes(asked_twice(use(1), **kept)) == {
        "a handle that makes a session each time it is asked",
        "a session kept beyond its request",
    }


def test_what_follows_of_a_lost_connection_is_no_violation_of_its_own() -> None:
    lost = session(0, kept=True, kept_by=[REGISTRY], close_error="gone")
    seen = recording([request(0, 0, injected=ROLLED_BACK), request(1, 0)], [lost])
    assert broken_rules(seen) == "recovers"
    beside = replace(lost, number=1)
    assert broken_rules(alone(0, 1, sessions=[session(0), beside])) == "single recovers"


BENEATH_VIEWS = (
    "a stream that was ended on another thread than it began on",
    "a lost connection leaves its session in the registry",
    "an app context around the test client",
    "a teardown that commits",
    "a scope that is smaller than a request",
    "a `scoped_session` that is never removed",
    "a handle that leaves its session open",
    "a handle that makes a session each time it is asked",
)

IN_A_VIEW = (
    "Flask 3.1.2 and newer: a streamed export outlives its session",
    "a session made by hand",
)


def test_a_lost_connection_does_not_explain_an_error_page_that_reads() -> None:
    lost, _ = deepcopy(KNOWN["a lost connection leaves its session in the registry"])
    error_page, _ = deepcopy(KNOWN["a failed statement that is not rolled back"])
    for each in *lost.sessions, *error_page.sessions:
        each.place, each.own = LIBRARY, None
    assert len(names_of_causes(two_views(lost, error_page))) == 2


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


def test_a_cause_at_one_line_is_a_single_finding() -> None:
    strays = [session(n, own=OWN, **{**HAND, "born_in": n // 2}) for n in (1, 3)]
    seen = recording(
        [request(0, 0, 1), request(1, 2, 3, view=1)],
        [session(0), strays[0], session(2, born_in=1), strays[1]],
        views=[view(), view(endpoint="post")],
    )
    [finding] = judge(seen).findings
    assert finding.views == [0, 1]
    strays[1].own = OTHER
    assert [finding.views for finding in judge(seen).findings] == [[0], [1]]


def test_a_cause_at_two_lines_is_two_findings() -> None:
    sessions = [
        session(0),
        session(1, own=OWN, **HAND),
        session(2, own=OTHER, **HAND),
    ]
    places = [
        [*map(str, finding.places)]
        for finding in judge(alone(0, 1, 2, sessions=sessions)).findings
    ]
    assert places == [
        [f"made at:   {OWN}", f"used at:   {LIBRARY}"],
        [f"made at:   {OTHER}", f"used at:   {LIBRARY}"],
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
        alone(sessions=[on_a_thread()]),
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
    unreturned = [Unreturned(0, OWN, OWN), Unreturned(1, OTHER, OTHER)]
    verdict = judge(recording(requests, unreturned=unreturned))
    found = [violation.own for violation in verdict.violations]
    assert found == [OWN, OTHER]


def test_a_line_of_a_library_that_takes_a_connection_is_not_your_code() -> None:
    unreturned = [Unreturned(0, LIBRARY)]
    verdict = judge(alone(0, taken=1, unreturned=unreturned))
    [finding] = verdict.findings
    assert finding.places == [Labelled(Label.USED, str(LIBRARY))]


def test_a_violation_without_an_operation_names_its_request() -> None:
    late = [LateCommit(0, 0, OWN)]
    seen = alone(0, operation=None, late_commits=late)
    [violation] = judge(seen).violations
    assert violation.operations == ("GET /admin/user/",)
