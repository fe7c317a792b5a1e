"""Runs the drop-in guard on what is installed: what becomes of each rule and handle.

``python -m session_scoping.guard PATH`` writes it to a file as JSON. It needs pytest
and Flask-Admin, and nothing else.
"""

import json
import re
import sys
import typing as t
from contextlib import redirect_stderr
from contextlib import redirect_stdout
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from io import StringIO
from pathlib import Path

import pytest

from session_scoping.rules import NAMES
from session_scoping.stack import stack

HERE = Path(__file__).parent
NAME = "test_session_scoping.py"

BREAKS = "breaks"
KNOWN = "known"  # it breaks, by a defect that is known
UNKNOWN = "unknown"  # it could not be tried
HOLDS = "holds"
WORST_FIRST = (BREAKS, KNOWN, UNKNOWN, HOLDS)


@dataclass
class Cell:
    """What became of a rule with a handle."""

    rule: str
    handle: str
    state: str
    why: str = ""  # the known defect, or what keeps it from being tried
    said: str = ""  # the guard's own message


@dataclass
class GuardRun:
    """What the drop-in guard said of one stack."""

    python: str = ""
    stack: dict[str, str] = field(default_factory=dict)  # package: version
    cells: list[Cell] = field(default_factory=list)
    twins: int = 0
    caught: int = 0  # of the twins
    defects: list[str] = field(default_factory=list)  # known, and of no cell
    failures: list[str] = field(default_factory=list)
    does_not_import: str = ""  # Flask-Admin's SQLAlchemy views: why
    finished: bool = False  # did pytest come to its end?

    @property
    def handles(self) -> list[str]:
        return list(dict.fromkeys(one.handle for one in self.cells))

    def cell(self, rule: str, handle: str) -> Cell:
        """What is known of a rule with a handle, which may be nothing."""
        for one in self.cells:
            if (one.rule, one.handle) == (rule, handle):
                return one
        why = f"does not import: {self.does_not_import}" if self.does_not_import else ""
        return Cell(rule, handle, UNKNOWN, why)

    def to_json(self) -> dict[str, t.Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "GuardRun":
        return cls(**{**data, "cells": [Cell(**one) for one in data["cells"]]})


def path() -> Path:
    """The one file that is the drop-in, in an installed package or in a checkout."""
    packaged = HERE / "drop_in" / NAME
    return (
        packaged if packaged.exists() else HERE.parent / "flask_admin/tests/sqla" / NAME
    )


class Outcomes:
    """A pytest plugin that keeps what became of each test, and why.

    The guard names the rule in the test's name or as its last parameter; the first
    parameter is the handle.
    """

    def __init__(self) -> None:
        self.run = GuardRun(".".join(map(str, sys.version_info[:3])), stack())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            said = report.longreprtext
            _, found, why = said.partition("do not import: ")
            if found:
                self.run.does_not_import = re.sub(r" \(/.*", "", why.strip())
            self.run.failures.append(said)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        name, _, rest = report.nodeid.rpartition("::")[2].partition("[")
        handle, _, rule = rest.rstrip("]").partition("-")
        rule = rule or name.split("_")[1]
        if name == "test_twin_is_caught":
            self.run.twins += 1
            self.run.caught += report.passed
        if report.failed:
            title = f"{name} {rest.rstrip(']')}".rstrip()
            self.run.failures.append(f"{title}\n{report.longreprtext}")
        if rule in NAMES and handle:
            self.keep(Cell(rule, handle, *self.outcome(report)))
        elif hasattr(report, "wasxfail") and not report.passed:
            self.run.defects.append(reason(report))

    def outcome(self, report: pytest.TestReport) -> tuple[str, str, str]:
        if hasattr(report, "wasxfail") and not report.passed:
            said = dict(report.user_properties).get("broken", report.longreprtext)
            return KNOWN, reason(report), str(said)
        if report.passed:
            return HOLDS, "", ""
        if isinstance(report.longrepr, tuple):  # skipped: file, line and reason
            return UNKNOWN, report.longrepr[2].removeprefix("Skipped: "), ""
        return BREAKS, "", report.longreprtext

    def keep(self, cell: Cell) -> None:
        """Several tests are about one rule and handle: the worst of them counts."""
        cells = self.run.cells
        for index, one in enumerate(cells):
            if (one.rule, one.handle) == (cell.rule, cell.handle):
                if one.state == cell.state:
                    one.said = "\n".join(filter(None, [one.said, cell.said]))
                else:
                    worst = min(one, cell, key=lambda c: WORST_FIRST.index(c.state))
                    cells[index] = worst
                return
        cells.append(cell)


def reason(report: pytest.TestReport) -> str:
    return str(report.wasxfail).removeprefix("reason: ")


def run(guard: Path | None = None) -> GuardRun:
    """Run the guard in this process, whatever pytest is configured to do here."""
    outcomes = Outcomes()
    options = ["-qq", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-o", "addopts=", "-o", "filterwarnings="]  # older stacks warn
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        status = pytest.main([*options, str(guard or path())], plugins=[outcomes])
    tested = status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    outcomes.run.finished = tested
    return outcomes.run


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(run().to_json()), encoding="utf-8")
