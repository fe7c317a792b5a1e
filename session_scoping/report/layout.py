"""Lays a summary out in lines of a width.

Text is wrapped here, between words, and not by rich. A link or a path that is longer
than the line stays whole, so that it can be copied.
"""

import typing as t
from textwrap import indent
from textwrap import wrap

from rich.text import Text

from session_scoping.report.grid import grid
from session_scoping.report.summary import Line
from session_scoping.report.summary import Section
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary

COLOURS = {
    Style.PLAIN: "",
    Style.STRONG: "bold",
    Style.QUIET: "dim",
    Style.GOOD: "green",
    Style.BAD: "bold red",
    Style.DOUBTFUL: "yellow",
    Style.CODE: "cyan",
}
MARGIN = 3  # of what stands below a title
ASCII = str.maketrans({"→": "->", "…": "...", "×": "x"})


class Layout:
    """Lays out for a width. ``ascii_only``: arrows and the like are spelt in ASCII."""

    def __init__(self, width: int, ascii_only: bool) -> None:
        self.width = width
        self.characters: dict[int, str] = ASCII if ascii_only else {}

    def summary(self, summary: Summary) -> t.Iterator[Text]:
        """Yield the lines of a summary."""
        for line in summary.about:
            yield from self._line(line)
        if summary.counts:
            counts = ", ".join(line.text for line in summary.counts)
            yield from self._line(Line(counts))
        yield from self.sections(summary.above)
        for table in summary.tables:
            yield Text()
            yield from grid(table, self.width, COLOURS, self.characters)
        if summary.notes:
            yield Text()
        for note in summary.notes:
            yield from self._line(Line(note))
        yield from self.sections(summary.sections)
        yield Text()
        yield from self._line(Line(f"Verdict: {summary.sentence}", Style.STRONG))
        for line in summary.remarks:
            yield from self._line(line)

    def sections(self, sections: t.Iterable[Section]) -> t.Iterator[Text]:
        """Yield the lines of sections, with an empty line before each."""
        for section in sections:
            yield Text()
            yield from self._title(section)
            for line in section.lines:
                yield from self._line(line, MARGIN)

    def _title(self, section: Section) -> t.Iterator[Text]:
        styled = len(section.title)
        for row in self._wrapped(section.title + section.beside):
            text = Text(row)
            text.stylize(COLOURS[section.style], 0, styled)
            styled = max(styled - len(row) - 1, 0)
            yield text

    def _line(self, line: Line, margin: int = 0) -> t.Iterator[Text]:
        if line.style == Style.CODE:
            for row in indent(line.text, " " * 2 * margin).split("\n"):
                yield Text(row.translate(self.characters), COLOURS[line.style])
            return
        said = f"{line.label} {line.text}" if line.label else line.text
        for number, row in enumerate(self._wrapped(said.rstrip(), margin)):
            text = Text(row, COLOURS[line.style])
            if number == 0:
                text.stylize("bold", margin, margin + len(line.label))
            yield text

    def _wrapped(self, said: str, margin: int = 0) -> list[str]:
        space = " " * margin
        return wrap(
            said.translate(self.characters),
            self.width,
            initial_indent=space,
            subsequent_indent=space,
            break_long_words=False,
            break_on_hyphens=False,
        )
