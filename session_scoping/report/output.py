"""What a command prints and saves, and what it shows while it works."""

import json
import typing as t
from contextlib import contextmanager
from pathlib import Path

from rich import progress as columns
from rich.console import Console

from session_scoping.errors import CannotTell
from session_scoping.report.page import page
from session_scoping.report.summary import Summary
from session_scoping.report.terminal import show

Doing = t.Callable[[str], object]  # takes what is being done


class Plain(t.Protocol):
    """What can be saved."""

    def to_json(self) -> dict[str, t.Any]:
        """Return it as plain data."""


class Files:
    """The files to save: a report as HTML, and all that was seen as JSON."""

    def __init__(self, html: str | None, json: str | None) -> None:
        """Raise ``CannotTell`` if they cannot be written, before the work is done."""
        if html is not None and html == json:
            raise CannotTell(f"--html and --json both name {html!r}: name two files")
        self.html, self.json = html, json
        for path in (html, json):
            if path is not None:
                _check_writable(path)

    def report(self, summary: Summary, found: Plain) -> None:
        """Print a summary, and save it. ``found`` is what it is about."""
        show(summary)
        self.save(lambda: page(summary), found)

    def save(self, html: t.Callable[[], str], found: Plain) -> None:
        """Save what was found. ``html`` makes the page, if it is wanted."""
        if self.html is not None:
            _write(self.html, html())
        if self.json is not None:
            _write(self.json, json.dumps(found.to_json()))


def _check_writable(path: str) -> None:
    file = Path(path)
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            return  # a pipe would take the opening for the report
        new = not file.exists()
        file.open("a").close()
        if new:
            file.unlink()
    except OSError as error:
        raise _cannot_write(path, error) from error


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: str, error: OSError) -> CannotTell:
    why = error.strerror or str(error)
    return CannotTell(
        f"cannot write {path!r}: {why}: name a file in a folder that exists"
    )


@contextmanager
def progress(*titles: str) -> t.Iterator[list[Doing]]:
    """Show a line for each title on a terminal. Elsewhere show nothing.

    Gives a function for each title, which takes what is being done.
    """
    console = Console(stderr=True)
    with columns.Progress(
        columns.SpinnerColumn(),
        columns.TextColumn("{task.description}", markup=False),
        columns.TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as shown:

        def line(title: str) -> Doing:
            task = shown.add_task(title, total=None)
            return lambda doing: shown.update(task, description=f"{title}: {doing}")

        yield [line(title) for title in titles]
