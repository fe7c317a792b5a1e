"""The command ``session-scoping``: an app, an upgrade, a range of releases, a fork.

Exit status: 0 if what held still holds, 1 if something is broken, 2 if it could not
tell.
"""

import json
import typing as t
from contextlib import contextmanager
from pathlib import Path

import click

from session_scoping.cli import CANNOT_TELL
from session_scoping.cli import cannot_write
from session_scoping.cli import check_paths
from session_scoping.cli import INTERRUPTED
from session_scoping.cli import main as check
from session_scoping.cli import say
from session_scoping.errors import CannotTell

if t.TYPE_CHECKING:
    from session_scoping.compare.upgrade import Comparison
    from session_scoping.compare.upgrade import Culprit
    from session_scoping.compare.upgrade import Job
    from session_scoping.compare.upgrade import Progress


class Commands(click.Group):
    """A group with a default: without a command name, ``check`` runs."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in {"--help", "--version"}:
            args = ["check", *args]
        return super().parse_args(context, args)


@click.group(
    cls=Commands,
    epilog="session-scoping --app MODULE:NAME is short for session-scoping check --app "
    "MODULE:NAME.",
)
@click.version_option(package_name="flask-admin-session-scoping")
def main() -> None:
    """Prove that Flask-Admin keeps its SQLAlchemy sessions inside requests."""


main.add_command(check, "check")


def sides(command: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """Add the options of the commands that compare releases."""
    for add in (
        click.option(
            "--html", "html_path", type=click.Path(), help="Save a page to look at."
        ),
        click.option(
            "--json",
            "json_path",
            type=click.Path(),
            help="Save every cell, before and after.",
        ),
        click.option("--pre", is_flag=True, help="Allow pre-releases, too."),
        click.option(
            "--client",
            metavar="MODULE:FUNCTION",
            default="",
            help="With --app: what takes the app and returns a logged-in test client.",
        ),
        click.option(
            "--app",
            metavar="MODULE:NAME",
            default="",
            help="Drive this app, too, in its own environment but for the one package.",
        ),
        click.option(
            "--without",
            multiple=True,
            metavar="PACKAGE",
            help="Do not install flask-sqlalchemy, or flask-sqlalchemy-lite.",
        ),
        click.argument("after"),
        click.argument("before"),
    ):
        command = add(command)
    return command


@main.command()
@click.option("--html", "html_path", type=click.Path(), help="Save a page to look at.")
@click.option("--json", "json_path", type=click.Path(), help="Save all that was seen.")
@click.pass_context
def verdict(
    context: click.Context, /, html_path: str | None, json_path: str | None
) -> None:
    """Say which rule holds with which handle, in the Flask-Admin that is installed.

    Drives a reference admin, the bookshop. Exit status: 0 when every rule holds, but
    for known defects that no release fixes; 1 when one is broken; 2 when it could not
    tell.
    """
    from session_scoping.compare.survey import survey
    from session_scoping.report.page import page
    from session_scoping.report.survey import summarize
    from session_scoping.report.terminal import show

    def run() -> int:
        check_paths(html_path, json_path)
        with progress_of("the bookshop") as [doing]:
            doing("driving it on each handle")
            found = survey()
        show(summarize(found))
        if json_path is not None:
            _save(json_path, json.dumps(found.to_json()))
        if html_path is not None:
            _save(html_path, page(summarize(found)))
        return found.status

    context.exit(status_of(run))


@main.command()
@sides
@click.pass_context
def upgrade(context: click.Context, /, before: str, after: str, **given: t.Any) -> None:
    """Compare two releases: which rules held BEFORE, and which hold AFTER.

    A side is a requirement, as flask-admin==2.2.0 or flask<3.1, or `latest`, the path
    of a checkout, or git+ an address. Each gets an environment of its own.
    """
    from session_scoping.compare.upgrade import compare

    def run(job: "Job") -> "Comparison":
        with progress_of(before, after) as both:
            return compare(before, after, job, both)

    context.exit(report(run, **given))


@main.command()
@sides
@click.pass_context
def bisect(context: click.Context, /, before: str, after: str, **given: t.Any) -> None:
    """Find the first release from BEFORE to AFTER that breaks a rule."""
    from session_scoping.compare.upgrade import bisect

    def run(job: "Job") -> "Comparison | Culprit":
        with progress_of(f"{before} … {after}") as [only]:
            return bisect(before, after, job, only)

    context.exit(report(run, **given))


@main.command()
@click.argument("path")
@click.option(
    "--overwrite", is_flag=True, help="Try this module in the place of one there."
)
@click.pass_context
def fork(context: click.Context, /, path: str, overwrite: bool) -> None:
    """Try the drop-in in a Flask-Admin checkout, under that project's own settings.

    Runs pytest, ruff and mypy, as the checkout sets them up, in a copy: the checkout
    stays as it is.
    """
    from rich.console import Console

    from session_scoping.compare.fork import check

    console = Console(stderr=True)
    try:
        with console.status("") as status:
            results = check(path, overwrite, lambda doing: status.update(doing))
    except CannotTell as error:
        say(" ".join(str(error).split()))
        context.exit(CANNOT_TELL)
    except KeyboardInterrupt:
        say("interrupted: the checkout is as it was")
        context.exit(INTERRUPTED)
    for result in results:
        click.echo(
            f"{result.tool:<12} {'passes' if result.passed else 'FAILS'}: {result.last}"
        )
    for result in results:
        if not result.passed:
            click.echo(f"\n{result.tool}:\n{result.said}")
    context.exit(0 if all(result.passed for result in results) else 1)


def report(
    run: "t.Callable[[Job], Comparison | Culprit]",
    without: tuple[str, ...],
    app: str,
    client: str,
    pre: bool,
    json_path: str | None,
    html_path: str | None,
) -> int:
    """Compare, print and save the result, and return the exit status."""
    from session_scoping.compare.upgrade import Culprit
    from session_scoping.compare.upgrade import Job
    from session_scoping.report.page import page
    from session_scoping.report.terminal import show
    from session_scoping.report.upgrade import summarize

    def compare() -> int:
        check_paths(html_path, json_path)
        found = run(Job(without, app, client, pre))
        show(summarize(found))
        comparison = found.comparison if isinstance(found, Culprit) else found
        if json_path is not None:
            _save(json_path, json.dumps(comparison.to_json()))
        if html_path is not None:
            _save(html_path, page(summarize(found)))
        return comparison.status

    return status_of(compare)


def status_of(run: t.Callable[[], int]) -> int:
    """Run a command, and return its exit status. An error is printed in a line."""
    try:
        return run()
    except CannotTell as error:
        say(" ".join(str(error).split()))
        return CANNOT_TELL
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED


def _save(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from error


@contextmanager
def progress_of(*titles: str) -> "t.Iterator[list[Progress]]":
    """Show progress on a terminal, a line for each title. Elsewhere print nothing."""
    from rich import progress as lines
    from rich.console import Console

    console = Console(stderr=True)
    columns = (
        lines.SpinnerColumn(),
        lines.TextColumn("{task.description}"),
        lines.TimeElapsedColumn(),
    )
    silent = not console.is_terminal
    with lines.Progress(
        *columns, console=console, transient=True, disable=silent
    ) as shown:

        def line(title: str) -> "Progress":
            task = shown.add_task(title)

            def doing(what: str) -> None:
                shown.update(task, description=f"{title}: {what}")

            return doing

        yield [line(title) for title in titles]
