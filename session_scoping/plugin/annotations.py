"""Annotations of the tests that fail, where GitHub runs the suite."""

import typing as t

import pytest

if t.TYPE_CHECKING:
    from session_scoping.rules.verdict import Verdict

# The annotations of a test's findings, by what names the finding.
KEY = pytest.StashKey[dict[str, str]]()


def annotate(item: pytest.Item, verdict: "Verdict") -> None:
    """Keep the annotations of a test's findings, for the report of the test."""
    from session_scoping.report.annotations import annotations

    found = {
        annotation.split("::")[1]: annotation for annotation in annotations(verdict)
    }
    item.stash.setdefault(KEY, {}).update(found)


class Annotations:
    """Prints the annotations of all tests at the end, each finding once."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            # Another process may have run the test: pytest-xdist sends this along.
            report.__dict__["session_scoping"] = item.stash.get(KEY, {})
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.found = {**getattr(report, "session_scoping", {}), **self.found}

    def pytest_terminal_summary(
        self, terminalreporter: "pytest.TerminalReporter"
    ) -> None:
        for annotation in self.found.values():
            terminalreporter.write_line(annotation)
