"""The report as a single HTML file, to open from a disk, a mail or a CI artifact."""

import base64
import hashlib
import typing as t
from collections import Counter
from dataclasses import fields
from dataclasses import is_dataclass

from session_scoping.recording import Operation
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.report.page import part
from session_scoping.report.page import template
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import word
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Verdict

# The first of several requests alike, what they did, and how many they are.
Tally = list[tuple[Request, str, int]]


def html(verdict: Verdict) -> str:
    """Return a page with a verdict and its recording. The page loads nothing."""
    recording = verdict.recording
    style, script = part("report.css"), part("report.js")
    page = template("report.html").render(
        verdict=verdict,
        recording=recording,
        sentence=f"{verdict.sentence[0].upper()}{verdict.sentence[1:]}.",
        remarks=_remarks(verdict),
        notes=notes(verdict.cell(rule, view) for rule in Rule for view in verdict.rows),
        rules=list(Rule),
        word=word,
        distinct=lambda values: list(dict.fromkeys(filter(None, values))),
        libraries=lambda finding: [
            violation.place
            for violation in finding.violations
            if violation.place != violation.own
        ],
        failures=_tally(verdict.failures, _why),
        stopped=_tally(verdict.stopped, _write),
        data=_data(verdict),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    # A path that is not valid Unicode has lone surrogates, which cannot be encoded.
    return page.encode(errors="backslashreplace").decode()


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _remarks(verdict: Verdict) -> t.Iterator[str]:
    """Yield what the sentence of the verdict does not cover."""
    seen = verdict.seen - {None}
    untried = [
        rule
        for rule in Rule
        if seen
        and all(verdict.cell(rule, view).state is State.NOT_TRIED for view in seen)
    ]
    if untried:
        yield f"Not tried in any view: {', '.join(untried)}."


def _why(request: Request) -> list[str]:
    return [request.failure]


def _write(request: Request) -> list[str]:
    return [
        "\n".join(filter(None, [stopped.sql, str(stopped.own or stopped.place or "")]))
        for stopped in request.stopped
    ]


def _tally(
    requests: list[Request], say: t.Callable[[Request], t.Iterable[str]]
) -> Tally:
    """Group requests that are alike: same view, same operation, same text."""
    counts: Counter[tuple[int | None, str, str]] = Counter()
    first: dict[tuple[int | None, str, str], Request] = {}
    for request in requests:
        for what in say(request):
            key = request.view, request.does, what
            counts[key] += 1
            first.setdefault(key, request)
    return [(first[key], key[2], number) for key, number in counts.most_common()]


def _data(verdict: Verdict) -> dict[str, t.Any]:
    """Return what the timeline draws.

    Default values are left out. Each place is listed once, and referred to by number:
    thousands of requests use a few lines of code.
    """
    recording = verdict.recording
    places: dict[str, int] = {}
    return {
        "rules": {rule: rule.sentence for rule in Rule},
        "engines": recording.engines,
        "views": [
            _slim(view, places) | {"label": verdict.label(number)}
            for number, view in enumerate(recording.views)
        ],
        "requests": _slim(recording.requests, places),
        "sessions": _slim(recording.sessions, places),
        "kept_instances": _slim(recording.kept_instances, places),
        "unreturned": _slim(recording.unreturned, places),
        "late_commits": _slim(recording.late_commits, places),
        "violations": _slim(verdict.violations, places),
        "places": list(places),
    }


def _slim(value: t.Any, places: dict[str, int]) -> t.Any:
    if isinstance(value, Operation):
        return str(value)
    if isinstance(value, Place):
        return places.setdefault(str(value), len(places))
    if is_dataclass(value):
        own = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: _slim(got, places)
            for field, got in own
            if got != field.default and got not in (None, (), [])
        }
    if isinstance(value, list | tuple):
        return [_slim(item, places) for item in value]
    return round(value, 6) if isinstance(value, float) else value
