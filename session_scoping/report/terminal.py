"""The verdict as text: a table of views and rules, then what to change, worst first."""

import io
import sys
import typing as t
from io import StringIO
from itertools import islice
from textwrap import indent

from rich.console import Console
from rich.console import Group
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from session_scoping.recording import Request
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import word
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import Finding
from session_scoping.rules.verdict import listed
from session_scoping.rules.verdict import Verdict

STYLES = {
    State.BROKEN: "bold red",
    State.KNOWN: "yellow",
    State.HOLDS: "green",
    State.NOT_REACHED: "yellow",
    State.NOT_TRIED: "dim",
}
WIDTH = 100  # of a verdict that is not for a terminal
FEW = 4  # the lines that are printed for a finding in several views


def text(verdict: Verdict) -> str:
    """Return the verdict as plain text, for a log or the message of a test."""
    return plain(render(verdict))


def plain(renderable: RenderableType) -> str:
    """Return text without colours and without spaces at the end of lines."""
    console = Console(file=StringIO(), width=WIDTH, no_color=True, highlight=False)
    console.print(renderable, crop=False)
    lines = t.cast(StringIO, console.file).getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).rstrip()


def show(renderable: RenderableType) -> None:
    """Print a report, in colours on a terminal."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may have no arrows
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(renderable, crop=False)
    else:
        print(plain(renderable), flush=True)


def render(verdict: Verdict) -> RenderableType:
    """Return the verdict as something that ``rich`` prints."""
    return Group(*_parts(verdict))


def _parts(verdict: Verdict) -> t.Iterator[RenderableType]:
    recording = verdict.recording
    yield Text(
        ", ".join(f"{name} {version}" for name, version in recording.stack.items())
    )
    yield Text(
        f"{recording.app}: {count(recording.requests, 'request')}, "
        f"{count(recording.sessions, 'session')}"
    )
    yield Text()
    yield _table(verdict)
    cells = [verdict.cell(rule, view) for rule in Rule for view in verdict.rows]
    for note in notes(cells):
        yield Text(note)
    for number, finding in enumerate(verdict.findings, 1):
        yield Text()
        yield from _finding(verdict, number, finding)
    yield from _requests("Tried to write, and was stopped", verdict.stopped, _stopped)
    yield from _requests("Did not work", verdict.failures, _failure)
    if recording.unseen:
        yield Text("\nNot driven, so nothing is known about it", "bold")
        for unseen in recording.unseen:
            yield _line(
                f"{verdict.label(unseen.view)}, {unseen.operation}: {unseen.why}"
            )
    for note in recording.notes:
        yield Text(f"\nNote: {note}.")
    yield Text(f"\nVerdict: {verdict.sentence}.", "bold")


def _table(verdict: Verdict) -> Table:
    table = Table("view", *Rule, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for view in verdict.rows:
        cells = (verdict.cell(rule, view) for rule in Rule)
        words = (Text(word(cell), STYLES[cell.state]) for cell in cells)
        table.add_row(verdict.label(view), *words)
    return table


def _finding(
    verdict: Verdict, number: int, finding: Finding
) -> t.Iterator[RenderableType]:
    cause = finding.cause
    yield Text.assemble(
        (f"{number}. {finding.title}", "bold red"), f" ({verdict.names(finding)})"
    )
    if cause:
        yield _line(cause.sentence)
    alike = {violation.rule: violation for violation in reversed(finding.violations)}
    # In several views it breaks the same rules: one violation of each rule is enough.
    seen = alike.values() if len(finding.views) > 1 else finding.violations
    order = list(Rule)
    for violation in sorted(seen, key=lambda violation: order.index(violation.rule)):
        operations = listed(violation.operations, separator="; ")
        where = f", in {operations}" if operations else ""
        if len(finding.views) > 1:
            where += f" of {verdict.label(violation.view)}, for example"
        yield _line(
            Text.assemble((f"{violation.rule}:", "bold"), f" {violation.what}{where}")
        )
    lines: dict[str, None] = {}
    for violation in finding.violations:
        if violation.made and violation.made != violation.own:
            lines[f"made at:   {violation.made}"] = None
        if violation.own:
            word = "used at:  " if cause and cause.beneath_views else "your code:"
            lines[f"{word} {violation.own}"] = None
        elif violation.place and violation.place != violation.made:
            lines[f"used at:   {violation.place}"] = None
        if violation.kept_by:
            lines[f"kept by:   {' → '.join(violation.kept_by)}"] = None
    for line in islice(lines, FEW if len(finding.views) > 1 else None):
        yield _line(line)
    if cause:
        yield _line(Text("change:", "bold"))
        yield _whole(indent(cause.fix, " " * 6), "cyan")
        if cause.link:
            yield _whole(f"   see {cause.link}", "dim")


def _requests(
    title: str, requests: list[Request], describe: t.Callable[[Request], str]
) -> t.Iterator[RenderableType]:
    if requests:
        yield Text(f"\n{title}", "bold")
        lines = dict.fromkeys(
            f"{_operation(request)}: {describe(request)}" for request in requests
        )
        for line in lines:
            yield _line(line)


def _stopped(request: Request) -> str:
    first = request.stopped[0]
    return f"{first.sql[:60]} … at {first.own or first.place}"


def _failure(request: Request) -> str:
    return request.failure


def _operation(request: Request) -> str:
    path = f"{request.method} {request.path}"
    return f"{path} ({request.operation})" if request.operation else path


def _whole(line: str, style: str) -> Text:
    """Return a line that is not wrapped, so that it can be copied."""
    return Text(line, style, no_wrap=True, overflow="ignore")


def _line(line: str | Text) -> RenderableType:
    return Padding(
        line if isinstance(line, Text) else Text(line), (0, 0, 0, 3), expand=False
    )
