"""The command: ``flask --app X session-scoping``, ``python -m session_scoping``.

Exit status: 0 when all laws hold, 1 when one is broken, 2 when it could not tell.
"""

import json
import os
import typing as t
from contextlib import contextmanager
from pathlib import Path

import click
import flask
from flask.cli import ScriptInfo
from rich.console import Console
from rich.progress import Progress

from session_scoping.crawler import record
from session_scoping.errors import CannotTell
from session_scoping.laws import judge
from session_scoping.laws import Verdict
from session_scoping.ledger import databases
from session_scoping.loading import load
from session_scoping.loading import load_client
from session_scoping.recorder import Recorder
from session_scoping.reports.html import html
from session_scoping.reports.terminal import render
from session_scoping.reports.terminal import WIDTH

BROKEN, CANNOT_TELL, INTERRUPTED = 1, 2, 130


def options(command: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """The options that both commands share."""
    for add in (
        click.option(
            "--leave-alone",
            multiple=True,
            metavar="PATTERN",
            help="Hold nothing against sessions made where 'file:line in function' "
            "matches, as in a shell. May be given more than once.",
        ),
        click.option(
            "--json", "json_path", type=click.Path(), help="Save all that was seen."
        ),
        click.option(
            "--html", "html_path", type=click.Path(), help="Save a report to look at."
        ),
        click.option(
            "--client",
            metavar="MODULE:FUNCTION",
            help="A function that takes the app and returns a logged-in test client.",
        ),
        click.option(
            "--yes", is_flag=True, help="With --write: do not ask, as in a CI job."
        ),
        click.option(
            "--write",
            is_flag=True,
            help="Drive what writes, too, on rows made for it. Names the database and "
            "asks first.",
        ),
        click.option(
            "--faults", is_flag=True, help="Fail each operation at each statement."
        ),
    ):
        command = add(command)
    return command


@click.command("session-scoping")
@options
@click.pass_context
def command(context: click.Context, /, **given: t.Any) -> None:
    """Prove that the admin keeps its SQLAlchemy sessions inside requests.

    Drives all that can be read in it, and prints which law is broken, by which view, at
    which line, and what to change. Writes nothing to the database without --write.
    """
    context.exit(run(context.ensure_object(ScriptInfo), **given))


@click.command("session_scoping")
@click.option(
    "--app", required=True, metavar="MODULE:NAME", help="An app, or a factory."
)
@options
@click.pass_context
def main(context: click.Context, /, app: str, **given: t.Any) -> None:
    """Prove that the admin of an app keeps its SQLAlchemy sessions inside requests.

    Drives all that can be read in it, and prints which law is broken, by which view, at
    which line, and what to change. Writes nothing to the database without --write.
    """
    context.exit(run(app, **given))


def run(
    target: str | ScriptInfo,
    client: str | None,
    faults: bool,
    write: bool,
    yes: bool,
    leave_alone: t.Sequence[str],
    html_path: str | None,
    json_path: str | None,
) -> int:
    """Do it all, print it, and give the exit status."""
    recorder = Recorder(leave_alone)
    recorder.start()
    interrupted = False
    try:
        for path in (html_path, json_path):
            check_writable(path)
        make_client = load_client(client) if client else None
        app = load(target, recorder)
        if write and not yes:
            confirm(app)
        with progress_bar() as progress:
            record(
                app,
                client=make_client,
                faults=faults,
                write=write,
                progress=progress,
                recorder=recorder,
            )
    except CannotTell as error:
        click.echo(f"session-scoping: {error}", err=True)
        return CANNOT_TELL
    except KeyboardInterrupt:
        interrupted = True
        recorder.recording.notes.append("interrupted: this is the verdict so far")
    finally:
        recorder.stop()
    verdict = judge(recorder.recording)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    console.print(render(verdict))
    save(verdict, html_path, json_path)
    if interrupted:
        return INTERRUPTED
    if not verdict.seen:
        return CANNOT_TELL
    return 0 if verdict.holds else BROKEN


@contextmanager
def progress_bar() -> t.Iterator[t.Callable[[str, int, int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")

        def progress(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield progress


def confirm(app: flask.Flask) -> None:
    """Ask before anything is written. Raises ``CannotTell`` when the answer is no."""
    for url in databases(app):
        click.echo(
            f"--write makes, edits and deletes rows of its own in {url}", err=True
        )
    try:
        agreed = click.confirm("Go on?", err=True)
    except click.Abort:
        agreed = False
    if not agreed:
        raise CannotTell("nothing was written: --write was not agreed to (--yes does)")


def check_writable(path: str | None) -> None:
    """Better now than when all is done."""
    if path is None:
        return
    file = Path(path)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise CannotTell(f"cannot write {path}: give a file in a folder that is there")


def save(verdict: Verdict, html_path: str | None, json_path: str | None) -> None:
    if html_path:
        Path(html_path).write_text(html(verdict), encoding="utf-8")
    if json_path:
        Path(json_path).write_text(json.dumps(verdict.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
