"""Every operation failed in every way, on every database.

``python -m tools.faults`` prints a table. A cell says how often, on all databases
together, and how many of these broke a rule. The library closes its sessions as finding
9 of the investigation says; the example apps do not, and show what that is about. That
anything else breaks, or that an app is not seen on its database, makes it fail.
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
from tools.databases import mariadb
from tools.databases import missing_mariadb
from tools.databases import postgresql

ROOT = Path(__file__).parent.parent


class Tally:
    """How often what was failed, and how often a rule broke by it."""

    def __init__(self) -> None:
        self.made: Counter[tuple[str, Fault]] = Counter()
        self.broke: Counter[tuple[str, Fault]] = Counter()
        self.causes: Counter[str] = Counter()

    def add(self, verdict: Verdict) -> None:
        broken = {n for one in verdict.violations for n in one.requests}
        for one in verdict.violations:
            self.causes[one.cause.name if one.cause else one.what] += 1
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
    """The name of each, and what makes an empty one there and gives its URL."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    yield "SQLite", lambda: f"sqlite:///{tempfile.mkdtemp(dir=folder)}/file.db"
    yield "PostgreSQL", stack.enter_context(postgresql()).database
    if missing := missing_mariadb():
        print(f"without MariaDB: {missing}")
    else:
        yield "MariaDB", stack.enter_context(mariadb()).database


def of_library(url: str) -> Verdict:
    from tools import library

    os.environ["LIBRARY_URL"] = url
    library.prepare(url)
    return judge(record(library.create_app(), write=True, faults=True))


def of_example(example: Example, url: str) -> Verdict:
    """In a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        options = ["--app", example.target, "--write", "--yes", "--faults"]
        options += ["--json", str(seen)]
        if example.client:
            options += ["--client", example.client]
        subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "session_scoping", *options],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            stdout=subprocess.DEVNULL,
        )
        return judge(Recording.load(seen))


def told(verdicts: list[Verdict]) -> str:
    requests = (one for verdict in verdicts for one in verdict.recording.requests)
    faults = sum(bool(one.injected) for one in requests)
    return f"{faults} faults, {sum(len(one.violations) for one in verdicts)} violations"


def is_seen_on(url: str, verdict: Verdict) -> bool:
    """By the name of the database: Flask-SQLAlchemy adds a charset to MariaDB's URL."""
    databases = {make_url(one).database for one in verdict.recording.engines}
    return bool(verdict.seen) and make_url(url).database in databases


def main() -> int:
    library, examples = Tally(), Tally()
    fixed = [one for one in APPS if one.holds]
    unseen: list[str] = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        for name, new_database in databases(stack):
            of_one = [of_library(new_database())]
            urls = [new_database() for _ in fixed]
            of_many = [*pool.map(of_example, fixed, urls)]
            print(f"- {name}: the library {told(of_one)}; the apps {told(of_many)}")
            for tally, verdicts in (library, of_one), (examples, of_many):
                for verdict in verdicts:
                    tally.add(verdict)
            unseen += [
                f"{one.target} is not seen on {name}"
                for one, url, verdict in zip(fixed, urls, of_many, strict=True)
                if not is_seen_on(url, verdict)
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
    print(*unseen, sep="\n")
    as_written = not library.causes and {*examples.causes} == {LEFT_IN_REGISTRY}
    return 0 if as_written and not unseen else 1


if __name__ == "__main__":
    sys.exit(main())
