"""Run the reproduction and the guard, and print which rule holds with which handle.

Exit status: 0 when no rule is broken but by a known defect that no release mends yet,
1 when one is, 2 when it could not tell.
"""

import subprocess
import sys
import typing as t
from pathlib import Path

from session_scoping import guard
from session_scoping.guard import GuardRun
from session_scoping.rules import NAMES
from session_scoping.stack import STACK

HERE = Path(__file__).parent


def versions(run: GuardRun) -> str:
    """What the verdict is about."""
    known = run.stack
    found = [f"{one} {known[one]}" if one in known else f"no {one}" for one in STACK]
    return ", ".join([*found, f"Python {run.python}"])


def table(run: GuardRun, notes: list[str]) -> t.Iterator[str]:
    """The rules and the handles. What needs more words than a cell is a note."""
    widths = [max(len(handle), 13) for handle in run.handles]
    rows = [("rule", *run.handles)]
    for rule in NAMES if run.handles else ():
        cells = (run.cell(rule, handle) for handle in run.handles)
        rows.append((rule, *(written(one, notes) for one in cells)))
    for first, *padded in rows:
        pairs = zip(padded, widths, strict=True)
        row = "  ".join(f"{cell:<{width}}" for cell, width in pairs)
        yield f"{first:<10}{row}".rstrip()


def written(cell: guard.Cell, notes: list[str]) -> str:
    if not cell.why:
        return {guard.BREAKS: "BREAKS", guard.HOLDS: "holds"}.get(cell.state, "-")
    if cell.why not in notes:
        notes.append(cell.why)
    word = "holds but" if cell.state == guard.KNOWN else "-"
    return f"{word} [{notes.index(cell.why) + 1}]"


def main(path: Path | None = None) -> int:
    script = [sys.executable, str(HERE / "reproduction_script.py")]
    reproduced = subprocess.run(script, check=False).returncode
    run = guard.run(path)
    notes: list[str] = []
    print(f"\n{versions(run)}\n")
    print("\n".join(table(run, notes)))
    print(f"\ntwins caught: {run.caught} of {run.twins}")
    for number, why in enumerate(notes, start=1):
        print(f"[{number}] {why}")
    for failure in run.failures:
        print(f"\n{failure}")
    if not run.finished or reproduced not in (0, 1):
        print("\nVerdict: could not tell.")
        return 2
    if run.failures or reproduced:
        print("\nVerdict: a session outlives its request, or worse: see above.")
        return 1
    but = ", but for what the numbers say" if notes else ""
    print(f"\nVerdict: sessions are request-scoped{but}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
