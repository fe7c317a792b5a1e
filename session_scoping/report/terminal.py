"""Prints a summary, on a terminal in colours."""

import io
import sys
import typing as t
from io import StringIO
from textwrap import indent

from rich.console import Console
from rich.console import Group
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from session_scoping.report.summary import Line
from session_scoping.report.summary import Section
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table

COLOURS = {
    Style.PLAIN: "",
    Style.STRONG: "bold",
    Style.QUIET: "dim",
    Style.GOOD: "green",
    Style.BAD: "bold red",
    Style.DOUBTFUL: "yellow",
    Style.CODE: "cyan",
}
WIDTH = 100  # of a text that is not for a terminal


def show(summary: Summary) -> None:
    """Print a summary: on a terminal in colours, elsewhere as plain text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may have no arrows
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_laid_out(summary), crop=False)
    else:
        print(plain(summary), flush=True)


def plain(summary: Summary) -> str:
    """Return a summary as text, without colours and spaces at the end of lines."""
    console = Console(file=StringIO(), width=WIDTH, no_color=True, highlight=False)
    console.print(_laid_out(summary), crop=False)
    lines = t.cast(StringIO, console.file).getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines).rstrip()


def _laid_out(summary: Summary) -> RenderableType:
    return Group(*_parts(summary))


def _parts(summary: Summary) -> t.Iterator[RenderableType]:
    for line in summary.about:
        yield _text(line)
    for table in summary.tables:
        yield Text()
        yield _table(table)
    if summary.notes:
        yield Text()
    for note in summary.notes:
        yield Text(note)
    for section in summary.sections:
        yield Text()
        yield from _section(section)
    yield Text(f"\nVerdict: {summary.sentence}", COLOURS[Style.STRONG])
    for line in summary.remarks:
        yield _text(line)


def _table(table: Table) -> RichTable:
    columns = table.corner, *table.columns
    shown = RichTable(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, cells in table.rows:
        shown.add_row(name, *map(_text, cells))
    return shown


def _section(section: Section) -> t.Iterator[RenderableType]:
    title = Text(section.title, COLOURS[section.style])
    yield title.append(section.beside, "not bold default") if section.beside else title
    for line in section.lines:
        if line.style == Style.CODE:
            code = indent(line.text, " " * 6)
            yield Text(code, COLOURS[Style.CODE], no_wrap=True, overflow="ignore")
        else:
            yield Padding(_text(line), (0, 0, 0, 3), expand=False)


def _text(line: Line) -> Text:
    if not line.label:
        return Text(line.text, COLOURS[line.style])
    return Text.assemble((line.label, "bold"), " ", (line.text, COLOURS[line.style]))
