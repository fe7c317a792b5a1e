"""The summary of a verdict: a table of views and rules, and findings, worst first."""

import typing as t
from collections import defaultdict
from itertools import groupby

from session_scoping.pages import command
from session_scoping.recording import Request
from session_scoping.report.summary import Line
from session_scoping.report.summary import lines
from session_scoping.report.summary import of_cells
from session_scoping.report.summary import Section
from session_scoping.report.summary import shortened
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.report.terminal import plain
from session_scoping.rules.cells import State
from session_scoping.rules.finding import Finding
from session_scoping.rules.finding import Label
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import listed
from session_scoping.rules.verdict import Verdict

HINDERED = "Did not work because nothing is written while pages are read"
FAILED = "Did not work"
UNSEEN = "Not driven, so nothing is known about it"
FEW = 4  # the places that are printed for a finding in several views
MANY = 10  # views: if there are more, rows that are alike are counted
BROKEN = (State.BROKEN, State.KNOWN)  # in this order at the top of the table
LAST = (len(BROKEN), 0)  # the rank of views with no broken rule


def text(verdict: Verdict) -> str:
    """Return a verdict as plain text, for a log."""
    return plain(summarize(verdict))


def summarize(verdict: Verdict) -> Summary:
    """Return the summary of a verdict."""
    recording = verdict.recording
    findings = tuple(findings_of(verdict))
    many = len(verdict.rows) > MANY
    return Summary(
        status=verdict.outcome.status,
        about=lines(
            ", ".join(f"{name} {version}" for name, version in recording.stack.items()),
            f"{recording.app}: {count(recording.requests, 'request')}, "
            f"{count(recording.sessions, 'session')}",
        ),
        above=findings if many else (),
        tables=(Table("view", tuple(Rule), tuple(_rows(verdict, many))),),
        notes=(),  # a finding explains each known defect
        sections=(*(() if many else findings), *_other_sections(verdict)),
        sentence=f"{verdict.sentence}.",
    )


def _rows(verdict: Verdict, many: bool) -> t.Iterator[tuple[str, tuple[Line, ...]]]:
    """Yield a row for each view. Where they are many, those alike share a row."""
    alike: dict[t.Any, list[str]] = defaultdict(list)
    for view in worst_first(verdict):
        cells = of_cells(verdict.cell(rule, view) for rule in Rule)
        alike[cells, None if many else view].append(verdict.label(view))
    for (cells, _), names in alike.items():
        if len(names) > FEW:
            yield count(names, "view"), cells
        else:
            yield from ((name, cells) for name in names)


def worst_first(verdict: Verdict) -> list[int | None]:
    """Return the views: those with the most broken rules first.

    Views with no broken rule are in the order of the app.
    """

    def rank(view: int | None) -> tuple[int, int]:
        states = [verdict.cell(rule, view).state for rule in Rule]
        broken = [state for state in BROKEN if state in states]
        return (BROKEN.index(broken[0]), -states.count(broken[0])) if broken else LAST

    return sorted(verdict.rows, key=rank)


def findings_of(verdict: Verdict) -> t.Iterator[Section]:
    """Yield a section for each finding, worst first."""
    for number, finding in enumerate(verdict.findings, 1):
        defect = finding.cause.defect if finding.cause else None
        known = f" [{defect.finding}]" if defect else ""
        yield Section(
            f"{number}. {finding.title}{known}",
            tuple(lines_of(verdict, finding)),
            Style.BAD,
            f" ({verdict.names(finding)})",
        )


def _other_sections(verdict: Verdict) -> t.Iterator[Section]:
    for title, found in (
        (HINDERED, [*_failures(verdict.hindered)]),
        (FAILED, [*_failures(verdict.failures)]),
        (UNSEEN, unseen_lines(verdict)),
    ):
        if found:
            yield Section(title, lines(*shortened(found, MANY)))
    for note in verdict.notes:
        yield Section(f"Note: {note}.", (), Style.PLAIN)


def unseen_lines(verdict: Verdict) -> list[str]:
    """Return a line for each operation that was not driven."""
    found = (
        f"{verdict.label(unseen.view)}, {unseen.operation}: {unseen.why}"
        for unseen in verdict.recording.unseen
    )
    return list(dict.fromkeys(found))


def lines_of(verdict: Verdict, finding: Finding) -> t.Iterator[Line]:
    """Yield what is known of a finding: why, what was seen, where, what to change."""
    cause = finding.cause
    if cause:
        yield Line(cause.defect.explanation if cause.defect else cause.sentence)
    in_several = len(finding.views) > 1
    if len(finding.views) > FEW:
        yield Line(verdict.names(finding, len(finding.views)), label="in:")
    alike = {violation.rule: violation for violation in reversed(finding.violations)}
    # In several views it breaks the same rules: one violation of each rule is enough.
    seen = [*alike.values()] if in_several else [*finding.violations]
    seen.sort(key=lambda violation: [*Rule].index(violation.rule))
    for (names, view), group in groupby(
        seen, lambda violation: (violation.operations, violation.view)
    ):
        for violation in group:
            yield Line(violation.what, label=f"{violation.rule}:")
        if names:
            of = f" of {verdict.label(view)}, for example" if in_several else ""
            where = listed([f'"{name}"' for name in names]) + of
            yield Line(where, label=f"{Label.SEEN + ':':<10}")
    for place in finding.places[: FEW if in_several else None]:
        yield Line(place.text, label=f"{place.label + ':':<10}")
    if cause:
        yield Line("", label=f"{Label.CHANGE}:")
        yield Line(verdict.fix(finding), Style.CODE)
    yield Line(command(*finding.pages), Style.QUIET, f"{Label.MORE}:")


def _failures(requests: t.Iterable[Request]) -> t.Iterator[str]:
    """Yield each error once, with the requests that it has ended."""
    paths: dict[str, list[str]] = defaultdict(list)
    for request in requests:
        if (path := _path(request)) not in paths[request.failure]:
            paths[request.failure].append(path)
    for failure, found in paths.items():
        yield f"{listed(found, 1)}: {failure}"


def _path(request: Request) -> str:
    path = f"{request.method} {request.path}"
    return f"{path} ({request.operation})" if request.operation else path
