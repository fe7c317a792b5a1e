"""The summary of the test module in a checkout: what each tool says of it."""

import typing as t

from session_scoping.compare.fork import Tried
from session_scoping.report.summary import Line
from session_scoping.report.summary import Section
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.status import Status


def summarize(path: str, tried: t.Sequence[Tried]) -> Summary:
    """Return the summary of what was tried in the checkout at ``path``."""
    failed = [tool for tool in tried if not tool.passed]
    names = " and ".join(tool.tool for tool in failed)
    verb = "fails" if len(failed) == 1 else "fail"
    return Summary(
        status=Status.BROKEN if failed else Status.HOLDS,
        about=(Line(path, Style.STRONG),),
        tables=(Table("tool", ("result", "last line"), tuple(map(_row, tried))),),
        notes=(),
        sections=tuple(
            Section(f"{tool.tool} fails", (Line(tool.said, Style.CODE),), Style.BAD)
            for tool in failed
        ),
        sentence=f"{names} {verb}." if failed else "the test module passes.",
    )


def _row(tool: Tried) -> tuple[str, tuple[Line, ...]]:
    result = Line("passes", Style.GOOD) if tool.passed else Line("fails", Style.BAD)
    return tool.tool, (result, Line(tool.last))
