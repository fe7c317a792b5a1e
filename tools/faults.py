"""Make every operation fail in every way, on every database.

``python -m tools.faults`` prints a table. A cell says how many faults were injected, on
all databases together, and how many of these broke a rule. The library closes its
sessions as finding 9 of the investigation says; the example apps do not, and show the
finding. The exit status is 1 when anything else breaks a rule, or when an app does not
use its database.
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

from sqlalchemy.engine import make_url

from session_scoping import judge
from session_scoping import record
from session_scoping import Recording
from session_scoping import Verdict
from session_scoping.recording import Fault
from tests.apps import APPS
from tests.apps import Example
from tests.apps import LEFT_IN_REGISTRY
from tests.apps import LEFT_IN_SCOPED
from tools.databases import mariadb
from tools.databases import missing_mariadb
from tools.databases import postgresql

ROOT = Path(__file__).parent.parent


class Tally:
    """The number of injected faults, and of those that broke a rule."""

    def __init__(self) -> None:
        self.made: Counter[tuple[str, Fault]] = Counter()
        self.broke: Counter[tuple[str, Fault]] = Counter()
        self.causes: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        broken = {n for violation in verdict.violations for n in violation.requests}
        for violation in verdict.violations:
            self.causes[
                violation.cause.name if violation.cause else violation.what
            ] += 1
        for request in verdict.recording.requests:
            if request.operation and request.injected:
                key = request.operation.kind, request.injected.fault
                self.made[key] += 1
                self.broke[key] += request.number in broken

    def rows(self) -> t.Iterator[str]:
        for operation in dict.fromkeys(operation for operation, _ in self.made):
            yield f"| {operation} | {' | '.join(self._cells(operation))} |"

    def _cells(self, operation: str) -> t.Iterator[str]:
        for fault in Fault:
            made, broke = self.made[operation, fault], self.broke[operation, fault]
            yield f"{made}, **{broke} broke**" if broke else str(made or "–")


NewDatabase = t.Callable[[], str]


def databases(stack: ExitStack) -> t.Iterator[tuple[str, NewDatabase]]:
    """Yield each server's name, and a function that returns a new database's URL."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    yield "SQLite", lambda: f"sqlite:///{tempfile.mkdtemp(dir=folder)}/file.db"
    yield "PostgreSQL", stack.enter_context(postgresql()).database
    if missing := missing_mariadb():
        print(f"without MariaDB: {missing}")
    else:
        yield "MariaDB", stack.enter_context(mariadb()).database


def verdict_on_library(url: str) -> Verdict:
    from tools import library

    os.environ["LIBRARY_URL"] = url
    library.prepare(url)
    return judge(record(library.create_app(), write=True, faults=True))


def verdict_on_example(example: Example, url: str) -> Verdict:
    """Drive an example app in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        options = ["--app", example.target, "--write", "--yes", "--faults"]
        options += ["--json", str(seen)]
        if example.client:
            options += ["--client", example.client]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "session_scoping", *options],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            text=True,
        )
        if not seen.exists():
            raise SystemExit(f"{example.target} was not driven: {done.stderr}")
        return judge(Recording.load(seen))


def counts(verdicts: list[Verdict]) -> str:
    requests = (
        request for verdict in verdicts for request in verdict.recording.requests
    )
    faults = sum(bool(request.injected) for request in requests)
    violations = sum(len(verdict.violations) for verdict in verdicts)
    return f"{faults} faults, {violations} violations"


def uses_database(url: str, verdict: Verdict) -> bool:
    """Compare the databases' names: Flask-SQLAlchemy adds a charset to the URL."""
    databases = {make_url(engine).database for engine in verdict.recording.engines}
    return bool(verdict.seen) and make_url(url).database in databases


def main() -> int:
    library, examples = Tally(), Tally()
    fixed = [example for example in APPS if example.holds]
    unused: list[str] = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        for name, new_database in databases(stack):
            of_library = [verdict_on_library(new_database())]
            urls = [new_database() for _ in fixed]
            of_examples = [*pool.map(verdict_on_example, fixed, urls)]
            print(f"- {name}: the library {counts(of_library)}; ", end="")
            print(f"the apps {counts(of_examples)}")
            for tally, verdicts in (library, of_library), (examples, of_examples):
                for verdict in verdicts:
                    tally.add(verdict)
            unused += [
                f"{example.target} does not use its database on {name}"
                for example, url, verdict in zip(fixed, urls, of_examples, strict=True)
                if not uses_database(url, verdict)
            ]
    for title, tally in (
        ("the library", library),
        (f"{len(fixed)} fixed example apps", examples),
    ):
        print(f"\n| {title} | {' | '.join(Fault)} |")
        print("|---|" + "---|" * len(Fault))
        print("\n".join(tally.rows()))
        for cause, number in tally.causes.most_common():
            print(f"\n{number} violations by: {json.dumps(cause)}")
    print(*unused, sep="\n")
    as_expected = not library.causes and {*examples.causes} == {
        LEFT_IN_REGISTRY,
        LEFT_IN_SCOPED,
    }
    return 0 if as_expected and not unused else 1


if __name__ == "__main__":
    sys.exit(main())
