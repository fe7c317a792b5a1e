"""Lays a table out in lines of a width. No name and no word is cut off."""

import typing as t
from itertools import zip_longest
from textwrap import wrap

from rich.cells import cell_len
from rich.text import Text

from session_scoping.report.summary import Line
from session_scoping.report.summary import Style
from session_scoping.report.summary import Table

GAP = 2  # between columns


def grid(
    table: Table,
    width: int,
    colours: t.Mapping[Style, str],
    characters: t.Mapping[int, str],
) -> t.Iterator[Text]:
    """Yield the lines of a table. ``characters``: how characters are spelt.

    Cells are wrapped if the table is too wide. If that is not enough, each name gets a
    line of its own, above its cells.
    """
    header = table.corner, tuple(map(Line, table.columns))

    def fits(names: int, widths: list[int]) -> bool:
        return names + sum(widths) + GAP * len(widths) <= width

    rows = [
        (name, [cell._replace(text=cell.text.translate(characters)) for cell in cells])
        for name, cells in (header, *table.rows)
    ]
    cells = [row for _, row in rows]
    longest = max(cell_len(name) for name, _ in rows)
    whole, wrapped = _widths(cells, whole=True), _widths(cells, whole=False)
    layouts = (longest, whole), (longest, wrapped), (0, whole)
    names, widths = next((layout for layout in layouts if fits(*layout)), (0, wrapped))
    above = names < longest
    for number, (name, row) in enumerate(rows):
        bold = "" if number else "bold"
        if above:
            yield Text(name, bold)
            name = ""
        texts = [
            _wrapped(cell.text, room) for cell, room in zip(row, widths, strict=True)
        ]
        for parts in zip_longest(*texts, fillvalue=""):
            text = Text(_padded(name, names), bold)
            for part, cell, room in zip(parts, row, widths, strict=True):
                text.append(" " * GAP)
                text.append(_padded(part, room), bold or colours[cell.style])
            text.rstrip()
            yield text
            name = ""


def _widths(cells: t.Sequence[t.Sequence[Line]], whole: bool) -> list[int]:
    """Return the width of each column: of its longest line, or of its longest word."""
    return [
        max(
            cell_len(part)
            for cell in column
            for part in (cell.text.split("\n") if whole else cell.text.split())
        )
        for column in zip(*cells, strict=True)
    ]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _wrapped(said: str, room: int) -> list[str]:
    return [
        row
        for line in said.split("\n")
        for row in wrap(line, room, break_long_words=False, break_on_hyphens=False)
    ]
