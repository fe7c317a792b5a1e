"""Run the reproduction and the guard, and print which law holds with which handle.

Exit status: 0 when no law is broken but by a known defect that no release mends yet,
1 when one is, 2 when it could not tell.
"""

import subprocess
import sys
import typing as t
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from session_scoping.laws import NAMES as LAWS
from session_scoping.recorder import STACK
from session_scoping.recorder import stack

HERE = Path(__file__).parent
GUARD = HERE / "flask_admin/tests/sqla/test_session_scoping.py"


class Outcomes:
    """A pytest plugin that keeps what became of each test, and why.

    The guard names the law in the test's name or as its last parameter; the first
    parameter is the handle.
    """

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str], str] = {}
        self.handles: list[str] = []
        self.notes: list[str] = []
        self.failures: list[str] = []
        self.twins: list[bool] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failures.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        name, _, rest = report.nodeid.rpartition("::")[2].partition("[")
        handle, _, law = rest.rstrip("]").partition("-")
        law = law or name.split("_")[1]
        if name == "test_twin_is_caught":
            self.twins.append(report.passed)
        if report.failed:
            self.failures.append(f"{name} {rest.rstrip(']')}\n{report.longreprtext}")
        if law in LAWS and handle:
            if handle not in self.handles:
                self.handles.append(handle)
            self.judge(law, handle, self.outcome(report))

    def outcome(self, report: pytest.TestReport) -> str:
        if report.passed:
            return "holds"
        if hasattr(report, "wasxfail"):
            return f"holds but {self.note(report.wasxfail.removeprefix('reason: '))}"
        if isinstance(report.longrepr, tuple):  # skipped: file, line and reason
            return f"- {self.note(report.longrepr[2].removeprefix('Skipped: '))}"
        return "BREAKS"

    def note(self, why: str) -> str:
        if why not in self.notes:
            self.notes.append(why)
        return f"[{self.notes.index(why) + 1}]"

    def judge(self, law: str, handle: str, outcome: str) -> None:
        """Add the outcome of one more test to the cell of its law and handle."""
        worst = ["BREAKS", "holds but", "-", "holds"]

        def rank(cell: str) -> int:
            return next(i for i, word in enumerate(worst) if cell.startswith(word))

        known = self.cells.get((law, handle), outcome)
        self.cells[law, handle] = min(known, outcome, key=rank)


def versions() -> str:
    """What the verdict is about."""
    known = stack()
    found = [f"{one} {known[one]}" if one in known else f"no {one}" for one in STACK]
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([*found, f"Python {python}"])


def table(outcomes: Outcomes) -> t.Iterator[str]:
    widths = [max(len(handle), 13) for handle in outcomes.handles]
    rows = [("law", *outcomes.handles)]
    for law in LAWS if outcomes.handles else ():
        rows.append((law, *(outcomes.cells[law, one] for one in outcomes.handles)))
    for first, *cells in rows:
        padded = (f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        yield f"{first:<10}{'  '.join(padded)}".rstrip()


def main() -> int:
    script = [sys.executable, str(HERE / "reproduction_script.py")]
    reproduced = subprocess.run(script, check=False).returncode
    outcomes = Outcomes()
    options = ["-qq", "-p", "no:randomly", "-p", "no:cacheprovider", "-o", "addopts="]
    options += ["-o", "filterwarnings="]  # older stacks warn of themselves
    with redirect_stdout(StringIO()):
        status = pytest.main([*options, str(GUARD)], plugins=[outcomes])
    print(f"\n{versions()}\n")
    print("\n".join(table(outcomes)))
    print(f"\ntwins caught: {sum(outcomes.twins)} of {len(outcomes.twins)}")
    for number, why in enumerate(outcomes.notes, start=1):
        print(f"[{number}] {why}")
    for failure in outcomes.failures:
        print(f"\n{failure}")
    if status not in (0, 1) or reproduced not in (0, 1):
        print("\nVerdict: could not tell.")
        return 2
    good = status == 0 and reproduced == 0
    if good and any("[" in cell for cell in outcomes.cells.values()):
        print("\nVerdict: sessions are request-scoped, but for what the numbers say.")
    elif good:
        print("\nVerdict: sessions are request-scoped.")
    else:
        print("\nVerdict: a session outlives its request, or worse: see above.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
