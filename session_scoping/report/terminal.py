"""Prints a summary, on a terminal in colours."""

import io
import sys
import typing as t

from rich.console import Console

from session_scoping.report.layout import Layout
from session_scoping.report.summary import Section
from session_scoping.report.summary import Summary

WIDTH = 100  # of a text that is not for a terminal


def show(summary: Summary, no_color: bool = False) -> None:
    """Print a summary: on a terminal in colours, elsewhere as plain text.

    Without ``no_color`` the variable ``NO_COLOR`` decides.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for names that it cannot print
    console = console_for(sys.stdout, no_color)
    if console.is_terminal:
        layout = Layout(console.width, only_ascii(sys.stdout))
        for text in layout.summary(summary):
            console.print(text, no_wrap=True, overflow="ignore", crop=False)
    else:
        print(plain(summary, only_ascii(sys.stdout)), flush=True)


def console_for(file: t.TextIO, no_color: bool) -> Console:
    """Return a console for a file."""
    return Console(file=file, highlight=False, no_color=no_color or None)


def only_ascii(file: t.TextIO) -> bool:
    """Can it be that a file takes only ASCII? Without an encoding it is in memory."""
    return not (file.encoding or "utf-8").lower().startswith("utf")


def plain(summary: Summary, ascii_only: bool = False) -> str:
    """Return a summary as text."""
    texts = Layout(WIDTH, ascii_only).summary(summary)
    return "\n".join(text.plain for text in texts)


def plain_sections(sections: t.Iterable[Section]) -> str:
    """Return sections as text."""
    texts = Layout(WIDTH, ascii_only=False).sections(sections)
    return "\n".join(text.plain for text in texts).strip()
