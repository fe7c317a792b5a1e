"""The drop-in against a pytest run that only imports, in processor time.

Whole processes, with bytecode cached, run by turns; the ratio is that of the medians.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import getrusage
from resource import RUSAGE_CHILDREN
from statistics import median

from session_scoping.compare.fork import drop_in

ROOT = Path(__file__).parents[2]
EMPTY = """
import flask_admin.contrib.sqla
import flask_sqlalchemy
import pytest

def test_empty():
    assert pytest
"""
ROUNDS = 7


def seconds(
    command: list[str], cwd: Path = ROOT, *, passes: bool = True, path: str = ""
) -> float:
    """Return the processor time, user and system, of a command and what it starts.

    ``passes``: raise when the command fails. ``path``: a folder of more Python code.
    """
    environment = {**os.environ, "PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run(
        command, cwd=cwd, env=environment, check=passes, stdout=subprocess.DEVNULL
    )
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pytest(test: str | Path) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "test_empty.py"
        empty.write_text(EMPTY)
        tests = {"empty": pytest(empty), "guard": pytest(drop_in())}
        for test in tests.values():
            seconds(test)
        times: dict[str, list[float]] = {name: [] for name in tests}
        for _ in range(ROUNDS):
            for name, test in tests.items():
                times[name].append(seconds(test))
    for name, found in times.items():
        print(f"{name}: {median(found):.2f} s ({min(found):.2f} to {max(found):.2f})")
    print(f"the drop-in: {median(times['guard']) / median(times['empty']):.2f} ×")
