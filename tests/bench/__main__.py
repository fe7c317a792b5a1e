"""``python -m tests.bench [PART…]``: all of it, or some."""

import sys

from tests.bench import crawl
from tests.bench import guard
from tests.bench import recording
from tests.bench import report
from tests.bench import upstream

PARTS = {
    "guard": guard.main,
    "recording": recording.main,
    "crawl": crawl.main,
    "report": report.main,
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
