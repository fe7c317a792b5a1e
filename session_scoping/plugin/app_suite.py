"""Drives the admin of an app as a part of a suite: a test for each operation."""

import typing as t
from pathlib import Path

import pytest

from session_scoping.drive.crawler import MakeClient
from session_scoping.drive.driven_app import DrivenApp
from session_scoping.drive.operations import Task
from session_scoping.errors import CannotTell
from session_scoping.loading import load
from session_scoping.plugin.suite import ADVICE
from session_scoping.plugin.suite import fail_if_broken
from session_scoping.plugin.suite import on_views
from session_scoping.recording import View
from session_scoping.rules.judge import judge
from session_scoping.watch.recorder import Recorder

CLIENT = "session_scoping_client"


class AppSuite:
    """Adds a test for each operation of an app to the suite."""

    def __init__(self, target: str, leave_alone: list[str]) -> None:
        self.target = target
        self.recorder = Recorder(leave_alone)
        self.folders: dict[Path, pytest.Directory] = {}
        self.driven = self.seen = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        try:
            with self.recorder:
                app = load(self.target, self.recorder)
                self.app = DrivenApp(app, self.recorder)
        except CannotTell as error:
            raise pytest.UsageError(f"session scoping: {error}") from None
        self.built = self.recorder.recording
        self.names = unique_names(self.built.views)

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
        parent = self._beside(session)
        node = AppNode.from_parent(
            parent, path=parent.path, name=self.target, nodeid=self.target
        )
        node.suite = self
        items.extend(session.genitems(node))

    def _beside(self, session: pytest.Session) -> pytest.Collector:
        """Return the folder of the conftest that has the client's fixture."""
        modules = (
            Path(module.__file__)
            for module in session.config.pluginmanager.get_plugins()
            if hasattr(module, CLIENT) and getattr(module, "__file__", None)
        )
        paths = sorted(
            conftest.parent for conftest in modules if conftest.name == "conftest.py"
        )
        found = [self.folders[path] for path in paths if path in self.folders]
        return found[0] if found else session

    def operations(self) -> dict[str, dict[str, Task]]:
        """Return what there is to drive, by the names of the view and the operation."""
        found: dict[str, dict[str, Task]] = {}
        for task in self.app.tasks:
            in_view = found.setdefault(self.names[task.view], {})
            in_view[unique(str(task.operation), in_view)] = task
        return found

    def judge_building(self) -> None:
        """Fail the test if building the app has left a session open."""
        fail_if_broken(on_views(judge(self.built), set()))

    def judge(self, task: Task, client: MakeClient | None) -> None:
        """Drive an operation. Fail the test if it breaks a rule, or does not work.

        Skip the test if the client is not allowed to see it.
        """
        recording = self.app.drive(task, client)
        verdict = on_views(judge(recording), {task.view})
        fail_if_broken(verdict)
        if recording.unseen:
            pytest.skip(recording.unseen[0].why)
        if task.view not in verdict.seen and not task.absent:
            failed = [request.exception for request in verdict.failures]
            why = failed[0] if failed else "no answer"
            pytest.fail(f"nothing was seen: {why}", pytrace=False)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        views = [f"{self.target}::{self.names[view]}::" for view in self.app.lists]
        if report.when == "call" and report.nodeid.startswith(tuple(views)):
            self.driven = True
            self.seen |= not report.skipped

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.blind and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        if self.blind:
            terminalreporter.write_sep("=", "session scoping", red=True)
            terminalreporter.write_line(f"nothing was seen of {self.target}: {ADVICE}")

    @property
    def blind(self) -> bool:
        """Were all tests of views that use sessions skipped? Then nothing is proven."""
        return self.driven and not self.seen


class AppNode(pytest.Module):
    """The app, in the place of a module of the suite.

    pytest finds the fixtures of a module's scope, as a suite's own ``app`` may be, only
    for a test that has a ``Module`` above it. There is no Python module: ``obj`` is
    ``None``.
    """

    obj = None
    suite: AppSuite

    def collect(self) -> t.Iterator[pytest.Item | pytest.Collector]:
        yield OperationItem.from_parent(
            self, name="building the app", callobj=self.suite.judge_building
        )
        for name, tasks in self.suite.operations().items():
            node = ViewNode.from_parent(self, name=name)
            node.suite, node.tasks = self.suite, tasks
            yield node


class ViewNode(pytest.Collector):
    """A view of the app."""

    suite: AppSuite
    tasks: dict[str, Task]

    def collect(self) -> t.Iterator[pytest.Item]:
        for name, task in self.tasks.items():
            yield OperationItem.from_parent(self, name=name, callobj=self._test(task))

    def _test(self, task: Task) -> t.Callable[..., None]:
        def test(session_scoping_client: MakeClient | None) -> None:
            self.suite.judge(task, session_scoping_client)

        return test


class OperationItem(pytest.Function):
    """An operation in a view. A ``Function``, as it asks for a fixture."""

    def reportinfo(self) -> tuple[str, None, str]:
        return str(self.path), None, ": ".join(self.nodeid.split("::")[1:])


def unique_names(views: list[View]) -> list[str]:
    """Return the class of each view, with its endpoint if others have that class."""
    classes = [view.name for view in views]
    return [
        view.name if classes.count(view.name) == 1 else f"{view.name} {view.endpoint}"
        for view in views
    ]


def unique(name: str, others: t.Container[str]) -> str:
    """Return a name for a part of a test's id. No other test has it."""
    name = " ".join(name.replace("::", ":").split())
    candidates = (name, *(f"{name} ({number})" for number in range(2, 1000)))
    return next(candidate for candidate in candidates if candidate not in others)
