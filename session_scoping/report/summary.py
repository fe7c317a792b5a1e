"""A report as data: ``terminal`` prints it, and ``page`` makes an HTML page of it."""

import re
import typing as t
from dataclasses import dataclass

from session_scoping.recording import Word
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import word
from session_scoping.status import Status


class Style(Word):
    """What a text means, which decides how it looks."""

    PLAIN = "plain"
    STRONG = "strong"
    QUIET = "quiet"
    GOOD = "good"
    BAD = "bad"
    DOUBTFUL = "doubtful"
    CODE = "code"  # is not wrapped, so that it can be copied


NUMBERED = re.compile(r"\b(session|request) \d+\b")  # in a recording
OF_STATE = {
    State.HOLDS: Style.GOOD,
    State.BROKEN: Style.BAD,
    State.KNOWN: Style.DOUBTFUL,
    State.NOT_TRIED: Style.QUIET,
    State.NOT_REACHED: Style.QUIET,
}


class Line(t.NamedTuple):
    """A line, which may begin with a label."""

    text: str
    style: Style = Style.PLAIN
    label: str = ""


@dataclass(frozen=True)
class Section:
    """Lines under a title. ``beside`` follows the title on the same line."""

    title: str
    lines: tuple[Line, ...]
    style: Style = Style.STRONG
    beside: str = ""


@dataclass(frozen=True)
class Table:
    """A table. Each row has a name and its cells, in the order of the columns."""

    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Line, ...]], ...]


@dataclass(frozen=True)
class Summary:
    """A report: what it is about, tables with their notes, details, a sentence."""

    status: Status
    about: tuple[Line, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]  # on the tables
    sections: tuple[Section, ...]
    sentence: str
    remarks: tuple[Line, ...] = ()  # on the sentence
    counts: tuple[Line, ...] = ()  # of the cells, at a glance
    versions: Table | None = None  # of all packages: a page shows it
    above: tuple[Section, ...] = ()  # the details that stand above the tables


def of_cells(cells: t.Iterable[Cell]) -> tuple[Line, ...]:
    """Return the cells of a row, as every report prints them."""
    return tuple(Line(word(cell), OF_STATE[cell.state]) for cell in cells)


def lines(*texts: str) -> tuple[Line, ...]:
    """Return plain lines."""
    return tuple(map(Line, texts))


def distinct(seen: t.Iterable[str]) -> list[str]:
    """Return the first of the lines that differ only in numbers of sessions."""
    alike: dict[str, str] = {}
    for line in seen:
        alike.setdefault(NUMBERED.sub(r"\1", line), line)
    return [*alike.values()]


def shortened(seen: t.Sequence[str], few: int) -> list[str]:
    """Return the first lines, and how many more there are."""
    more = len(seen) - few
    return [*seen[:few], *([f"and {more} more"] if more > 0 else [])]
