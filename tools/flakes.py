"""Run the drop-in many times, in ways in which a flaky test sometimes fails.

``python -m tools.flakes [RUNS]``: that many runs, by turns in each of the ways. Each
run has another random order, and all are under load: twice as many run at once as there
are processors. A run that fails is printed with the command that repeats it. An
interrupt prints the figures so far.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

from session_scoping.compare.fork import drop_in
from tools.arguments import number

ROOT = Path(__file__).parent.parent
RUNS = 1000
TOGETHER = 2 * (os.cpu_count() or 1)
PYTEST = "import gc, pytest, sys; {}; sys.exit(pytest.main(sys.argv[1:]))"

WAYS: dict[str, tuple[str, list[str]]] = {
    "in random order": ("", []),
    "in parallel": ("", ["-n", "2"]),
    "without garbage collection": ("gc.disable()", []),
    "collecting at every allocation": ("gc.set_threshold(1, 1, 1)", []),
}


def command(way: str, seed: int) -> list[str]:
    before, options = WAYS[way]
    program = PYTEST.format(before or "pass")
    options = [*options, "-q", "-W", "error", "-p", "no:cacheprovider", "--tb=short"]
    options += [f"--randomly-seed={seed}", str(drop_in())]
    return [sys.executable, "-c", program, *options]


def failure(way: str, seed: int) -> str:
    """Run the drop-in. Returns the output of a run that failed, or nothing."""
    done = subprocess.run(
        command(way, seed), cwd=ROOT, capture_output=True, text=True, check=False
    )
    passed = done.returncode == 0 and " passed" in done.stdout
    return "" if passed else done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.flakes")
    parser.add_argument("runs", type=number, nargs="?", default=RUNS, metavar="RUNS")
    runs = parser.parse_args().runs
    ways = [way for way, _ in zip(cycle(WAYS), range(runs), strict=False)]
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    pool = ThreadPoolExecutor(TOGETHER)
    try:
        for seed, output in enumerate(pool.map(failure, ways, range(runs))):
            way = ways[seed]
            done[way] += 1
            if output:
                failed[way] += 1
                print(f"{' '.join(command(way, seed))}\n{output}", file=sys.stderr)
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
    print("| way | runs | failures |\n|---|---|---|", flush=True)
    for way in WAYS:
        print(f"| {way} | {done[way]} | {failed[way]} |", flush=True)
    return 1 if failed or done.total() < runs else 0


if __name__ == "__main__":
    sys.exit(main())
