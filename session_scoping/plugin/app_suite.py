"""Drives the admin of an app as a part of a suite: a test for each operation."""

import dataclasses
import typing as t
from glob import glob
from pathlib import Path

import pytest

from session_scoping.drive.client import checked
from session_scoping.drive.client import MakeClient
from session_scoping.drive.driven_app import DrivenApp
from session_scoping.drive.operations import Task
from session_scoping.errors import CannotTell
from session_scoping.loading import load
from session_scoping.plugin.suite import ADVICE
from session_scoping.plugin.suite import fail_if_broken
from session_scoping.plugin.suite import MAKES_CLIENT
from session_scoping.plugin.suite import on_views
from session_scoping.recording import View
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.watch.recorder import Recorder

CLIENT = "session_scoping_client"
FOLDER: type[pytest.Collector] = getattr(
    pytest, "Directory", pytest.Package
)  # pytest 7


class AppSuite:
    """Adds a test for each operation of an app to the suite."""

    def __init__(self, target: str, leave_alone: list[str], skip: list[str]) -> None:
        self.target = target
        self.skip = skip
        self.recorder = Recorder(leave_alone)
        self.folders: dict[Path, pytest.Collector] = {}
        self.driven = self.seen = False
        self.chosen: list[str] = []  # the ids of tests that the command line names
        self.alone = False  # does it name no other tests?

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        self.chosen, session.config.args = self._split(session.config)
        try:
            with self.recorder:
                app = load(self.target, self.recorder)
                self.app = DrivenApp(app, self.recorder, self.skip)
        except CannotTell as error:
            raise pytest.UsageError(f"session scoping: {error}") from None
        self.built = self.recorder.recording
        self.names = unique_names(self.built.views)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> t.Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, FOLDER):
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
        tests = [*session.genitems(node)]
        beside = [] if self.alone else [*items]
        chosen = [*beside, *(self._only_chosen(tests) if self.chosen else tests)]
        if left_out := {*items, *tests} - {*chosen}:
            session.config.hook.pytest_deselected(items=[*left_out])
        items[:] = chosen

    def _split(self, config: pytest.Config) -> tuple[list[str], list[str]]:
        """Return the ids of the app's tests on the command line, and all else.

        If nothing else is there, the suite is collected as without arguments: it has
        the fixture that makes the client.
        """
        chosen = [
            arg for arg in config.args if f"{arg}::".startswith(f"{self.target}::")
        ]
        others = [arg for arg in config.args if arg not in chosen]
        self.alone = not others
        if others:
            return chosen, others
        folder = config.invocation_params.dir
        patterns = config.getini("testpaths") if folder == config.rootpath else []
        paths = [path for pattern in patterns for path in sorted(glob(pattern))]
        return chosen, paths or [str(folder)]

    def _only_chosen(self, tests: list[pytest.Item]) -> list[pytest.Item]:
        """Return the tests that the command line names."""
        found = {
            name: [test for test in tests if f"{test.nodeid}::".startswith(f"{name}::")]
            for name in self.chosen
        }
        for name, named in found.items():
            if not named:
                raise pytest.UsageError(
                    f"session scoping: there is no test {name}: --collect-only lists "
                    "the tests"
                )
        chosen = {test for named in found.values() for test in named}
        return [test for test in tests if test in chosen]

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

    def judge_building(self, request: pytest.FixtureRequest) -> None:
        """Fail the test if building the app has left a session open.

        A view may keep it. No test of that view reports it: each has a recording of its
        own operation, and some clients are not allowed to see the view.
        """
        verdict = judge(self.built)
        views = range(len(self.built.views))
        left = tuple(
            violation
            for violation in on_views(verdict, views).violations
            if not violation.requests
            and (violation.view is None or violation.rule == Rule.FRESH)
        )
        fail_if_broken(request.node, dataclasses.replace(verdict, violations=left))

    def judge(self, item: pytest.Item, task: Task, client: MakeClient | None) -> None:
        """Drive an operation. Fail the test if it breaks a rule, or does not work.

        Skip the test if the client is not allowed to see it.
        """
        try:
            recording = self.app.drive(task, client and checked(client, MAKES_CLIENT))
        except CannotTell as error:
            pytest.fail(str(error), pytrace=False)
        verdict = on_views(judge(recording), {task.view})
        fail_if_broken(item, verdict)
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
        self, terminalreporter: "pytest.TerminalReporter"
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
        def test(
            request: pytest.FixtureRequest, session_scoping_client: MakeClient | None
        ) -> None:
            self.suite.judge(request.node, task, session_scoping_client)

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
