"""The pytest plugin. It imports the library when an option or a fixture needs it."""

import dataclasses
import typing as t
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    import flask

    from session_scoping.drive.crawler import Crawler
    from session_scoping.drive.crawler import MakeClient
    from session_scoping.drive.operations import Task
    from session_scoping.recording import Recording
    from session_scoping.rules.verdict import Verdict
    from session_scoping.watch.recorder import Recorder

T = t.TypeVar("T")
WATCH = "session_scoping"
APP = "session_scoping_app"
LEAVE_ALONE = "session_scoping_leave_alone"
CLIENT = "session_scoping_client"
SUITE = "session_scoping_suite"
FEW = 10  # tests to print the names of


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("session scoping")
    group.addoption(
        "--session-scoping",
        action="store_true",
        help="Watch all requests that the tests make, and fail the tests in which a "
        "session outlives its request, or breaks another rule.",
    )
    group.addoption(
        "--session-scoping-app",
        metavar="MODULE:NAME",
        help="Drive the admin of an app, or of what a factory makes: adds a test for "
        "each of its views and of the things to do there.",
    )
    parser.addini(APP, "Default of --session-scoping-app.", default="")
    parser.addini(
        LEAVE_ALONE,
        "Ignore sessions made where 'file:line in function' matches one of these "
        "shell-style patterns.",
        type="linelist",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch from the start: a conftest may import an app."""
    if early_config.known_args_namespace.session_scoping:
        watch_suite(early_config)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(WATCH):
        watch_suite(config)
    if target := app_target(config):
        config.pluginmanager.register(AppSuite(config, target))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Watch from the first fixture: it may make an app that a test checks."""
    if any(WATCH in getattr(item, "fixturenames", ()) for item in session.items):
        watch_suite(session.config, judges=False)


def pytest_report_header(config: pytest.Config) -> str | None:
    does = ["watches every request"] if config.getoption(WATCH) else []
    if target := app_target(config):
        does.append(f"drives the admin of {target}")
    return f"session scoping: {', '.join(does)}" if does else None


def app_target(config: pytest.Config) -> str:
    return str(config.getoption(APP) or config.getini(APP))


def leave_alone(config: pytest.Config) -> list[str]:
    return list(config.getini(LEAVE_ALONE))


# ------------------------------------------------------------------------- the fixtures


@pytest.fixture(scope="session")
def session_scoping_client() -> "MakeClient | None":
    """Override this: return a function that takes the app, and returns a test client.

    The client has to be logged in if the admin needs that.
    """
    return None


@pytest.fixture
def session_scoping(
    request: pytest.FixtureRequest, session_scoping_client: "MakeClient | None"
) -> "SessionScoping":
    """Check an app, or watch a block of the test."""
    return SessionScoping(request.node, session_scoping_client)


class SessionScoping:
    """The value of the fixture ``session_scoping``."""

    def __init__(self, item: pytest.Item, client: "MakeClient | None") -> None:
        self.item = item
        self.client = client

    def check(
        self,
        app: "flask.Flask",
        *,
        client: "MakeClient | None" = None,
        faults: bool = False,
        leave_alone: t.Sequence[str] = (),
    ) -> "Verdict":
        """Read all of the admin of ``app``, and return the verdict.

        The test fails if a rule is broken, or if there is nothing to see. The arguments
        are those of ``session_scoping.record``; the default of ``client`` is the value
        of the fixture ``session_scoping_client``.
        """
        from session_scoping.drive.record import record
        from session_scoping.errors import CannotTell
        from session_scoping.rules.judge import judge

        try:
            recording = record(
                app,
                client=client or self.client,
                faults=faults,
                leave_alone=self._leave_alone(leave_alone),
            )
        except CannotTell as error:
            pytest.fail(str(error), pytrace=False)
        verdict = judge(recording)
        fail_if_broken(verdict)
        if not verdict.holds:
            pytest.fail(nothing_seen(recording), pytrace=False)
        return verdict

    @contextmanager
    def watch(
        self, app: "flask.Flask", *, leave_alone: t.Sequence[str] = ()
    ) -> "t.Iterator[Recording]":
        """Watch the requests that the test makes in a ``with`` block.

        Gives the recording. The test fails at the end of the block if a rule is broken,
        or if no request was made.
        """
        from session_scoping.watch.recorder import Recorder

        recorder = Recorder(self._leave_alone(leave_alone))
        recorder.start()
        try:
            recorder.learn(app)
            yield recorder.recording
        except (Exception, pytest.fail.Exception):
            add_report_section(self.item, verdict_of(recorder, failed=True))
            raise
        finally:
            recorder.stop()
        fail_if_broken(verdict_of(recorder))
        if not recorder.recording.requests:
            pytest.fail("no request was made: there is nothing to judge", pytrace=False)

    def _leave_alone(self, more: t.Sequence[str]) -> list[str]:
        return [*leave_alone(self.item.config), *more]


# ------------------------------------------------------------------------ a whole suite


def watch_suite(config: pytest.Config, judges: bool = True) -> None:
    if not config.pluginmanager.has_plugin(SUITE):
        config.pluginmanager.register(Suite(config, judges), SUITE)


class Suite:
    """Watches the requests of all tests, and judges each test by its own requests.

    With ``judges=False`` it only records where sessions are made, for later recorders.
    """

    def __init__(self, config: pytest.Config, judges: bool) -> None:
        from session_scoping.watch.recorder import Recorder

        self.judges = judges
        self.blind: list[str] = []  # tests that cannot be judged
        self.recorder = Recorder(leave_alone(config))
        self.recorder.start()
        config.add_cleanup(self.end)

    def end(self) -> None:
        self.recorder.stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        self.recorder.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> t.Generator[None, T, T]:
        try:
            result = yield
        except (Exception, pytest.fail.Exception):
            if verdict := self.verdict(failed=True):
                add_report_section(item, verdict)
            raise
        verdict = self.verdict()
        if verdict and in_outer_context(verdict):
            item.user_properties.append((WATCH, "in an app context"))
        elif verdict:
            fail_if_broken(verdict)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = {name for name, _ in report.user_properties}
        if report.when == "call" and WATCH in known:
            self.blind.append(report.nodeid)

    def pytest_terminal_summary(
        self, terminalreporter: "pytest.TerminalReporter"
    ) -> None:
        from session_scoping.rules.causes import outer_context

        if self.blind:
            terminalreporter.write_sep("=", "session scoping", yellow=True)
            tests = f"{len(self.blind)} test{'' if len(self.blind) == 1 else 's'}"
            terminalreporter.write_line(
                f"nothing is known of {tests} that made requests inside an app "
                f"context. {outer_context.sentence}\n{outer_context.fix}"
            )
            for name in self.blind[:FEW]:
                terminalreporter.write_line(f"- {name}")
            if len(self.blind) > FEW:
                terminalreporter.write_line(f"and {len(self.blind) - FEW} more")

    def verdict(self, failed: bool = False) -> "Verdict | None":
        if not self.judges or not self.recorder.recording.requests:
            return None
        try:
            verdict = verdict_of(self.recorder, failed)
        finally:
            self.recorder.start()
        return verdict_on(
            verdict, {request.view for request in verdict.recording.requests}
        )


# ----------------------------------------------------------------------- an app driven


class AppSuite:
    """Adds a test for each operation of an app to the suite."""

    def __init__(self, config: pytest.Config, target: str) -> None:
        self.config = config
        self.target = target
        self.drives: DrivenApp | None = None
        self.folders: dict[Path, pytest.Directory] = {}
        self.driven = self.seen = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        from session_scoping.errors import CannotTell

        try:
            self.drives = DrivenApp(self.target, leave_alone(self.config))
        except CannotTell as error:
            raise pytest.UsageError(f"session scoping: {error}") from None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> t.Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Directory):
            self.folders[collector.path] = collector
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        assert self.drives is not None
        parent = self._beside(session)
        node = AppNode.from_parent(
            parent, path=parent.path, name=self.target, nodeid=self.target
        )
        node.drives = self.drives
        items.extend(session.genitems(node))

    def _beside(self, session: pytest.Session) -> pytest.Collector:
        """Return the folder of the conftest that has the client's fixture."""
        modules = (
            Path(module.__file__)
            for module in self.config.pluginmanager.get_plugins()
            if hasattr(module, CLIENT) and getattr(module, "__file__", None)
        )
        paths = sorted(
            conftest.parent for conftest in modules if conftest.name == "conftest.py"
        )
        found = [self.folders[path] for path in paths if path in self.folders]
        return found[0] if found else session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        assert self.drives is not None
        names = tuple(f"{self.target}::{name}::" for name in self.drives.models)
        if report.when == "call" and report.nodeid.startswith(names):
            self.driven = True
            self.seen |= not report.skipped

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.blind and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: "pytest.TerminalReporter"
    ) -> None:
        if self.blind:
            terminalreporter.write_sep("=", "session scoping", red=True)
            terminalreporter.write_line(f"nothing was seen of {self.target}: {HELP}")

    @property
    def blind(self) -> bool:
        """Were all tests of views that use sessions skipped? Then nothing is proven."""
        return self.driven and not self.seen


class DrivenApp:
    """The app of this process, and the crawler that drives it."""

    def __init__(self, target: str, leave_alone: t.Sequence[str]) -> None:
        from session_scoping.drive.crawler import Crawler
        from session_scoping.loading import load
        from session_scoping.recording import LIST
        from session_scoping.watch.recorder import Recorder

        self.recorder = Recorder(leave_alone)
        with self.recorder:
            self.app = load(target, self.recorder)
            operations = Crawler(self.app, self.recorder, None).plan()
        self.built = self.recorder.recording
        self.crawler: Crawler | None = None
        self.lists = {task.view: task for task in operations if task.operation == LIST}
        self.refused: dict[int, str] = {}
        names = self._names()
        self.models = {names[number] for number in self.lists}
        self.plan: dict[str, dict[str, Task]] = {}
        for task in operations:
            named = self.plan.setdefault(names[task.view], {})
            named[unique(str(task.operation), named)] = task

    def _names(self) -> dict[int, str]:
        """Return the class of each view. Add the endpoint if it is not unique."""
        views = self.built.views
        classes = [view.name for view in views]
        return {
            number: view.name
            if classes.count(view.name) == 1
            else f"{view.name} {view.endpoint}"
            for number, view in enumerate(views)
        }

    def judge_building(self) -> None:
        """Fail the test if building the app has left a session open."""
        from session_scoping.rules.judge import judge

        fail_if_broken(verdict_on(judge(self.built), set()))

    def judge(self, task: "Task", client: "MakeClient | None") -> None:
        """Drive an operation, and fail the test if it breaks a rule."""
        from session_scoping.rules.judge import judge

        # The app is driven in no context, whatever the fixtures of a suite push.
        recording = Context().run(self._drive, task, client)
        verdict = verdict_on(judge(recording), {task.view})
        fail_if_broken(verdict)
        for unseen in recording.unseen:
            pytest.skip(unseen.why)
        if why := self.refused.get(task.view):
            pytest.skip(f"its list {why}")
        if task.view not in verdict.seen and not task.absent:
            failed = next(
                (request.exception for request in verdict.failures), "no answer"
            )
            pytest.fail(f"nothing was seen: {failed}", pytrace=False)

    def _drive(self, task: "Task", client: "MakeClient | None") -> "Recording":
        from session_scoping.drive.crawler import Crawler
        from session_scoping.drive.record import silence

        recorder = self.recorder
        recorder.start()
        try:
            with silence():
                if self.crawler is None:
                    self.crawler = Crawler(self.app, recorder, client)
                # A person begins at the list. The test of the list may run elsewhere.
                first = self.lists.get(task.view, task)
                if first != task and first.view not in self.crawler.pages:
                    self._drive_one(self.crawler, first)
                self._drive_one(self.crawler, task)
        finally:
            recorder.stop()
        return recorder.recording

    def _drive_one(self, crawler: "Crawler", task: "Task") -> None:
        from session_scoping.recording import LIST

        self.recorder.clear()
        self.recorder.learn(self.app)
        crawler.drive(task)
        for unseen in self.recorder.recording.unseen:
            if unseen.operation == LIST:
                self.refused[unseen.view] = unseen.why


class AppNode(pytest.Module):
    """The app, as a module of the suite."""

    obj = None
    drives: DrivenApp

    def collect(self) -> t.Iterator[pytest.Item | pytest.Collector]:
        yield OperationItem.from_parent(
            self, name="building the app", callobj=lambda: self.drives.judge_building()
        )
        for name, operations in self.drives.plan.items():
            node = ViewNode.from_parent(self, name=name)
            node.drives, node.operations = self.drives, operations
            yield node


class ViewNode(pytest.Collector):
    """A view of the app."""

    drives: DrivenApp
    operations: "dict[str, Task]"

    def collect(self) -> t.Iterator[pytest.Item]:
        for name, task in self.operations.items():
            yield OperationItem.from_parent(self, name=name, callobj=self._test(task))

    def _test(self, task: "Task") -> t.Callable[..., None]:
        def test(session_scoping_client: "MakeClient | None") -> None:
            self.drives.judge(task, session_scoping_client)

        return test


class OperationItem(pytest.Function):
    """An operation in a view."""

    def reportinfo(self) -> tuple[str, None, str]:
        return str(self.path), None, ": ".join(self.nodeid.split("::")[1:])


def unique(name: str, others: t.Container[str]) -> str:
    """Return a name for a part of a test's id. No other test has it."""
    name = " ".join(name.replace("::", ":").split())
    candidates = (name, *(f"{name} ({number})" for number in range(2, 1000)))
    return next(candidate for candidate in candidates if candidate not in others)


# ------------------------------------------------------------------------- the messages

HELP = (
    "let the fixture session_scoping_client return a function that makes a logged-in "
    "test client"
)


def verdict_of(recorder: "Recorder", failed: bool = False) -> "Verdict":
    """Return the verdict on a test. It ignores what only the test itself keeps."""
    from session_scoping.recording import Maker
    from session_scoping.rules.judge import judge

    recording = recorder.stop()
    recording.kept_instances = [
        kept for kept in recording.kept_instances if kept.kept_by
    ]
    for session in recording.sessions:
        thread_local = session.maker == Maker.SCOPED_SESSION and not failed
        session.kept = session.kept and bool(session.kept_by or thread_local)
    return judge(recording)


def verdict_on(verdict: "Verdict", views: t.Container[int | None]) -> "Verdict":
    """Return the verdict on some views, and on what belongs to no view."""

    violations = tuple(
        violation
        for violation in verdict.violations
        if violation.view in views
        or (violation.view is None and not violation.requests)
    )
    return dataclasses.replace(verdict, violations=violations)


def in_outer_context(verdict: "Verdict") -> bool:
    """Is an app context around the requests of the test the only cause?"""
    from session_scoping.rules.causes import outer_context

    causes = {violation.cause for violation in verdict.violations}
    return causes == {outer_context} and not verdict.stopped


def fail_if_broken(verdict: "Verdict") -> None:
    """Fail the test if a rule is broken, or if a page that is read tries to write."""
    if verdict.findings or verdict.stopped:
        pytest.fail(message(verdict), pytrace=False)


def message(verdict: "Verdict") -> str:
    """Return the message of a failed test. The first line is for the summary."""
    from session_scoping.report.terminal import text

    return f"{headline(verdict)}\n\n{text(verdict)}"


def headline(verdict: "Verdict") -> str:
    if not verdict.findings:
        return verdict.sentence
    first = verdict.findings[0]
    why = first.cause.name if first.cause else first.violations[0].what
    return f"{verdict.names(first)} breaks {', '.join(first.rules)}: {why}"


def nothing_seen(recording: "Recording") -> str:
    first = recording.unseen[0]
    view = recording.views[first.view].name
    return f"nothing was seen: {view}, {first.operation} {first.why}; {HELP}"


def add_report_section(item: pytest.Item, verdict: "Verdict") -> None:
    """Add broken rules to the report of a test that has failed by itself."""
    if verdict.findings or verdict.stopped:
        item.add_report_section("call", "session scoping", message(verdict))
