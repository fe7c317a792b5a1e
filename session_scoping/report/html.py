"""The report as a single HTML file, to open from a disk, a mail or a CI artifact."""

import typing as t
from collections import Counter
from dataclasses import fields
from dataclasses import is_dataclass

from session_scoping.recording import Operation
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.report.page import render
from session_scoping.report.picture import Picture
from session_scoping.report.run import Run
from session_scoping.report.verdict import FAILED
from session_scoping.report.verdict import HINDERED
from session_scoping.report.verdict import lines_of
from session_scoping.report.verdict import UNSEEN
from session_scoping.report.verdict import unseen_lines
from session_scoping.report.verdict import worst_first
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import word
from session_scoping.rules.finding import Label
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import Verdict
from session_scoping.rules.verdict import WORST_FIRST

# The first of several requests alike, why it did not work, and how many they are.
Tally = list[tuple[Request, str, int]]
SCRIPTS = ("report.js", "picture.js", "panel.js", "table.js", "controls.js")
SIGNS = {
    State.HOLDS: "✓",
    State.BROKEN: "✗",
    State.KNOWN: "!",
    State.NOT_TRIED: "–",
    State.NOT_REACHED: "?",
}


def html(verdict: Verdict, run: Run) -> str:
    """Return a page with a verdict and its recording. The page loads nothing."""
    recording, findings = verdict.recording, verdict.findings
    picture = Picture(verdict)
    causes = [finding.cause.page for finding in findings if finding.cause]
    failures, hindered = _tally(verdict.failures), _tally(verdict.hindered)
    unseen = unseen_lines(verdict)
    views = ("views", "Views and rules", ())
    drawn = ("picture", "Sessions and requests", ())
    return render(
        "report.html",
        run,
        styles=("base.css", "report.css"),
        scripts=SCRIPTS,
        state=str(verdict.outcome),
        pages=[*Rule, *dict.fromkeys(causes)],
        sentence=f"{verdict.sentence[0].upper()}{verdict.sentence[1:]}.",
        remarks=_remarks(verdict),
        facts=_facts(verdict),
        parts=[
            *(
                [drawn, ("findings", "Findings", findings), views]
                if findings
                else [views, drawn]
            ),
            *(
                part
                for part in (
                    ("hindered", HINDERED, hindered),
                    ("failures", FAILED, failures),
                    ("unseen", "Not driven", unseen),
                    ("notes", "Notes", verdict.notes),
                )
                if part[2]
            ),
        ],
        verdict=verdict,
        recording=recording,
        picture=picture,
        findings=[(finding, [*lines_of(verdict, finding)]) for finding in findings],
        rows=worst_first(verdict),
        rules=list(Rule),
        states=list(WORST_FIRST),
        signs=SIGNS,
        word=word,
        notes=notes(verdict.cell(rule, view) for rule in Rule for view in verdict.rows),
        failed=any(request.failure for request in recording.requests),
        injected=any(request.injected for request in recording.requests),
        place_labels=[
            label for label in Label if label not in (Label.SEEN, Label.MORE)
        ],
        titles={"hindered": HINDERED, "failures": FAILED, "unseen": UNSEEN},
        failures=failures,
        hindered=hindered,
        unseen=unseen,
        data=_data(verdict, picture),
    )


def _facts(verdict: Verdict) -> dict[str, str]:
    recording = verdict.recording
    seen = f"{count(recording.requests, 'request')}, "
    seen += count(recording.sessions, "session")
    if recording.engines:
        seen += f", in {', '.join(recording.engines)}"
    stack = ", ".join(f"{name} {version}" for name, version in recording.stack.items())
    return {"Seen": seen, **({"With": stack} if stack else {})}


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
        hint = " (it needs --faults)" if untried[-1] == Rule.RECOVERS else ""
        yield f"Not tried in any view: {', '.join(untried)}{hint}."


def _tally(requests: list[Request]) -> Tally:
    """Group requests that are alike: same view, same operation, same failure."""
    counts: Counter[tuple[int | None, str, str]] = Counter()
    first: dict[tuple[int | None, str, str], Request] = {}
    for request in requests:
        key = request.view, request.does, request.failure
        counts[key] += 1
        first.setdefault(key, request)
    return [(first[key], key[2], number) for key, number in counts.most_common()]


def _data(verdict: Verdict, picture: Picture) -> dict[str, t.Any]:
    """Return what the scripts show.

    Default values are left out. Each place is listed once, and referred to by number:
    thousands of requests use a few lines of code.
    """
    recording, findings = verdict.recording, verdict.findings
    places: dict[str, int] = {}
    return {
        "words": {"broken": State.BROKEN, "no_view": verdict.label(None)},
        "labels": {label.name.lower(): label for label in Label},
        "rules": {rule: rule.sentence for rule in Rule},
        "engines": recording.engines,
        "views": [
            {"label": verdict.label(number), "session": view.session}
            for number, view in enumerate(recording.views)
        ],
        "bars": [
            [bar.session, bar.first, bar.last, bar.open, bar.rules]
            for bar in picture.bars
        ],
        "requests": _slim(picture.columns, places),
        "sessions": _slim(recording.sessions, places),
        "kept_instances": _slim(recording.kept_instances, places),
        "unreturned": _slim(recording.unreturned, places),
        "writes": _slim(recording.writes, places),
        "late_commits": _slim(recording.late_commits, places),
        "findings": [finding.title for finding in findings],
        "violations": [
            {**_slim(violation, places, {"cause", "line"}), "finding": number}
            for number, finding in enumerate(findings)
            for violation in finding.violations
        ],
        "places": list(places),
    }


def _slim(
    value: t.Any, places: dict[str, int], without: t.Container[str] = ()
) -> t.Any:
    if isinstance(value, Operation):
        return str(value)
    if isinstance(value, Place):
        return places.setdefault(str(value), len(places))
    if is_dataclass(value):
        own = ((field, getattr(value, field.name)) for field in fields(value))
        return {
            field.name: _slim(got, places)
            for field, got in own
            if got != field.default
            and got not in (None, (), [])
            and field.name not in without
        }
    if isinstance(value, list | tuple):
        return [_slim(item, places) for item in value]
    return round(value, 6) if isinstance(value, float) else value
