"""The command line: ``session-scoping``, and in ``flask`` its command ``check``.

The exit statuses are in ``status``.

``flask`` imports this module for each of its commands. So each command imports what it
needs when it runs.
"""

import typing as t
from functools import wraps

import click
from flask.cli import ScriptInfo

import session_scoping.interrupts as interrupts
from session_scoping.errors import CannotTell
from session_scoping.status import Status

if t.TYPE_CHECKING:
    from session_scoping.compare.upgrade import Comparison
    from session_scoping.compare.upgrade import Culprit
    from session_scoping.report.output import Output

P = t.ParamSpec("P")
Function = t.TypeVar("Function", bound=t.Callable[..., t.Any])


class InALine(click.ClickException):
    """What is wrong with a command line. It is printed as all errors are."""

    exit_code = Status.CANNOT_TELL

    def __init__(self, why: str, command: str) -> None:
        end = "" if why.endswith((".", "?")) else "."
        super().__init__(f"{why}{end} See {command} --help")

    def show(self, file: t.IO[t.Any] | None = None) -> None:
        """Print it."""
        click.echo(line(self.message), file, err=file is None)


class Command(click.Command):
    """A command that says in a line what is wrong with its arguments."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the same in ``flask`` as elsewhere: click keeps the first option."""
        return ["-h", "--help"]

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: t.Any,
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            name = f"{parent.command_path} {info_name}" if parent else str(info_name)
            raise InALine(error.format_message(), name) from error


class Commands(click.Group):
    """A group with a default: without the name of a command, ``check`` runs."""

    command_class = Command

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        elif args[0].startswith("-") and args[0] not in {"-h", "--help", "--version"}:
            args = ["check", *args]
        return super().parse_args(context, args)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(context, args)
        except click.UsageError as error:
            why = error.format_message()
            if ":" in args[0] or args[0].endswith(".py"):
                why = f"An app is named with --app: --app {args[0]}"
            elif args[0] == holding.name:
                why = "it asks a running app: flask --app APP session-scoping holding"
            raise InALine(why, context.command_path) from error


def line(why: str) -> str:
    """Return an error as every command prints it."""
    return f"session-scoping: {' '.join(why.split())}"


HELP = ["-h", "--help"]


class InFlask(Commands):
    """The same as a command of ``flask``, which had only ``check`` at first."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in HELP):
            args = ["check", *args]
        return super().parse_args(context, args)


def exits(run: t.Callable[P, Status]) -> t.Callable[P, None]:
    """Make a command end with the status that it returns, and an error with a line."""

    @wraps(run)
    def command(*args: P.args, **given: P.kwargs) -> None:
        try:
            with interrupts.raised():
                status = run(*args, **given)
        except (CannotTell, ImportError) as error:
            why = str(error)
            if isinstance(error, ImportError):
                from session_scoping.rules.defects import of_import

                why = of_import(error)
            click.echo(line(why), err=True)
            status = Status.CANNOT_TELL
        except KeyboardInterrupt:
            click.echo(interrupts.LINE, err=True, nl=False)
            status = Status.INTERRUPTED
        click.get_current_context().exit(status)

    return command


def options(
    *added: t.Callable[[Function], Function],
) -> t.Callable[[Function], Function]:
    """Add parameters that several commands have."""

    def add(command: Function) -> Function:
        for parameter in reversed(added):
            command = parameter(command)
        return command

    return add


no_color = click.option(
    "--no-color", is_flag=True, help="Print no colours, as with NO_COLOR=1."
)
reports = options(
    click.option(
        "--html", metavar="FILE", help="Save the report, which is a page of HTML."
    ),
    click.option("--json", metavar="FILE", help="Save all that was seen, as JSON."),
    no_color,
)
skip = click.option(
    "--skip",
    multiple=True,
    metavar="ENDPOINT",
    help="Do not request an endpoint, as that of a page that sends mail: a shell-style "
    "pattern. May be given more than once.",
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
        help="Drive this app, too, in this environment with only the compared package "
        "replaced.",
    ),
    click.option(
        "--client",
        metavar="MODULE:FUNCTION",
        help="With --app: a function that takes the app and returns a logged-in test "
        "client.",
    ),
    skip,
    click.option("--pre", is_flag=True, help="Allow pre-releases, too."),
    reports,
)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": HELP},
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
@skip
@click.option(
    "--leave-alone",
    multiple=True,
    metavar="PATTERN",
    help="Ignore sessions made where 'file:line in function' matches this shell-style "
    "pattern. May be given more than once.",
)
@click.option(
    "--sarif",
    metavar="FILE",
    help="Save the findings as SARIF, which GitHub's code scanning takes.",
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
    sarif: str | None,
    no_color: bool,
    **how: t.Any,
) -> Status:
    """Check the admin of an app: which rule is broken, and where?

    Reads everything in the admin, and prints which rule is broken, by which view, at
    which line, and what to change. Writes nothing to the database without --write.
    """
    target = app or context.find_object(ScriptInfo)
    if target is None:
        raise CannotTell("name the app: --app MODULE:NAME")
    for option in ("skip", "leave_alone"):
        if "" in how[option]:
            raise CannotTell(f"--{option.replace('_', '-')} needs a pattern, not ''")

    from session_scoping.checking import check_app
    from session_scoping.report.output import Output

    output = Output(no_color, html=html, json=json, sarif=sarif)
    return check_app(target, output, **how).outcome.status


@click.group(
    cls=InFlask,
    context_settings={"help_option_names": HELP},
    short_help="Check the admin, or list what holds a connection.",
)
def in_flask() -> None:
    """Check the admin of an app, or list what holds a connection now.

    Without a command, it checks: see flask session-scoping check --help.
    """


in_flask.add_command(check)


@in_flask.command()
@click.pass_context
@exits
def holding(context: click.Context, /) -> Status:
    """List what holds a connection now, in each process of the running app.

    The app has to name a socket in SESSION_SCOPING_SOCKET, and to use a Monitor.
    """
    from session_scoping.loading import load
    from session_scoping.monitor.settings import PREFIX
    from session_scoping.monitor.settings import read
    from session_scoping.monitor.sockets import ask

    setting = f"{PREFIX}SOCKET"
    settings, wrong = read(load(context.ensure_object(ScriptInfo)).config)
    path = settings.socket
    if not path:
        is_wrong = next(
            (line for line in wrong if line.startswith(f"{setting} is")), ""
        )
        raise CannotTell(
            is_wrong
            or f"{setting} is not set: name a socket there, such as "
            '"/run/shop/holding", and start the app again'
        )
    answers = ask(path)
    if all(found is None for _, found in answers):
        raise CannotTell(
            f"no process answers at {path}.*: the app has to run with a Monitor, and "
            "to have had a request; only the user that runs it may ask; an error of "
            "the monitor is in its log"
        )
    for process, found in answers:
        if found is None:
            click.echo(f"process {process}: no answer, see its log", err=True)
            continue
        click.echo(f"process {process}: {len(found)} out of the pool")
        for each in found:
            click.echo(str(each))
    return Status.HOLDS


@main.command()
@reports
@exits
def verdict(html: str | None, json: str | None, no_color: bool) -> Status:
    """Check the Flask-Admin that is installed: which rules hold?

    Drives a reference admin, the bookshop, with each kind of handle. Exit status: 0
    when every rule holds, but for known defects that no release fixes; 1 when a rule
    is broken; 2 when it could not tell.
    """
    from session_scoping.compare.survey import survey
    from session_scoping.report.output import Output
    from session_scoping.report.survey import summarize

    output = Output(no_color, html=html, json=json)
    with output.progress("the bookshop") as [doing]:
        found = survey(lambda part: doing("driving it with each handle", part))
    output.report(summarize(found), found)
    return found.status


@main.command()
@sides
@exits
def upgrade(
    before: str,
    after: str,
    html: str | None,
    json: str | None,
    no_color: bool,
    **job: t.Any,
) -> Status:
    """Compare two releases: which rules held, and which hold?

    A side is a requirement, as flask-admin==2.2.0 or flask<3.1, or `latest`, the path
    of a checkout, or git+ an address. Each gets an environment of its own.
    """
    from session_scoping.compare.upgrade import compare
    from session_scoping.compare.upgrade import Job
    from session_scoping.report.output import Output

    output = Output(no_color, html=html, json=json)
    with output.progress(before, after) as both:
        found = compare(before, after, Job(**job), both)
    return report_comparison(found, output)


@main.command()
@sides
@exits
def bisect(
    before: str,
    after: str,
    html: str | None,
    json: str | None,
    no_color: bool,
    **job: t.Any,
) -> Status:
    """Find the first release from BEFORE to AFTER that breaks a rule."""
    from session_scoping.compare.upgrade import bisect
    from session_scoping.compare.upgrade import Job
    from session_scoping.report.output import Output

    output = Output(no_color, html=html, json=json)
    with output.progress(f"{before} to {after}") as [doing]:
        found = bisect(before, after, Job(**job), doing)
    return report_comparison(found, output)


def report_comparison(found: "Comparison | Culprit", output: "Output") -> Status:
    """Print and save a comparison, and return the exit status."""
    from session_scoping.report.upgrade import summarize

    output.report(summarize(found), found)
    return found.status


@main.command()
@click.argument("names", nargs=-1)
@exits
def explain(names: tuple[str, ...]) -> Status:
    """Print the page of a rule or a cause.

    It says what is right, how it breaks, and how to fix it. Without a name it lists
    all pages.
    """
    import session_scoping.pages as pages
    from session_scoping.report.explained import show

    for text in [pages.text(name) for name in names or [pages.INDEX]]:
        show(text)
    return Status.HOLDS


@main.command()
@click.argument("path")
@click.option(
    "--overwrite", is_flag=True, help="Try this module in the place of one there."
)
@no_color
@exits
def fork(path: str, overwrite: bool, no_color: bool) -> Status:
    """Try the test module in a Flask-Admin checkout.

    Runs pytest, ruff and mypy with the settings of the checkout, in a copy: the
    checkout stays as it is.
    """
    from session_scoping.compare.fork import check
    from session_scoping.report.fork import summarize
    from session_scoping.report.output import Output

    output = Output(no_color)
    with output.progress(path) as [doing]:
        tried = check(path, overwrite, doing)
    summary = summarize(path, tried)
    output.show(summary)
    return summary.status
