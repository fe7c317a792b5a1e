"""The command: ``flask --app X session-scoping``, ``python -m session_scoping``.

Exit status: 0 if all rules hold, 1 if a rule is broken, 2 if it could not tell.

``flask`` imports this for each of its commands. Modules that are slow to import, or may
be missing, are imported when they are needed.
"""

import json
import typing as t
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import click
from flask.cli import ScriptInfo

from session_scoping.errors import CannotTell
from session_scoping.rules.defects import BY_ID

if t.TYPE_CHECKING:
    import flask

    from session_scoping.recording import Recording
    from session_scoping.rules.verdict import Verdict
    from session_scoping.watch.recorder import Recorder

BROKEN, CANNOT_TELL, INTERRUPTED = 1, 2, 130


def options(command: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
    """Add the options that both commands share."""
    for add in (
        click.option(
            "--leave-alone",
            multiple=True,
            metavar="PATTERN",
            help="Ignore sessions made where 'file:line in function' matches this "
            "shell-style pattern. May be given more than once.",
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
            "--faults", is_flag=True, help="Fail each operation at each of its steps."
        ),
    ):
        command = add(command)
    return command


@click.command("session-scoping")
@options
@click.pass_context
def command(context: click.Context, /, **given: t.Any) -> None:
    """Prove that the admin keeps its SQLAlchemy sessions inside requests.

    Reads everything in it, and prints which rule is broken, by which view, at which
    line, and what to change. Writes nothing to the database without --write.
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

    Reads everything in it, and prints which rule is broken, by which view, at which
    line, and what to change. Writes nothing to the database without --write.
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
    """Drive the app, print the verdict, and return the exit status."""
    from session_scoping.rules.verdict import Outcome

    try:
        check_paths(html_path, json_path)
        if yes and not write:
            raise CannotTell("--yes has no effect without --write: leave it out")
        recorder = make_recorder(leave_alone)
        recording = recorder.recording
        interrupted = False
        try:
            drive(recorder, target, client, faults, write, yes)
        except KeyboardInterrupt:
            interrupted = True
            leave_unfinished(recording)
        finally:
            recorder.stop()
        if interrupted and not recording.requests:
            say("interrupted before anything was seen")
            return INTERRUPTED
        note_unmatched(recording, leave_alone)
        verdict = report(recording)
        if verdict.outcome == Outcome.NOTHING_SEEN and not interrupted:
            raise CannotTell(nothing_seen(verdict, client))
        save(verdict, html_path, json_path)
    except CannotTell as error:
        say(" ".join(str(error).split()))
        return CANNOT_TELL
    if interrupted:
        return INTERRUPTED
    return 0 if verdict.holds else BROKEN


def say(line: str) -> None:
    click.echo(f"session-scoping: {line}", err=True)


def make_recorder(leave_alone: t.Sequence[str]) -> "Recorder":
    """Return a recorder. Raises ``CannotTell`` if a package does not import."""
    try:
        import session_scoping.drive.crawler
        import session_scoping.report.html
        import session_scoping.report.verdict  # noqa: F401
        from session_scoping.watch.recorder import Recorder
    except ImportError as error:
        fix = "install it, or releases that go together"
        if "T_SESSION" in str(error):
            defect = BY_ID["does-not-import"]
            fix = f"{defect.workaround} ({defect.sentence})"
        raise CannotTell(f"what it needs does not import: {error}: {fix}") from error
    return Recorder(leave_alone)


def drive(
    recorder: "Recorder",
    target: str | ScriptInfo,
    client: str | None,
    faults: bool,
    write: bool,
    yes: bool,
) -> None:
    """Load the app, and drive its admin while the recorder watches."""
    from session_scoping.drive.record import record
    from session_scoping.loading import load
    from session_scoping.loading import load_client
    from session_scoping.watch.places import where

    recorder.start()
    app = load(target, recorder)
    make_client = load_client(client) if client else None
    if write and not yes:
        confirm(app)
    try:
        with progress_bar() as progress:
            record(
                app,
                client=make_client,
                faults=faults,
                write=write,
                progress=progress,
                recorder=recorder,
            )
    except SystemExit as error:
        raise CannotTell(f"the app ends the program: {where(error)}") from error


def report(recording: "Recording") -> "Verdict":
    """Judge a recording, print the verdict, and return it."""
    from session_scoping.report.terminal import show
    from session_scoping.report.verdict import summarize
    from session_scoping.rules.judge import judge

    verdict = judge(recording)
    show(summarize(verdict))
    return verdict


def leave_unfinished(recording: "Recording") -> None:
    """Ignore the errors of requests that Ctrl-C has interrupted."""
    for request in recording.requests:
        if "KeyboardInterrupt" in request.exception + request.stream_exception:
            request.exception = request.stream_exception = ""
            request.status, request.ended = 0, 0.0
    recording.notes.append("interrupted: this is the verdict so far")


def note_unmatched(recording: "Recording", leave_alone: t.Sequence[str]) -> None:
    """Note the patterns that match no session: they may be misspelt."""
    places = {
        str(at) for session in recording.sessions for at in (session.place, session.own)
    }
    for pattern in leave_alone:
        if not any(fnmatch(place, pattern) for place in places):
            recording.notes.append(f"no session was made at {pattern}, to leave alone")


def nothing_seen(verdict: "Verdict", client: str | None) -> str:
    """Return why there is no verdict, by the first view that did not work."""
    recording = verdict.recording
    advice = (
        f"let {client} make a test client that may see it"
        if client
        else "name with --client MODULE:FUNCTION what makes a test client that may"
    )
    models = {number for number, view in enumerate(recording.views) if view.model}
    for failure in verdict.failures:
        if failure.view in models and failure.operation:
            name, why = verdict.label(failure.view), failure.failure
            return f"nothing was seen: {name}, {failure.does}: {why}: fix it first"
    if verdict.stopped:
        first = verdict.stopped[0]
        name = first.path if first.view is None else verdict.label(first.view)
        where = first.stopped[0].own or first.stopped[0].place
        return (
            f"nothing was seen: {name}, {first.operation or first.method} tries to "
            f"write, and was stopped ({where}): name a factory that makes the app "
            "without that"
        )
    for unseen in recording.unseen:
        if unseen.view in models:
            name = verdict.label(unseen.view)
            return (
                f"nothing was seen: {name}, {unseen.operation} {unseen.why}: {advice}"
            )
    return "nothing was seen: no view that uses a session has answered"


@contextmanager
def progress_bar() -> t.Iterator[t.Callable[[str, int, int], None]]:
    """Show a progress bar on a terminal. Elsewhere show nothing."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("")

        def progress(name: str, done: int, total: int) -> None:
            bar.update(task, description=name, completed=done, total=total)

        yield progress


def confirm(app: "flask.Flask") -> None:
    """Ask before anything is written. Raises ``CannotTell`` if the answer is no."""
    from session_scoping.drive.write.databases import databases
    from session_scoping.watch.places import where

    try:
        urls = databases(app)
    except Exception as error:
        raise CannotTell(
            f"cannot tell what --write would write to: {where(error)}"
        ) from error
    if not urls:
        return  # there is nothing to write to, which is reported later
    for url in urls:
        click.echo(
            f"--write makes, edits and deletes rows of its own in {url}", err=True
        )
    try:
        agreed = click.confirm("Go on?", err=True)
    except click.Abort:
        click.echo(err=True)
        agreed = False
    if not agreed:
        raise CannotTell("nothing was written: --write was not agreed to (--yes does)")


def check_paths(html_path: str | None, json_path: str | None) -> None:
    """Check where the reports go. Raises ``CannotTell`` if that is impossible."""
    if html_path is not None and html_path == json_path:
        raise CannotTell(f"--html and --json both name {html_path!r}: name two files")
    for path in (html_path, json_path):
        check_writable(path)


def check_writable(path: str | None) -> None:
    """Raise ``CannotTell`` if a report cannot be written, before the app is driven."""
    if path is None:
        return
    file = Path(path)
    try:
        if file.exists() and not (file.is_file() or file.is_dir()):
            return  # a pipe would take the opening for the report
        new = not file.exists()
        file.open("a").close()
        if new:
            file.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: str, error: OSError) -> CannotTell:
    why = error.strerror or str(error)
    return CannotTell(
        f"cannot write {path!r}: {why}: name a file in a folder that is there"
    )


def save(verdict: "Verdict", html_path: str | None, json_path: str | None) -> None:
    from session_scoping.report.html import html

    texts = {}
    if html_path is not None:
        texts[html_path] = html(verdict)
    if json_path is not None:
        texts[json_path] = json.dumps(verdict.to_json())
    for path, text in texts.items():
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise cannot_write(path, error) from error


if __name__ == "__main__":
    main()
