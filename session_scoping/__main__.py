"""``session-scoping``, and ``python -m session_scoping``."""

import sys

from session_scoping.interrupts import end_at_once


def main() -> None:
    """Run the command. Ctrl-C ends it while the packages that it needs are imported."""
    end_at_once()
    from session_scoping.cli import main as commands

    name = "session-scoping"
    if sys.argv[0].endswith("__main__.py"):
        name = "python -m session_scoping"
    commands(prog_name=name)


if __name__ == "__main__":
    main()
