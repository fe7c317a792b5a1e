"""Checks an app: loads it, drives its admin, and reports the verdict."""

import typing as t
from fnmatch import fnmatch

import click
import flask
from flask.cli import ScriptInfo

from session_scoping.drive.record import record
from session_scoping.drive.write.databases import databases
from session_scoping.errors import CannotTell
from session_scoping.loading import load
from session_scoping.loading import load_client
from session_scoping.recording import Recording
from session_scoping.report.html import html
from session_scoping.report.lines import nothing_seen
from session_scoping.report.output import Files
from session_scoping.report.output import progress
from session_scoping.report.terminal import show
from session_scoping.report.verdict import summarize
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import Outcome
from session_scoping.rules.verdict import Verdict
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder


def check_app(
    target: str | ScriptInfo,
    files: Files,
    *,
    client: str | None,
    faults: bool,
    write: bool,
    yes: bool,
    leave_alone: t.Sequence[str],
) -> Verdict:
    """Drive the admin of an app. Print the verdict, save it, and return it.

    ``target`` is ``module:name`` or what the options of ``flask`` name; the other
    arguments are the options of the command ``check``. Raises ``CannotTell`` if there
    is no verdict. After Ctrl-C it reports what was seen until then, and raises
    ``KeyboardInterrupt``.
    """
    if yes and not write:
        raise CannotTell("--yes has no effect without --write: leave it out")
    recorder = Recorder(leave_alone)
    try:
        with recorder:
            app = load(target, recorder)
            make_client = load_client(client) if client else None
            if write and not yes:
                confirm(app)
            with progress(app.import_name) as [doing]:
                record(
                    app,
                    client=make_client,
                    faults=faults,
                    write=write,
                    progress=lambda name, done, total: doing(
                        f"{done} of {total}: {name}"
                    ),
                    recorder=recorder,
                )
    except SystemExit as error:
        raise CannotTell(f"the app ends the program: {where(error)}") from error
    except KeyboardInterrupt:
        if recorder.recording.requests:
            leave_unfinished(recorder.recording)
            report(recorder.recording, leave_alone, files)
        raise
    verdict = report(recorder.recording, leave_alone, files)
    if verdict.outcome == Outcome.NOTHING_SEEN:
        advice = (
            f"let {client} make a test client that may see it"
            if client
            else "give a test client that may see it, with --client MODULE:FUNCTION"
        )
        raise CannotTell(nothing_seen(verdict, advice))
    return verdict


def confirm(app: flask.Flask) -> None:
    """Ask before anything is written. Raises ``CannotTell`` if the answer is no."""
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
        raise CannotTell(
            "nothing was written: the answer was not yes (--yes answers it)"
        )


def leave_unfinished(recording: Recording) -> None:
    """Ignore the errors of requests that Ctrl-C has interrupted."""
    for request in recording.requests:
        if "KeyboardInterrupt" in request.exception + request.stream_exception:
            request.exception = request.stream_exception = ""
            request.status, request.ended = 0, 0.0
    recording.notes.append("interrupted: this is the verdict so far")


def report(recording: Recording, leave_alone: t.Sequence[str], files: Files) -> Verdict:
    """Judge a recording, and print the verdict. Save it if something was seen."""
    note_unmatched(recording, leave_alone)
    verdict = judge(recording)
    show(summarize(verdict))
    if verdict.outcome != Outcome.NOTHING_SEEN:
        files.save(lambda: html(verdict), verdict)
    return verdict


def note_unmatched(recording: Recording, leave_alone: t.Sequence[str]) -> None:
    """Note the patterns that match no session: they may be misspelt."""
    places = {
        str(at) for session in recording.sessions for at in (session.place, session.own)
    }
    for pattern in leave_alone:
        if not any(fnmatch(place, pattern) for place in places):
            recording.notes.append(f"no session was made at {pattern}, to leave alone")
