"""What the guard costs: its processor time over that of a run that only imports.

Whole processes, with bytecode cached, one after the other by turns; the ratio is that
of the medians.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import getrusage
from resource import RUSAGE_CHILDREN
from statistics import median

ROOT = Path(__file__).parent.parent
GUARD = "flask_admin/tests/sqla/test_session_scoping.py"
EMPTY = """
import flask_admin.contrib.sqla
import flask_sqlalchemy
import pytest

def test_empty():
    assert pytest
"""
ROUNDS = 7


def seconds(test: str) -> float:
    """The processor time of a pytest run, the system's included."""
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = getrusage(RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "test_empty.py"
        empty.write_text(EMPTY)
        tests = {"empty": str(empty), "guard": GUARD}
        for test in tests.values():
            seconds(test)
        times: dict[str, list[float]] = {name: [] for name in tests}
        for _ in range(ROUNDS):
            for name, test in tests.items():
                times[name].append(seconds(test))
    for name, found in times.items():
        print(f"{name}: {median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")
    print(f"ratio: {median(times['guard']) / median(times['empty']):.2f}")


if __name__ == "__main__":
    main()
