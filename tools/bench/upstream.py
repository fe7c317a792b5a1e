"""The drop-in against Flask-Admin's own tests of its SQLAlchemy views: in time, and in
mutants caught, of a sample.

A test of Flask-Admin's catches a mutant when it passes without the mutant and fails
with it: some fail on newer dependencies by themselves.
"""

import os
import re
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from session_scoping.compare.fork import drop_in
from session_scoping.compare.fork import run_in
from tools.bench.guard import seconds
from tools.mutants.__main__ import trial as both_guards
from tools.mutants.catalogue import MUTANTS
from tools.sample import sample
from tools.sdist import unpack

ROOT = Path(__file__).parents[2]
RELEASE = "2.2.1"
ROUNDS = 3
SAMPLE = 20
OWN = "flask_admin/tests/sqla"
DONE = re.compile(r"^PASSED (\S+)", re.MULTILINE)


class Own(t.NamedTuple):
    """Flask-Admin's own tests, and a Python that can run them."""

    checkout: Path
    python: str

    @property
    def command(self) -> list[str]:
        options = ["-q", "-rp", "-W", "ignore", "-p", "no:cacheprovider"]
        options += [
            "-p",
            "tools.mutants.plugin",
            "--deselect",
            f"{OWN}/test_postgres.py",
        ]
        return [self.python, "-m", "pytest", *options, OWN]

    def passing(self, mutant: str = "") -> set[str]:
        done = subprocess.run(
            self.command,
            cwd=self.checkout,
            env={**os.environ, "MUTANT": mutant, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        return {*DONE.findall(done.stdout)}


def main() -> None:
    with TemporaryDirectory() as folder:
        checkout = unpack(RELEASE, Path(folder))
        where = ("python", "-c", "import sys; print(sys.executable)")
        own = Own(checkout, run_in(checkout, *where).stdout.strip())
        tested = [own.python, "-m", "pytest", "-q", str(drop_in())]
        times: dict[str, list[float]] = {"own": [], "drop-in": []}
        for _ in range(ROUNDS):
            times["own"].append(
                seconds(own.command, checkout, passes=False, path=str(ROOT))
            )
            times["drop-in"].append(seconds(tested, checkout))
        both = {name: median(found) for name, found in times.items()}
        print(
            f"Flask-Admin's own: {both['own']:.1f} s, the drop-in: "
            f"{both['drop-in']:.1f} s, {both['drop-in'] / both['own']:.2f} ×"
        )
        names = sample([*MUTANTS], SAMPLE)
        usual = own.passing()
        print(f"{len(usual)} of Flask-Admin's own tests pass without a mutant")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            left = list(pool.map(own.passing, names))
            found = list(pool.map(both_guards, [MUTANTS[name] for name in names]))
        caught = sum(bool(usual - passing) for passing in left)
        by_drop_in = sum(bool(trial.drop_in) for trial in found)
        print(
            f"of {len(names)} mutants, Flask-Admin's own tests catch {caught}, "
            f"the drop-in {by_drop_in}"
        )
