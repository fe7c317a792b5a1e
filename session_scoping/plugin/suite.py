"""Watches the requests of tests, and fails the tests in which a rule is broken."""

import dataclasses
import typing as t
from contextlib import contextmanager
from contextlib import nullcontext

import flask
import pytest

from session_scoping.errors import CannotTell
from session_scoping.pages import command
from session_scoping.plugin.annotations import annotate
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.report.lines import headline_of
from session_scoping.report.lines import nothing_seen
from session_scoping.report.summary import Section
from session_scoping.report.terminal import plain_sections
from session_scoping.report.verdict import lines_of
from session_scoping.rules.causes.contexts import outer_context
from session_scoping.rules.finding import Label
from session_scoping.rules.judge import judge
from session_scoping.rules.verdict import count
from session_scoping.rules.verdict import listed
from session_scoping.rules.verdict import Verdict
from session_scoping.watch.kept import stay_young
from session_scoping.watch.kinds import patterns
from session_scoping.watch.recorder import Recorder

if t.TYPE_CHECKING:
    from session_scoping.drive.client import MakeClient

T = t.TypeVar("T")
Made = tuple[Place | None, Place | None]  # the lines that have made a session
FAILURE = (Exception, pytest.fail.Exception)  # of a test
BLIND = "session_scoping"  # the property of a test that cannot be judged
FEW = 10  # tests to print the names of
ADVICE = (
    "let the fixture session_scoping_client return a function that makes a logged-in "
    "test client"
)
MAKES_CLIENT = "the function that session_scoping_client returns"


class SessionScoping:
    """The value of the fixture ``session_scoping``."""

    def __init__(
        self,
        item: pytest.Item,
        client: "MakeClient | None",
        leave_alone: list[str],
        skip: list[str],
    ) -> None:
        self._item = item
        self._client = client
        self._leave_alone = leave_alone
        self._skip = skip

    def check(
        self,
        app: flask.Flask,
        *,
        client: "MakeClient | None" = None,
        faults: bool = False,
        skip: t.Sequence[str] = (),
        leave_alone: t.Sequence[str] = (),
    ) -> Verdict:
        """Read all of the admin of ``app``, and return the verdict.

        The test fails if a rule is broken, or if there is nothing to see. The arguments
        are those of ``session_scoping.record``; the default of ``client`` is the value
        of the fixture ``session_scoping_client``.
        """
        from session_scoping.drive.client import checked
        from session_scoping.drive.record import record

        alone = patterns(leave_alone, "leave_alone")
        if client is None and self._client is not None:
            client = checked(self._client, MAKES_CLIENT)
        try:
            recording = record(
                app,
                client=client,
                faults=faults,
                skip=[*self._skip, *patterns(skip, "skip")],
                leave_alone=[*self._leave_alone, *alone],
            )
        except CannotTell as error:
            pytest.fail(str(error), pytrace=False)
        verdict = judge(recording)
        fail_if_broken(self._item, verdict)
        if not verdict.holds:
            pytest.fail(nothing_seen(verdict, ADVICE), pytrace=False)
        return verdict

    @contextmanager
    def watch(
        self, app: flask.Flask, *, leave_alone: t.Sequence[str] = ()
    ) -> t.Iterator[Recording]:
        """Watch the requests that the test makes in a ``with`` block.

        Gives the recording. The test fails at the end of the block if a rule is broken,
        or if no request was made.
        """
        alone = patterns(leave_alone, "leave_alone")
        recorder = Recorder([*self._leave_alone, *alone])
        with recorder:
            recorder.learn(app)
            try:
                yield recorder.recording
            except FAILURE:
                add_report_section(self._item, verdict_of_test(recorder, failed=True))
                raise
        fail_if_broken(self._item, verdict_of_test(recorder))
        if not recorder.recording.requests:
            pytest.fail("no request was made: there is nothing to judge", pytrace=False)


class Suite:
    """Watches the requests of all tests, and judges each test by its own requests.

    With ``judges=False`` it only records where sessions are made, for later recorders.
    """

    def __init__(
        self, leave_alone: list[str], own_contexts: bool, judges: bool
    ) -> None:
        self.judges = judges
        self.own_contexts = own_contexts
        self.blind: list[str] = []  # tests that cannot be judged
        self.imported: set[Made] = set()  # where the imports have made sessions
        self.lent: set[int] = set()  # sessions that fixtures have left to a test
        self.recorder = Recorder(leave_alone, own_contexts and judges)
        self.recorder.start()

    def end(self) -> None:
        """Stop watching."""
        self.recorder.stop()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> t.Generator[None, T, T]:
        with stay_young() if self.judges else nullcontext():
            return (yield)

    def pytest_collection_finish(self) -> None:
        """Remember what the modules of the app and of the tests have left open."""
        sessions = self.recorder.recording.sessions
        self.imported = {(each.place, each.own) for each in sessions}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.recorder.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> t.Generator[None, T, T]:
        self.lent = {
            session.number
            for session in self.recorder.recording.sessions
            if session.registry is not None
            and session.born_in is None
            and (session.place, session.own) not in self.imported
        }
        try:
            result = yield
        except FAILURE:
            if verdict := self.verdict(failed=True):
                add_report_section(item, verdict)
            raise
        verdict = self.verdict()
        if verdict and in_outer_context(verdict):
            item.user_properties.append((BLIND, "in an app context"))
        elif verdict:
            fail_if_broken(item, verdict)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a test that cannot be judged, which another process may have run."""
        if report.when == "call" and BLIND in dict(report.user_properties):
            self.blind.append(report.nodeid)

    def pytest_terminal_summary(
        self, terminalreporter: "pytest.TerminalReporter"
    ) -> None:
        if self.blind:
            terminalreporter.write_sep("=", "session scoping", yellow=True)
            terminalreporter.write_line(
                f"nothing is known of {count(self.blind, 'test')} that made requests "
                f"inside an app context. {outer_context.sentence}\n{outer_context.fix}"
                f"\n{Label.MORE}: {command(outer_context.page)}"
            )
            terminalreporter.write_line(
                "Or let --session-scoping-own-context run each request in a context of "
                "its own."
            )
            names = [f"- {name}" for name in self.blind]
            terminalreporter.write_line(listed(names, FEW, "\n"))
        if self.own_contexts and terminalreporter.stats.get("failed"):
            terminalreporter.write_line(
                "session scoping: each request ran in an app context of its own. A "
                "test fails by that if it shares `flask.g`, such as a login, or rows "
                "with its requests. Without the option it passes: see docs/own-app.md."
            )

    def verdict(self, failed: bool = False) -> Verdict | None:
        """Return the verdict on the requests of a test, or ``None`` if it made none."""
        if not self.judges or not self.recorder.recording.requests:
            return None
        try:
            verdict = verdict_of_test(self.recorder, failed, self.lent)
        finally:
            self.recorder.start()
        return on_views(
            verdict, {request.view for request in verdict.recording.requests}
        )


def verdict_of_test(
    recorder: Recorder, failed: bool = False, lent: t.Container[int] = ()
) -> Verdict:
    """Return the verdict on a test. It ignores what only the test keeps.

    A ``scoped_session`` gives the thread of a test one session. So the first request
    gets the session that a fixture has used. ``lent``: the numbers of such sessions,
    which are ignored, too.

    ``failed``: the traceback of a failed test keeps its sessions. That of a request
    that failed is kept by the record of the log, which pytest shows.
    """
    recording = recorder.stop()
    logged = {
        use.session
        for request in recording.requests
        if request.exception
        for use in request.uses
    }
    recording.kept_instances = [
        kept for kept in recording.kept_instances if kept.kept_by
    ]
    for session in recording.sessions:
        by_traceback = failed or session.number in logged
        thread_local = session.maker == Maker.SCOPED_SESSION and not by_traceback
        session.kept = session.kept and bool(session.kept_by or thread_local)
        if session.number in lent:
            session.empty = True  # of all that the app has done with it
    return judge(recording)


def on_views(verdict: Verdict, views: t.Container[int | None]) -> Verdict:
    """Return the verdict on some views, and on what belongs to no view."""
    violations = tuple(
        violation
        for violation in verdict.violations
        if violation.view in views
        or (violation.view is None and not violation.requests)
    )
    return dataclasses.replace(verdict, violations=violations)


def in_outer_context(verdict: Verdict) -> bool:
    """Is an app context around the requests of the test the only cause?"""
    causes = {violation.cause for violation in verdict.violations}
    return causes == {outer_context}


def fail_if_broken(item: pytest.Item, verdict: Verdict) -> None:
    """Fail the test if a rule is broken."""
    if verdict.findings:
        annotate(item, verdict)
        pytest.fail(message(verdict), pytrace=False)


def add_report_section(item: pytest.Item, verdict: Verdict) -> None:
    """Add broken rules to the report of a test that has failed by itself."""
    if verdict.findings:
        annotate(item, verdict)
        item.add_report_section("call", "session scoping", message(verdict))


def message(verdict: Verdict) -> str:
    """Return the message of a failed test: its findings, and nothing that holds."""
    return plain_sections(
        Section(headline_of(verdict, finding), tuple(lines_of(verdict, finding)))
        for finding in verdict.findings
    )
