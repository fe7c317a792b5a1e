"""Let both guards loose on every mutant: ``make mutants``.

``python -m tests.mutants [--sample N] [NAME…]``: with a number, only so many of them,
chosen by the commit that is checked out. Exit status 1 when one is not caught, or by a
rule that does not name it.
"""

import argparse
import json
import os
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants import Mutant
from tests.mutants import NONE
from tests.mutants.catalogue import MUTANTS
from tests.sample import sample

ROOT = Path(__file__).parents[2]
GUARDS = ("drop-in", "own app")
PATIENCE = 600  # seconds
TOGETHER = 2 * (os.cpu_count() or 1)  # some wait for a lock, most of the time


class Trial(t.NamedTuple):
    """What the guards said of a mutant."""

    mutant: Mutant
    broken: dict[str, dict[str, list[str]]]  # guard: rule: what it said
    died: str = ""

    def rules(self, guard: str) -> list[str]:
        return sorted(self.broken.get(guard, ()))

    def rightly(self, guard: str) -> bool:
        """Is it caught, and by a rule that names it?"""
        if self.mutant is NONE:
            return self.broken.get(guard) == {}
        if guard == "own app" and self.mutant.beyond_own_app:
            return not self.rules(guard)  # else it has learned to see it
        return bool({*self.rules(guard)} & {*self.mutant.rules})


def run(mutant: Mutant) -> Trial:
    command = [sys.executable, "-W", "ignore", "-m", "tests.mutants.trial", mutant.name]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return Trial(mutant, {}, f"has not ended in {PATIENCE} seconds")
    try:
        return Trial(mutant, json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        return Trial(mutant, {}, (done.stderr or done.stdout)[-2000:])


def cell(trial: Trial, guard: str) -> str:
    if guard == "own app" and trial.mutant.beyond_own_app and trial.rightly(guard):
        return f"– ({trial.mutant.beyond_own_app})"
    rules = ", ".join(trial.rules(guard)) or "nothing"
    return rules if trial.rightly(guard) else f"NOT RIGHTLY: {rules}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--sample", type=int, metavar="N", help="only N of them")
    parser.add_argument("--said", action="store_true", help="what the guards said")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    options = parser.parse_args()
    if unknown := {*options.names} - {*MUTANTS, NONE.name}:
        parser.error(f"no mutant is named {', '.join(sorted(unknown))}")
    names = sample(options.names or list(MUTANTS), options.sample)
    mutants = [NONE, *(MUTANTS[one] for one in names if one != NONE.name)]
    missed: list[str] = []
    print("| mutant | drop-in | own app |\n|---|---|---|")
    with ThreadPoolExecutor(TOGETHER) as pool:
        for trial in pool.map(run, mutants):
            cells = (cell(trial, guard) for guard in GUARDS)
            print(f"| {trial.mutant.name} | {' | '.join(cells)} |", flush=True)
            if options.said:
                print(json.dumps(trial.broken, indent=1))
            if trial.died:
                print(trial.died)
            if not all(trial.rightly(guard) for guard in GUARDS):
                missed.append(trial.mutant.name)
    print(f"\n{len(mutants) - 1} mutants, {len({*missed} - {NONE.name})} not caught")
    for one in missed:
        print(f"- {one}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
