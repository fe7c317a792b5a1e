"""Drive some apps again and again: the same app gets the same report, word for word.

``python -m tools.repeat [RUNS]``: that many runs of each app, plain, with ``--faults``,
with ``--write`` and with both. Each run has a process, a hash seed and a database of
its own. A report that differs from the first is printed as a difference. An interrupt
prints the figures so far.
"""

import argparse
import difflib
import os
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tools.arguments import number

ROOT = Path(__file__).parent.parent
RUNS = 10
OPTIONS = ((), ("--faults",), ("--write",), ("--write", "--faults"))


@dataclass(frozen=True)
class App:
    """An app to drive, and the function that makes its client."""

    name: str
    target: str
    client: str = ""


APPS = (
    App("healthy, on db", "tests.apps.shop:fixed"),
    App("healthy, on scoped_session", "tests.cases.plain_scoped_session:app"),
    App("leaking", "tests.apps.captured_at_startup:broken"),
    App("with a login", "tests.apps.login:fixed", "tests.apps.login:client"),
    App("never removed", "tests.apps.never_removed:broken"),
)


def report(app: App, options: tuple[str, ...]) -> str:
    """Return what the command prints of an app, and its exit status."""
    command = [sys.executable, "-W", "ignore", "-m", "session_scoping"]
    command += ["--app", app.target, *options]
    command += ["--yes"] if "--write" in options else []
    command += ["--client", app.client] if app.client else []
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                "DATABASE_URL": f"sqlite:///{folder}/app.db",
                "PYTHONHASHSEED": "random",
                "TMPDIR": folder,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    return f"{done.stdout}exit status {done.returncode}\n".replace(folder, "")


def difference(first: str, other: str) -> str:
    """Return how a report differs from the first, or an empty string."""
    lines = difflib.unified_diff(first.splitlines(), other.splitlines(), lineterm="")
    return "\n".join(lines)


def repeat(app: App, options: tuple[str, ...], runs: int) -> t.Iterator[str]:
    """Yield how each report but the first differs from the first."""
    first = report(app, options)
    for _ in range(runs - 1):
        yield difference(first, report(app, options))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.repeat")
    parser.add_argument("runs", type=number, nargs="?", default=RUNS, metavar="RUNS")
    runs = parser.parse_args().runs
    print("| app | options | runs | different |\n|---|---|---|---|", flush=True)
    failed = False
    for app in APPS:
        for options in OPTIONS:
            found = [each for each in repeat(app, options, runs) if each]
            given = " ".join(options) or "–"
            print(f"| {app.name} | {given} | {runs} | {len(found)} |", flush=True)
            for each in found[:1]:
                print(each, file=sys.stderr)
            failed |= bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
