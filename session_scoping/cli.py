"""The command line: ``session-scoping``, and in ``flask`` its command ``check``.

The exit statuses are in ``status``.

``flask`` imports this module for each of its commands. So each command imports what it
needs when it runs.
"""

import typing as t
from functools import wraps

import click
from flask.cli import ScriptInfo

from session_scoping.errors import CannotTell
from session_scoping.status import Status

if t.TYPE_CHECKING:
    from session_scoping.compare.upgrade import Comparison
    from session_scoping.compare.upgrade import Culprit
    from session_scoping.report.output import Files

P = t.ParamSpec("P")
Command = t.TypeVar("Command", bound=t.Callable[..., t.Any])


class Commands(click.Group):
    """A group with a default: without the name of a command, ``check`` runs."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in {"--help", "--version"}:
            args = ["check", *args]
        return super().parse_args(context, args)


def exits(run: t.Callable[P, Status]) -> t.Callable[P, None]:
    """Make a command end with the status that it returns, and an error with a line."""

    @wraps(run)
    def command(*args: P.args, **given: P.kwargs) -> None:
        try:
            status = run(*args, **given)
        except (CannotTell, ImportError) as error:
            why = str(error)
            if isinstance(error, ImportError):
                from session_scoping.rules.defects import of_import

                why = of_import(error)
            click.echo(f"session-scoping: {' '.join(why.split())}", err=True)
            status = Status.CANNOT_TELL
        except KeyboardInterrupt:
            click.echo("session-scoping: interrupted", err=True)
            status = Status.INTERRUPTED
        click.get_current_context().exit(status)

    return command


def options(*added: t.Callable[[Command], Command]) -> t.Callable[[Command], Command]:
    """Add parameters that several commands have."""

    def add(command: Command) -> Command:
        for parameter in reversed(added):
            command = parameter(command)
        return command

    return add


reports = options(
    click.option("--html", type=click.Path(), help="Save a report as an HTML page."),
    click.option("--json", type=click.Path(), help="Save all that was seen as JSON."),
)
sides = options(
    click.argument("before"),
    click.argument("after"),
    click.option(
        "--without",
        multiple=True,
        metavar="PACKAGE",
        help="Do not install flask-sqlalchemy, or flask-sqlalchemy-lite.",
    ),
    click.option(
        "--app",
        metavar="MODULE:NAME",
        default="",
        help="Drive this app, too, in this environment with only the compared package "
        "replaced.",
    ),
    click.option(
        "--client",
        metavar="MODULE:FUNCTION",
        default="",
        help="With --app: a function that takes the app and returns a logged-in test "
        "client.",
    ),
    click.option("--pre", is_flag=True, help="Allow pre-releases, too."),
    reports,
)


@click.group(
    cls=Commands,
    epilog="session-scoping --app MODULE:NAME is short for session-scoping check --app "
    "MODULE:NAME.",
)
@click.version_option(package_name="flask-admin-session-scoping")
def main() -> None:
    """Prove that Flask-Admin keeps its SQLAlchemy sessions inside requests."""


@main.command()
@click.option(
    "--app",
    metavar="MODULE:NAME",
    help="The app, or a factory. With flask it is named before the command.",
)
@click.option(
    "--faults", is_flag=True, help="Fail each operation at each of its steps."
)
@click.option(
    "--write",
    is_flag=True,
    help="Drive the operations that write, too, on rows made for it. Names the "
    "database and asks first.",
)
@click.option("--yes", is_flag=True, help="With --write: do not ask, as in a CI job.")
@click.option(
    "--client",
    metavar="MODULE:FUNCTION",
    help="A function that takes the app and returns a logged-in test client.",
)
@click.option(
    "--leave-alone",
    multiple=True,
    metavar="PATTERN",
    help="Ignore sessions made where 'file:line in function' matches this shell-style "
    "pattern. May be given more than once.",
)
@reports
@click.pass_context
@exits
def check(
    context: click.Context,
    /,
    app: str | None,
    html: str | None,
    json: str | None,
    **how: t.Any,
) -> Status:
    """Check the admin of an app: which rule is broken, and where?

    Reads everything in the admin, and prints which rule is broken, by which view, at
    which line, and what to change. Writes nothing to the database without --write.
    """
    target = app or context.find_object(ScriptInfo)
    if target is None:
        raise click.MissingParameter(param_hint="'--app'", param_type="option")

    from session_scoping.checking import check_app
    from session_scoping.report.output import Files

    return check_app(target, Files(html, json), **how).outcome.status


@main.command()
@reports
@exits
def verdict(html: str | None, json: str | None) -> Status:
    """Say which rule holds with which handle, in the Flask-Admin that is installed.

    Drives a reference admin, the bookshop. Exit status: 0 when every rule holds, but
    for known defects that no release fixes; 1 when a rule is broken; 2 when it could
    not tell.
    """
    from session_scoping.compare.survey import survey
    from session_scoping.report.output import Files
    from session_scoping.report.output import progress
    from session_scoping.report.survey import summarize

    files = Files(html, json)
    with progress("the bookshop") as [doing]:
        doing("driving it on each handle")
        found = survey()
    files.report(summarize(found), found)
    return found.status


@main.command()
@sides
@exits
def upgrade(
    before: str, after: str, html: str | None, json: str | None, **job: t.Any
) -> Status:
    """Compare two releases: which rules held BEFORE, and which hold AFTER.

    A side is a requirement, as flask-admin==2.2.0 or flask<3.1, or `latest`, the path
    of a checkout, or git+ an address. Each gets an environment of its own.
    """
    from session_scoping.compare.upgrade import compare
    from session_scoping.compare.upgrade import Job
    from session_scoping.report.output import Files
    from session_scoping.report.output import progress

    files = Files(html, json)
    with progress(before, after) as both:
        found = compare(before, after, Job(**job), both)
    return report_comparison(found, files)


@main.command()
@sides
@exits
def bisect(
    before: str, after: str, html: str | None, json: str | None, **job: t.Any
) -> Status:
    """Find the first release from BEFORE to AFTER that breaks a rule."""
    from session_scoping.compare.upgrade import bisect
    from session_scoping.compare.upgrade import Job
    from session_scoping.report.output import Files
    from session_scoping.report.output import progress

    files = Files(html, json)
    with progress(f"{before} … {after}") as [doing]:
        found = bisect(before, after, Job(**job), doing)
    return report_comparison(found, files)


def report_comparison(found: "Comparison | Culprit", files: "Files") -> Status:
    """Print and save a comparison, and return the exit status."""
    from session_scoping.report.upgrade import summarize

    files.report(summarize(found), found)
    return found.status


@main.command()
@click.argument("path")
@click.option(
    "--overwrite", is_flag=True, help="Try this module in the place of one there."
)
@exits
def fork(path: str, overwrite: bool) -> Status:
    """Try the drop-in in a Flask-Admin checkout, under that project's own settings.

    Runs pytest, ruff and mypy, as the checkout sets them up, in a copy: the checkout
    stays as it is.
    """
    from session_scoping.compare.fork import check
    from session_scoping.report.output import progress

    with progress(path) as [doing]:
        results = check(path, overwrite, doing)
    for result in results:
        click.echo(
            f"{result.tool:<12} {'passes' if result.passed else 'FAILS'}: {result.last}"
        )
    failed = [result for result in results if not result.passed]
    for result in failed:
        click.echo(f"\n{result.tool}:\n{result.said}")
    return Status.BROKEN if failed else Status.HOLDS
