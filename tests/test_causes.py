"""The causes, on recordings that show one and on recordings that only look so."""

import typing as t
from dataclasses import replace

import pytest

from session_scoping.recording import KeptInstance
from session_scoping.recording import Maker
from session_scoping.recording import Outside
from session_scoping.recording import Recording
from session_scoping.recording import REGISTRY
from session_scoping.recording import Use
from session_scoping.rules.causes import CAUSES
from session_scoping.rules.judge import judge
from tests.recordings import alone
from tests.recordings import AUTOFLUSH
from tests.recordings import closed_by
from tests.recordings import ERROR
from tests.recordings import export
from tests.recordings import HAND
from tests.recordings import IN_A_MODULE
from tests.recordings import LIBRARY
from tests.recordings import names_of_causes
from tests.recordings import OF_A_FORM
from tests.recordings import OF_APP
from tests.recordings import OLDER
from tests.recordings import OTHER
from tests.recordings import OWN
from tests.recordings import PENDING
from tests.recordings import recording
from tests.recordings import request
from tests.recordings import ROLLED_BACK
from tests.recordings import session
from tests.recordings import STREAM
from tests.recordings import use
from tests.recordings import VALIDATORS
from tests.recordings import view
from tests.sights import failed_bulk_delete
from tests.sights import KNOWN
from tests.sights import scoped
from tests.sights import scoped_second


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
        export(
            use(0, used_after_close=LIBRARY, closed=False),
            stream_exception="",
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
    "a session that is left open, and serves another request": (
        "a session kept beyond its request",
        recording([request(0, use(0, closed=False)), request(1, 0)]),
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
    "a scoped_session that an earlier request has not rolled back": (
        "a `scoped_session` that is never removed",
        recording(
            [
                request(0, use(0, closed=False)),
                request(1, use(0, closed=False), exception=PENDING, status=500),
            ],
            [scoped(closed=False)],
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
    "a scoped_session, beside a scoped_session that is removed": (
        "a `scoped_session` that is never removed",
        recording(
            [request(0, 0), request(1, 1), request(2, use(2, closed=False))],
            [scoped(registry=1), scoped(1, registry=1), scoped(2, registry=2)],
        ),
    ),
    "a scoped_session, beside a scoped_session that is removed without an error": (
        "a `scoped_session` that is never removed",
        recording(
            [
                request(0, use(0, closed_at=OWN)),
                request(1, use(1, closed=False), **ERROR),
            ],
            [scoped(registry=1), scoped(1, registry=2)],
        ),
    ),
    "a flush that fails and is caught": (
        "a failed statement that is not rolled back",
        alone(0, said=[PENDING], flush_failed_at=OWN),
    ),
    "a flush that fails and is caught, in a query": (
        "a failed statement that is not rolled back",
        alone(0, exception=PENDING, status=500, **AUTOFLUSH),
    ),
    "two engines for one database": (
        "two handles or two engines for one database",
        replace(
            alone(0, 1, sessions=[session(0), session(1, born_in=0, engines=[1])]),
            engines=["sqlite:///shop.db"] * 2,
        ),
    ),
    "an app context inside a request that ends its session": (
        "an app context inside a request",
        alone(
            use(0, closed_early=OTHER, closed_with=OWN),
            1,
            sessions=[session(0), session(1, born_in=0)],
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


# Recordings in which what shows one cause stands beside what breaks a rule otherwise.
SIDE_BY_SIDE = {
    "a session made by hand, in a request whose teardown raises": (
        alone(
            0,
            use(1, closed=False),
            sessions=[session(0), session(1, **HAND, closed=False)],
            teardown_failed_at=OTHER,
        ),
        {"a teardown that raises", "a session made by hand"},
    ),
    "a session that is used again, and was closed where a teardown raises": (
        recording([request(0, 0, teardown_failed_at=OTHER), request(1, 0)]),
        {"a session kept beyond its request"},
    ),
    "a session that is left, after another where a teardown raises": (
        recording(
            [
                request(0, use(0, closed=False), teardown_failed_at=OTHER),
                request(1, use(1, closed=False)),
            ]
        ),
        {"a teardown that raises", ""},
    ),
    "a scoped_session, beside that of another database on another thread": (
        alone(
            use(0, thread="worker"),
            use(1, closed=False),
            sessions=[scoped(), scoped_second([1])],
        ),
        {"a `scoped_session` that is never removed"},
    ),
    "a session that a nested context ends after another": (
        alone(
            0,
            use(1, closed_early=OTHER, closed_with=OWN),
            2,
            sessions=[
                session(0, engines=[1]),
                *(session(n, born_in=0) for n in (1, 2)),
            ],
        ),
        {"an app context inside a request"},
    ),
    "a scoped_session after an older one": (
        recording(
            [request(0, 0), request(1, use(1, closed=False))],
            [scoped(), scoped(1, born_in=None, closed=False)],
        ),
        {"a `scoped_session` that is never removed"},
    ),
    "a scoped_session of an earlier request, in a request that gets two": (
        recording(
            [
                request(0, use(0, closed=False)),
                request(1, *(use(n, closed=False) for n in range(3))),
            ],
            [scoped(), scoped(1), scoped(2, born_in=1)],
        ),
        {
            "a `scoped_session` that is never removed",
            "a scope that is smaller than a request",
        },
    ),
    "two scoped_sessions in a request, after one that is removed early": (
        recording(
            [
                request(0, use(0, closed_early=OTHER)),
                request(1, *(use(n, closed=False) for n in (1, 2))),
            ],
            [scoped(), scoped(1), scoped(2, born_in=1)],
        ),
        {
            "a `scoped_session` that is removed only by some requests",
            "a scope that is smaller than a request",
        },
    ),
    "a session made by hand, in a request whose stream breaks off": (
        alone(0, 1, **STREAM, sessions=[session(0), session(1, **HAND)]),
        {
            "a stream that uses rows or the session after the view has answered",
            "a session made by hand",
        },
    ),
    "a session made by hand in a stream, which a later request uses": (
        recording(
            [request(0, 0, 1), request(1, 1)],
            [session(0), session(1, **HAND, in_stream=True)],
        ),
        {"a session made by hand"},
    ),
    "a session of the handle in a stream": (
        alone(
            0,
            use(1, closed=False),
            sessions=[session(0, engines=[1]), session(1, born_in=0, in_stream=True)],
        ),
        {""},
    ),
    "a session closed at a line, after one closed at no line": (
        recording(
            [
                request(0, 0),
                request(1, use(1, closed_at=OTHER)),
                request(2, use(2, closed=False), **ERROR),
            ],
            [scoped(n) for n in range(3)],
        ),
        {"a `scoped_session` that is removed only where no error occurs"},
    ),
    "a thread that loops with the session of a request that has ended": (
        alone(
            0,
            sessions=[
                session(
                    0, outside=[Outside(OWN, OWN, "worker", served=0, repeats=True)]
                )
            ],
        ),
        {"a session kept beyond its request"},
    ),
    "a row of a request that a form keeps": (
        alone(0, kept=[KeptInstance("User", 0, 0, OF_A_FORM)]),
        {"rows kept beyond their request"},
    ),
    "a session made by hand that a module keeps open, beside another request": (
        recording(
            [request(0, 0, use(1, closed=False)), request(1, 2)],
            [
                session(0, engines=[1]),
                session(1, **HAND, kept=True, kept_by=IN_A_MODULE, closed=False),
                session(2, born_in=1, engines=[1]),
            ],
        ),
        {"a session made by hand"},
    ),
    "two dirty reads, and a context around one of them": (
        recording(
            [
                request(0, outer_context=True, dirty_read=True),
                request(1, view=1, dirty_read=True),
            ],
            views=[view(), view(endpoint="post")],
        ),
        {"an app context around the test client", ""},
    ),
    "a session that is left, where an autoflush has failed": (
        alone(use(0, closed=False), **AUTOFLUSH),
        {""},
    ),
}


@pytest.mark.parametrize("name", SIDE_BY_SIDE)
def test_each_violation_has_the_cause_that_it_shows(name: str) -> None:
    seen, causes = SIDE_BY_SIDE[name]
    assert names_of_causes(seen) == causes


LINES_OF_CAUSES = {
    "the app raises": (alone(0, exception=PENDING, status=500, raised_at=OTHER), OTHER),
    "a flush fails": (alone(0, said=[PENDING], flush_failed_at=OTHER), OTHER),
    "both": (
        alone(
            0, exception=PENDING, status=500, raised_at=OTHER, flush_failed_at=OF_APP
        ),
        OTHER,
    ),
    "a stream breaks off": (alone(0, **STREAM, raised_at=OTHER), OTHER),
    "another thread works": (
        alone(
            use(0, thread="worker", closed=False, own=OTHER),
            sessions=[scoped(closed=False)],
        ),
        OTHER,
    ),
    "a commit fails": (
        alone(0, left_in_transaction=True, commit_failed_at=OTHER),
        OTHER,
    ),
}


@pytest.mark.parametrize("name", LINES_OF_CAUSES)
def test_the_line_of_a_cause_is_named(name: str) -> None:
    seen, line = LINES_OF_CAUSES[name]
    assert {violation.line for violation in judge(seen).violations} == {line}


@pytest.mark.parametrize("cause", CAUSES, ids=str)
def test_a_cause_says_what_to_change(cause: t.Any) -> None:
    assert cause.fix.strip()
    assert cause.sentence.endswith(".")
