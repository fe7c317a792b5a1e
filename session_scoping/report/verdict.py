"""The summary of a verdict: a table of views and rules, and findings, worst first."""

import typing as t
from itertools import islice

from session_scoping.recording import Request
from session_scoping.report.summary import Line
from session_scoping.report.summary import lines
from session_scoping.report.summary import of_cells
from session_scoping.report.summary import Section
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.report.terminal import plain
from session_scoping.rules.defects import notes
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import Finding
from session_scoping.rules.verdict import listed
from session_scoping.rules.verdict import Verdict

FEW = 4  # the places that are printed for a finding in several views


def text(verdict: Verdict) -> str:
    """Return a verdict as plain text, for a log or the message of a test."""
    return plain(summarize(verdict))


def summarize(verdict: Verdict) -> Summary:
    """Return the summary of a verdict."""
    recording = verdict.recording
    cells = {view: [verdict.cell(rule, view) for rule in Rule] for view in verdict.rows}
    rows = ((verdict.label(view), of_cells(row)) for view, row in cells.items())
    return Summary(
        about=lines(
            ", ".join(f"{name} {version}" for name, version in recording.stack.items()),
            f"{recording.app}: {count(recording.requests, 'request')}, "
            f"{count(recording.sessions, 'session')}",
        ),
        tables=(Table("view", tuple(Rule), tuple(rows)),),
        notes=tuple(notes(cell for row in cells.values() for cell in row)),
        sections=tuple(_sections(verdict)),
        sentence=f"{verdict.sentence}.",
    )


def _sections(verdict: Verdict) -> t.Iterator[Section]:
    for number, finding in enumerate(verdict.findings, 1):
        yield Section(
            f"{number}. {finding.title}",
            tuple(_lines(verdict, finding)),
            Style.BAD,
            f" ({verdict.names(finding)})",
        )
    unseen = (
        f"{verdict.label(unseen.view)}, {unseen.operation}: {unseen.why}"
        for unseen in verdict.recording.unseen
    )
    for title, found in (
        ("Tried to write, and was stopped", map(_stopped, verdict.stopped)),
        ("Did not work", map(_failure, verdict.failures)),
        ("Not driven, so nothing is known about it", unseen),
    ):
        if once := dict.fromkeys(found):
            yield Section(title, lines(*once))
    for note in verdict.recording.notes:
        yield Section(f"Note: {note}.", (), Style.PLAIN)


def _lines(verdict: Verdict, finding: Finding) -> t.Iterator[Line]:
    cause = finding.cause
    if cause:
        yield Line(cause.sentence)
    in_several = len(finding.views) > 1
    alike = {violation.rule: violation for violation in reversed(finding.violations)}
    # In several views it breaks the same rules: one violation of each rule is enough.
    seen = [*alike.values()] if in_several else [*finding.violations]
    for violation in sorted(seen, key=lambda violation: [*Rule].index(violation.rule)):
        operations = listed(violation.operations, separator="; ")
        where = f", in {operations}" if operations else ""
        if in_several:
            where += f" of {verdict.label(violation.view)}, for example"
        yield Line(f"{violation.what}{where}", label=f"{violation.rule}:")
    places = dict.fromkeys(finding.places)
    yield from map(Line, islice(places, FEW if in_several else None))
    if cause:
        yield Line("", label="change:")
        yield Line(cause.fix, Style.CODE)
        if cause.link:
            yield Line(f"see {cause.link}", Style.QUIET)


def _stopped(request: Request) -> str:
    first = request.stopped[0]
    return f"{_path(request)}: {first.sql[:60]} … at {first.own or first.place}"


def _failure(request: Request) -> str:
    return f"{_path(request)}: {request.failure}"


def _path(request: Request) -> str:
    path = f"{request.method} {request.path}"
    return f"{path} ({request.operation})" if request.operation else path
