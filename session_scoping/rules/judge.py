"""Judges a recording: checks it against the rules, and groups what breaks them."""

import typing as t
from collections import defaultdict
from dataclasses import replace

from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.causes import explain
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.causes.handles import lost_connection
from session_scoping.rules.causes.handles import lost_scoped_connection
from session_scoping.rules.checks import CHECKS
from session_scoping.rules.finding import Violation
from session_scoping.rules.rules import Rule
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind
from session_scoping.rules.verdict import Verdict
from session_scoping.rules.writes import hindered

# What a failure breaks in other rules than ``recovers``.
UNCLOSED = {lost_connection, lost_scoped_connection}
BY_FAILURE = {ViolationKind.CONCURRENT, ViolationKind.STREAM}

# A request that breaks a rule so fails by that.
FAILURES = {
    ViolationKind.ATTACHED,
    ViolationKind.DETACHED,
    ViolationKind.OTHER_THREAD,
}


def judge(recording: Recording) -> Verdict:
    """Check a recording against the seven rules, and return the verdict.

    Violations of one rule that have the same kind, view, source and cause become one
    violation. What breaks a rule only in requests that fail breaks ``recovers``.
    Sessions that are ``left_alone`` break no rule. Nor does the failure of a request
    that fails because nothing is written while pages are read.

    The verdict depends on nothing but the recording, which is not changed. No error is
    raised for a recording that ``record`` or ``Recorder`` made.
    """
    sights = [
        (rule, sight)
        for rule, check in CHECKS.items()
        for sight in check(recording)
        if not (sight.request and sight.request.interrupted)
    ]
    healthy = {
        (rule, sight.kind, sight.place)
        for rule, sight in sights
        if not (sight.request and sight.request.in_trouble)
    }
    excused: dict[int | None, Request] = {
        request.number: request for request in hindered(recording)
    }
    groups: dict[t.Any, list[Sight]] = defaultdict(list)
    for rule, sight in sights:
        if (
            sight.request
            and _breaks_by_failure(rule, sight, sight.request)
            and (rule, sight.kind, sight.place) not in healthy
        ):
            sight = sight._replace(
                what=f"`{rule}` is broken when the request fails: {sight.what}"
            )
            rule = Rule.RECOVERS
        by_failure = rule == Rule.RECOVERS or sight.kind in BY_FAILURE
        if by_failure and sight.request and sight.request.number in excused:
            continue
        if any(request.teardown_failed_at for request in _of(sight, excused)):
            continue  # the refusal of a write has kept the session from being closed
        cause, line = explain(sight, recording)
        if cause in UNCLOSED and sight.kind != ViolationKind.UNCLOSED:
            continue  # it follows from that: who gets the session is chance
        if line is not None:
            sight = sight._replace(own=line)
        elif sight.session is not None:
            line = sight.session.own
        else:
            line = sight.own
        view = sight.request.view if sight.request else sight.view
        groups[rule, sight.kind, view, _source(sight), cause, line].append(sight)
    violations = [
        _violation(rule, view, cause, line, group)
        for (rule, _, view, _, cause, line), group in groups.items()
    ]
    return Verdict(recording, tuple(_with_root_causes(violations)))


def _of(sight: Sight, requests: dict[int | None, Request]) -> t.Iterator[Request]:
    """Yield the request of a sight, and the request in which its session was made."""
    made_in = sight.session.born_in if sight.session else None
    for number in sight.request.number if sight.request else None, made_in:
        if number in requests:
            yield requests[number]


def _with_root_causes(violations: list[Violation]) -> t.Iterator[Violation]:
    """Give violations the root cause of a related violation.

    A violation without a cause takes that of another violation of the same session or
    request. A cause beneath the views explains each violation of the
    same rule by a session from the same line, also one that has a narrower cause.
    """
    explained = [other for other in violations if other.cause]
    for violation in violations:
        related = (
            other
            for other in explained
            if _has_same_session_or_request(violation, other)
            or _comes_from_same_line(violation, other)
        )
        root = next(related, violation)
        yield replace(violation, cause=root.cause, line=root.line)


def _has_same_session_or_request(violation: Violation, other: Violation) -> bool:
    if violation.cause is not None:
        return False
    return bool(
        {*other.sessions} & {*violation.sessions}
        or {*other.requests} & {*violation.requests}
    )


def _comes_from_same_line(violation: Violation, other: Violation) -> bool:
    if other.cause is None or not other.cause.beneath_views or other.made is None:
        return False
    if other.cause in UNCLOSED:
        return False  # what follows from it is left out
    return (other.rule, other.made) == (violation.rule, violation.made)


def _violation(
    rule: Rule,
    view: int | None,
    cause: Cause | None,
    line: Place | None,
    sights: list[Sight],
) -> Violation:
    best = max(sights, key=lambda sight: len(sight.kept_by))
    requests = dict.fromkeys(sight.request.number for sight in sights if sight.request)
    operations = dict.fromkeys(sight.request.does for sight in sights if sight.request)
    sessions = dict.fromkeys(sight.session.number for sight in sights if sight.session)
    # Which line has loaded a row is not known: any may have used the session.
    session = best.session if best.kind != ViolationKind.INSTANCE else None
    return Violation(
        rule,
        best.what,
        view,
        tuple(operations),
        tuple(requests),
        tuple(sessions),
        best.place,
        best.own,
        (session.own or session.place) if session else None,
        tuple(best.kept_by),
        cause,
        line,
    )


def _source(sight: Sight) -> Place | None:
    """Return where a sight comes from: the sights of a source become one violation."""
    session = sight.session
    born = (session.own or session.place) if session else None
    return born or sight.place


def _breaks_by_failure(rule: Rule, sight: Sight, request: Request) -> bool:
    """Is the failure of a request the reason why it breaks a rule?

    It is not if the session is older than the request, or if the request fails because
    it breaks the rule. Nor is it if the request overtakes another request, and the rule
    is about what they share: they share it before the request fails.
    """
    older = sight.session is not None and sight.session.born_in is None
    if older or (sight.kind in FAILURES and not request.injected):
        return False
    shared = rule in {Rule.SINGLE, Rule.FRESH, Rule.ISOLATED}
    return rule != Rule.RECOVERS and not (shared and request.overtakes is not None)
