"""Checks an app: loads it, drives its admin, and reports the verdict."""

import typing as t
from fnmatch import fnmatch

import click
import flask
from flask.cli import ScriptInfo

import session_scoping.interrupts as interrupts
from session_scoping.drive.record import record
from session_scoping.drive.skip import Skip
from session_scoping.drive.write.databases import databases
from session_scoping.errors import CannotTell
from session_scoping.loading import load
from session_scoping.loading import load_client
from session_scoping.recording import Obstacle
from session_scoping.recording import Recording
from session_scoping.report.annotations import annotations
from session_scoping.report.html import html
from session_scoping.report.lines import nothing_seen
from session_scoping.report.output import in_json
from session_scoping.report.output import Output
from session_scoping.report.run import Run
from session_scoping.report.sarif import sarif
from session_scoping.report.verdict import summarize
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import Outcome
from session_scoping.rules.verdict import Verdict
from session_scoping.status import Status
from session_scoping.watch.places import where
from session_scoping.watch.recorder import Recorder


def check_app(
    target: str | ScriptInfo,
    output: Output,
    *,
    client: str | None,
    faults: bool,
    write: bool,
    yes: bool,
    skip: t.Sequence[str],
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
            make_client = None if client is None else load_client(client)
            if write and not yes:
                confirm(app, skip)
            with interrupts.held():
                interrupted = False
                try:
                    with output.progress(app.import_name) as [doing]:
                        record(
                            app,
                            client=make_client,
                            faults=faults,
                            write=write,
                            skip=skip,
                            progress=lambda name, done, total: doing(
                                name, done / total
                            ),
                            recorder=recorder,
                        )
                except KeyboardInterrupt:
                    interrupted = True
                    note = "interrupted: this is the verdict so far"
                    recorder.recording.notes.append(note)
                recorder.stop()
                if make_client is None and not interrupted:
                    note_login(recorder.recording)
                verdict = report(recorder.recording, leave_alone, output)
                if interrupted:
                    raise KeyboardInterrupt
    except SystemExit as error:
        raise CannotTell(f"the app ends the program: {where(error)}") from error
    if verdict.outcome.status == Status.CANNOT_TELL:
        advice = (
            f"check that {client} logs in, as a user who is allowed to see it"
            if client
            else "give a test client that may see it, with --client MODULE:FUNCTION"
        )
        raise CannotTell(nothing_seen(verdict, advice))
    return verdict


def confirm(app: flask.Flask, skip: t.Sequence[str]) -> None:
    """Ask before anything is written. Raises ``CannotTell`` if the answer is no."""
    Skip(app, skip)  # is each pattern right?
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
    skipped = f" It skips {', '.join(skip)}." if skip else ""
    click.echo(
        "It opens the pages and posts the forms of the admin. What the app does then "
        "beyond the database, such as to send mail, is done: --skip ENDPOINT skips a "
        f"page.{skipped}",
        err=True,
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


def report(
    recording: Recording, leave_alone: t.Sequence[str], output: Output
) -> Verdict:
    """Judge a recording, and print the verdict. Save it if something was seen."""
    note_unmatched(recording, leave_alone)
    verdict = judge(recording)
    output.show(summarize(verdict))
    for annotation in annotations(verdict):
        print(annotation, flush=True)
    if verdict.outcome != Outcome.NOTHING_SEEN:
        output.save(
            html=lambda: html(verdict, Run.now()),
            json=lambda: in_json(verdict),
            sarif=lambda: sarif(verdict),
        )
    return verdict


def note_login(recording: Recording) -> None:
    """Note that pages may need a login, where a view has refused the client.

    A view that shows another page does not ask for a login.
    """
    shown = {request.view for request in recording.requests if request.status == 200}
    if any(
        unseen.obstacle == Obstacle.CLIENT and unseen.view not in shown
        for unseen in recording.unseen
    ):
        recording.notes.append(
            "the pages that were not driven may need a login: let --client "
            "MODULE:FUNCTION name a function that takes the app and returns a test "
            "client that is logged in"
        )


def note_unmatched(recording: Recording, leave_alone: t.Sequence[str]) -> None:
    """Note the patterns that match no session: they may be misspelt."""
    places = {
        str(at) for session in recording.sessions for at in (session.place, session.own)
    }
    for pattern in leave_alone:
        if not any(fnmatch(place, pattern) for place in places):
            recording.notes.append(f"no session was made at {pattern}, to leave alone")
