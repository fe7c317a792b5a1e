"""Every operation failed in every way, on every database.

``python -m tests.fire.faults`` prints a table. A cell says how often, on all databases
together, and how many of these broke a law. The library closes its sessions as finding
9 of the investigation says; the example apps do not, and show what that is about.
"""

import json
import os
import subprocess
import sys
import tempfile
import typing as t
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from session_scoping import judge
from session_scoping import record
from session_scoping import Recording
from session_scoping import Verdict
from session_scoping.faults import FAULTS
from tests.apps import APPS
from tests.apps import Example
from tests.fire.databases import mariadb
from tests.fire.databases import missing_mariadb
from tests.fire.databases import postgresql

ROOT = Path(__file__).parents[2]


class Tally:
    """How often what was failed, and how often a law broke by it."""

    def __init__(self) -> None:
        self.made: Counter[tuple[str, str]] = Counter()
        self.broke: Counter[tuple[str, str]] = Counter()
        self.causes: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        broken = {n for one in verdict.violations for n in one.requests}
        for one in verdict.violations:
            self.causes[one.cause.name if one.cause else one.what] += 1
        for request in verdict.recording.requests:
            if request.fault:
                key = request.operation.partition(",")[0], request.fault
                self.made[key] += 1
                self.broke[key] += request.number in broken

    def rows(self) -> t.Iterator[str]:
        for operation in dict.fromkeys(operation for operation, _ in self.made):
            yield f"| {operation} | {' | '.join(self._cells(operation))} |"

    def _cells(self, operation: str) -> t.Iterator[str]:
        for fault in FAULTS:
            made, broke = self.made[operation, fault], self.broke[operation, fault]
            yield f"{made}, **{broke} broke**" if broke else str(made or "–")


def urls(stack: ExitStack) -> t.Iterator[tuple[str, str]]:
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    yield "SQLite", f"sqlite:///{Path(folder) / 'library.db'}"
    yield "PostgreSQL", stack.enter_context(postgresql()).database()
    if missing := missing_mariadb():
        print(f"without MariaDB: {missing}")
    else:
        yield "MariaDB", stack.enter_context(mariadb()).database()


def of_library(url: str) -> Verdict:
    from tests.fire import library

    os.environ["LIBRARY_URL"] = url
    library.prepare(url)
    return judge(record(library.create_app(), write=True, faults=True))


def of_example(example: Example) -> Verdict:
    """In a process and on a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        options = ["--app", example.target, "--faults", "--json", str(seen)]
        if example.client:
            options += ["--client", example.client]
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "session_scoping", *options],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/example.db"},
            stdout=subprocess.DEVNULL,
        )
        return judge(Recording.load(seen))


def main() -> None:
    library, examples = Tally(), Tally()
    with ExitStack() as stack:
        for name, url in urls(stack):
            verdict = of_library(url)
            library.add(verdict)
            faults = sum(bool(one.fault) for one in verdict.recording.requests)
            print(f"- {name}: {faults} faults, {len(verdict.violations)} violations")
    healthy = [one for one in APPS if one.healthy and not one.alone]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for verdict in pool.map(of_example, healthy):
            examples.add(verdict)
    for title, tally in (
        ("the library", library),
        (f"{len(healthy)} healthy example apps, on SQLite", examples),
    ):
        print(f"\n| {title} | {' | '.join(FAULTS)} |")
        print("|---|" + "---|" * len(FAULTS))
        print("\n".join(tally.rows()))
        for cause, number in tally.causes.most_common():
            print(f"\n{number} violations by: {json.dumps(cause)}")


if __name__ == "__main__":
    main()
