"""``python -m tools.bench [PART…]``: all of it, or some."""

import sys

from tools.bench import crawl
from tools.bench import guard
from tools.bench import monitor
from tools.bench import recording
from tools.bench import report
from tools.bench import suite
from tools.bench import upstream

PARTS = {
    "guard": guard.main,
    "recording": recording.main,
    "crawl": crawl.main,
    "monitor": monitor.main,
    "report": report.main,
    "suite": suite.main,
    "upstream": upstream.main,
}


def main() -> None:
    names = sys.argv[1:] or list(PARTS)
    if unknown := {*names} - {*PARTS}:
        print(f"no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}")
        sys.exit(2)
    for name in names:
        print(f"-- {name}", flush=True)
        PARTS[name]()


if __name__ == "__main__":
    main()
