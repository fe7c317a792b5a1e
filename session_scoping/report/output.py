"""What a command prints and saves, and what it shows while it works."""

import json
import os
import typing as t
from pathlib import Path

import click

from session_scoping.compare.progress import Progress
from session_scoping.errors import CannotTell
from session_scoping.report.page import page
from session_scoping.report.progress import progress
from session_scoping.report.run import Run
from session_scoping.report.summary import Summary
from session_scoping.report.terminal import show

Make = t.Callable[[], str]  # the content of a file, if it is wanted
WHAT = {
    "html": "the report",
    "json": "all that was seen",
    "sarif": "the findings for code scanning",
}


class Plain(t.Protocol):
    """What can be saved."""

    def to_json(self) -> dict[str, t.Any]:
        """Return it as plain data."""


class Output:
    """The terminal of a command, and the files that it saves."""

    def __init__(self, no_color: bool = False, **paths: str | None) -> None:
        """``paths``: by the name of the option, which is a key of ``WHAT``.

        Raises ``CannotTell`` if a file cannot be written, before the work is done.
        """
        self.no_color = no_color
        self.paths = {name: path for name, path in paths.items() if path is not None}
        names: dict[str, str] = {}
        for name, path in self.paths.items():
            if not path:
                raise CannotTell(f"--{name} needs a file, not ''")
            if path.startswith("--"):
                raise CannotTell(f"--{name} needs a file, not the option {path}")
            other = names.setdefault(os.path.realpath(path), name)
            if other != name:
                raise CannotTell(
                    f"--{other} and --{name} both name {path!r}: name two files"
                )
            _check_writable(path)

    def progress(self, *titles: str) -> t.ContextManager[list[Progress]]:
        """Show a bar for each title in a ``with`` block, if there is a terminal."""
        return progress(*titles, no_color=self.no_color)

    def show(self, summary: Summary) -> None:
        """Print a summary."""
        show(summary, self.no_color)

    def report(self, summary: Summary, found: Plain) -> None:
        """Print a summary, and save it. ``found`` is what it is about."""
        self.show(summary)
        self.save(html=lambda: page(summary, Run.now()), json=lambda: in_json(found))

    def save(self, **contents: Make) -> None:
        """Save the files that are wanted, and say so."""
        for name, path in self.paths.items():
            _write(path, contents[name]())
            click.echo(f"--{name} saved {WHAT[name]}: {path}", err=True)


def in_json(found: Plain) -> str:
    """Return what was found as JSON."""
    return json.dumps(found.to_json())


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
