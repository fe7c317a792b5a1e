"""Run both instruments on every mutant: ``make mutants``.

``python -m tools.mutants [--sample N] [NAME…]``: with a number, it runs that many,
which the current commit selects. The exit status is 1 if, for any mutant, the bookshop
does not report a rule that it breaks, or the drop-in passes although it can reach the
mutant. It is 1, too, if either reports a harmless change.
"""

import argparse
import json
import os
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.arguments import number
from tools.mutants import Mutant
from tools.mutants import NONE
from tools.mutants.catalogue import MUTANTS
from tools.sample import sample

ROOT = Path(__file__).parents[2]
LIMIT = 600  # seconds, after which a trial has failed
TOGETHER = os.cpu_count() or 1


class Trial(t.NamedTuple):
    """What the instruments report for a mutant."""

    mutant: Mutant
    bookshop: dict[str, list[str]] = {}  # by rule
    drop_in: dict[
        str, str
    ] = {}  # the output of the first test that failed, by its name
    died: str = ""

    @property
    def is_right(self) -> bool:
        """Both catch the mutant, the bookshop by a rule that it breaks.

        The drop-in does not catch a mutant that is beyond it. Neither reports a
        harmless change.
        """
        if not self.mutant.rules:
            return not (self.bookshop or self.drop_in or self.died)
        caught = bool({*self.bookshop} & {*self.mutant.rules})
        return caught and bool(self.drop_in) != self.mutant.beyond

    @property
    def cells(self) -> list[str]:
        """The cells of the table, for each instrument."""
        rules, test = ", ".join(sorted(self.bookshop)), "".join(self.drop_in)
        return [rules or "nothing", f"`{test}`" if test else "nothing"]


def trial(mutant: Mutant) -> Trial:
    command = [sys.executable, "-W", "ignore", "-m", "tools.mutants.trial", mutant.name]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return Trial(mutant, died=f"has not ended in {LIMIT} seconds")
    try:
        return Trial(mutant, **json.loads(done.stdout.splitlines()[-1]))
    except (ValueError, IndexError):
        return Trial(mutant, died=(done.stderr or done.stdout)[-2000:])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants")
    parser.add_argument("--sample", type=number, metavar="N", help="only N of them")
    parser.add_argument("--reports", action="store_true", help="print what they report")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    options = parser.parse_args()
    if unknown := {*options.names} - {*MUTANTS, NONE.name}:
        parser.error(f"no mutant is named {', '.join(sorted(unknown))}")
    names = sample(options.names or list(MUTANTS), options.sample)
    mutants = [NONE, *(MUTANTS[name] for name in names if name != NONE.name)]
    missed: list[str] = []
    print("| mutant | the bookshop: rules | the drop-in: test |\n|---|---|---|")
    with ThreadPoolExecutor(TOGETHER) as pool:
        for tried in pool.map(trial, mutants):
            print(f"| {tried.mutant.name} | {' | '.join(tried.cells)} |", flush=True)
            if options.reports:
                print(json.dumps([tried.bookshop, tried.drop_in], indent=1))
            if tried.died:
                print(tried.died)
            if not tried.is_right:
                missed.append(tried.mutant.name)
    harmless = sum(not mutant.rules for mutant in mutants[1:])
    print(
        f"\n{len(mutants) - 1 - harmless} mutants and {harmless} harmless changes, "
        f"{len(missed)} not as expected"
    )
    for name in missed:
        print(f"- {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
