"""Run both instruments on a mutant, and print their reports as JSON.

``python -m tools.mutants.trial NAME``
"""

import json
import sys
import typing as t
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from session_scoping.bookshop.shop import recorded
from session_scoping.bookshop.shop import WAYS
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.judge import judge
from tools.mutants import Mutant
from tools.mutants import NONE
from tools.mutants.catalogue import MUTANTS

DROP_IN = Path(__file__).parents[2] / "flask_admin/tests/sqla/test_session_scoping.py"


class FirstFailure:
    """A pytest plugin that keeps the name and the output of the test that failed."""

    name = ""
    output = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.name = report.nodeid.partition("::")[2]
            self.output = report.longreprtext


def drop_in() -> dict[str, str]:
    """Run the drop-in up to its first failure. Returns the output by test name."""
    first = FirstFailure()
    options = [
        "-x",
        "-q",
        "-p",
        "no:randomly",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    with redirect_stdout(StringIO()) as printed:
        status = pytest.main([*options, "-W", "ignore", str(DROP_IN)], plugins=[first])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        raise SystemExit(f"pytest ends with {status!r}: {printed.getvalue()}")
    return {first.name: first.output} if first.name else {}


def bookshop(mutant: Mutant) -> dict[str, list[str]]:
    """Drive the bookshop with each handle in turn, until the mutant is caught.

    Returns the reports by rule. Injected faults double the time: they are used only
    where nothing else can show the mutant.
    """
    faults = WAYS if mutant is NONE or "recovers" in mutant.rules else ()
    broken: dict[str, list[str]] = {}
    for handle in HANDLES:
        for violation in judge(recorded(handle, faults)).violations:
            if violation.defect is None:
                cause = violation.cause.name if violation.cause else "no known cause"
                report = f"{handle}: {violation} ({cause})"
                broken.setdefault(violation.rule, []).append(report)
        if broken.keys() & {*mutant.rules}:
            break
    return broken


def main(name: str) -> None:
    warnings.simplefilter("ignore")
    mutant = NONE if name == NONE.name else MUTANTS[name]
    mutant.apply()
    caught: dict[str, t.Any] = {"bookshop": bookshop(mutant), "drop_in": drop_in()}
    print(json.dumps(caught))


if __name__ == "__main__":
    main(sys.argv[1])
