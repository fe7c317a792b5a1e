"""Run the guard and the monitor on older stacks, each in an environment of its own.

The example apps must be judged as on the newest stack: a broken app by its rule and
line, and a fixed app as clean. The tests of the monitor must pass.

``python -m tools.stacks [--sample N]``: with a number, it runs that many, which the
current commit selects.  Exit status: 0 when all tests pass, 1 otherwise.
"""

import argparse
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from session_scoping.compare.environments import in_a_line
from session_scoping.compare.environments import NEEDS
from session_scoping.compare.environments import OLD_STACK
from session_scoping.compare.environments import run_with
from session_scoping.compare.environments import uv_path
from tools.arguments import number
from tools.sample import sample

ROOT = Path(__file__).parent.parent
BOTH = ("flask-sqlalchemy", "flask-sqlalchemy-lite", "flask[async]")
STACKS = {
    "Flask-Admin 1.6.1, SQLAlchemy 1.4": (
        "flask-admin==1.6.1",
        "flask-sqlalchemy",
        *OLD_STACK,
    ),
    "Flask-Admin 1.6.1, Flask-SQLAlchemy 2.5": (
        "flask-admin==1.6.1",
        "flask-sqlalchemy<3",
        *OLD_STACK,
    ),
    "Flask-Admin 2.0.2": ("flask-admin==2.0.2", *BOTH),
    "Flask-Admin 2.1.0": ("flask-admin==2.1.0", *BOTH),
    "Flask-Admin 2.2.0": ("flask-admin==2.2.0", *BOTH),
    "Flask-Admin 2.2.0, neither extension": ("flask-admin==2.2.0", "sqlalchemy"),
    "Flask 3.1.1": ("flask-admin==2.2.1", "flask==3.1.1", *BOTH),
    "SQLAlchemy 2.0": ("flask-admin==2.2.1", "sqlalchemy<2.1", *BOTH),
}


def run_tests(requirements: t.Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run the tests on a stack. Warnings of old packages are no failure."""
    options = ["-q", "-rfE", "-W", "ignore", "-o", "addopts=", "-o", "filterwarnings="]
    options += ["--noconftest", "-p", "no:cacheprovider"]
    tests = (
        "tests/test_apps.py",
        "tests/test_monitor.py",
        "tests/test_monitor_extension.py",
        "tests/test_monitor_shows.py",
        "tests/test_monitor_threads.py",
    )
    command = ("python", "-m", "pytest", *options, *tests)
    return run_with([*requirements, *NEEDS, "pytest"], *command, folder=ROOT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.stacks")
    parser.add_argument("--sample", type=number, metavar="N", help="only N of them")
    names = sample([*STACKS], parser.parse_args().sample)
    uv_path()  # once, before two threads look for it
    status = 0
    with ThreadPoolExecutor(2) as pool:
        all_done = pool.map(run_tests, (STACKS[name] for name in names))
        for name, done in zip(names, all_done, strict=True):
            lines = (done.stdout.strip() or in_a_line(done)).splitlines()
            print(f"{name}: {lines[-1]}", flush=True)
            if done.returncode:
                print(done.stdout, done.stderr)
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
