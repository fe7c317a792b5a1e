"""Judges a recording: checks it against the rules, and groups what breaks them."""

import typing as t
from collections import defaultdict
from dataclasses import replace

from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.causes import Cause
from session_scoping.rules.causes import cause_of
from session_scoping.rules.rules import CHECKS
from session_scoping.rules.rules import Rule
from session_scoping.rules.sight import Sight
from session_scoping.rules.verdict import Verdict
from session_scoping.rules.verdict import Violation


def judge(recording: Recording) -> Verdict:
    """Check a recording against the seven rules, and return the verdict.

    Violations of one rule that have the same kind, view, source and cause become one
    violation. What breaks a rule only in requests that fail breaks ``recovers``.
    Sessions that are ``left_alone`` break no rule.

    The verdict depends on nothing but the recording, which is not changed. No error is
    raised for a recording that ``record`` or ``Recorder`` made.
    """
    sights = [
        (rule, sight) for rule, check in CHECKS.items() for sight in check(recording)
    ]
    healthy = {
        (rule, sight.kind, sight.place)
        for rule, sight in sights
        if not (sight.request and sight.request.in_trouble)
    }
    groups: dict[t.Any, list[Sight]] = defaultdict(list)
    for rule, sight in sights:
        if (
            sight.request
            and sight.request.in_trouble
            and _breaks_by_failure(rule, sight.request)
            and (rule, sight.kind, sight.place) not in healthy
        ):
            sight = sight._replace(
                what=f"`{rule}` is broken when the request fails: {sight.what}"
            )
            rule = Rule.RECOVERS
        cause = cause_of(sight, recording)
        view = sight.request.view if sight.request else sight.view
        groups[rule, sight.kind, view, _source(sight), cause].append(sight)
    violations = [
        _violation(rule, view, cause, group)
        for (rule, _, view, _, cause), group in groups.items()
    ]
    return Verdict(recording, tuple(_with_root_causes(violations)))


def _with_root_causes(violations: list[Violation]) -> t.Iterator[Violation]:
    """Give violations the root cause of a related violation.

    A violation without a cause takes that of another violation of the same session or
    request, in the same view. A cause beneath the views explains each violation of the
    same rule by a session from the same line, also one that has a narrower cause.
    """
    explained = [other for other in violations if other.cause]
    for violation in violations:
        related = (
            other.cause
            for other in explained
            if _has_same_session_or_request(violation, other)
            or _comes_from_same_line(violation, other)
        )
        yield replace(violation, cause=next(related, violation.cause))


def _has_same_session_or_request(violation: Violation, other: Violation) -> bool:
    if violation.cause is not None or other.view != violation.view:
        return False
    return bool(
        {*other.sessions} & {*violation.sessions}
        or {*other.requests} & {*violation.requests}
    )


def _comes_from_same_line(violation: Violation, other: Violation) -> bool:
    if other.cause is None or not other.cause.beneath_views or other.made is None:
        return False
    return (other.rule, other.made) == (violation.rule, violation.made)


def _violation(
    rule: Rule, view: int | None, cause: Cause | None, sights: list[Sight]
) -> Violation:
    best = max(sights, key=lambda sight: len(sight.kept_by))
    requests = dict.fromkeys(sight.request.number for sight in sights if sight.request)
    operations = dict.fromkeys(sight.request.does for sight in sights if sight.request)
    sessions = dict.fromkeys(sight.session.number for sight in sights if sight.session)
    return Violation(
        rule,
        best.what,
        view,
        tuple(operations),
        tuple(requests),
        tuple(sessions),
        best.place,
        best.own,
        (best.session.own or best.session.place) if best.session else None,
        tuple(best.kept_by),
        cause,
    )


def _source(sight: Sight) -> Place | None:
    """Return where a sight comes from: the sights of a source become one violation."""
    session = sight.session
    born = (session.own or session.place) if session else None
    return born or sight.own or sight.place


def _breaks_by_failure(rule: Rule, request: Request) -> bool:
    """Is the failure of a request the reason why it breaks a rule?

    It is not if the request overtakes another request, and the rule is about what they
    share: they share it before the request fails.
    """
    shared = rule in {Rule.SINGLE, Rule.FRESH, Rule.ISOLATED}
    return rule != Rule.RECOVERS and not (shared and request.overtakes is not None)
