"""Press Ctrl-C at many moments: no accusation, no traceback, exit status 130.

``python -m tools.interrupts [MOMENTS]``: that many moments of each command, 30 unless
it is given. A run of an app is interrupted at statements that are spread evenly over
it, so that a moment can be repeated. Other commands are interrupted after times that
are spread evenly over a whole run. The exit status is 1 if a moment is not right.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from tools.arguments import number

ROOT = Path(__file__).parent.parent
MOMENTS = 30
# The second is a death by the signal, which a shell reports as the first. It comes
# where Ctrl-C interrupts what ``exec`` runs from a string, as dataclasses do.
INTERRUPTED = {130, -signal.SIGINT}
STARTED = 0.5  # seconds: until then Python itself starts, which prints a traceback
WRONG = re.compile(r"Traceback|Aborted|Exception ignored|rules? (is|are) broken")
# Presses Ctrl-C before the statement of a number, of any thread. It prints how many
# statements there were.
AT_STATEMENT = """
import signal, sys
from itertools import count
from sqlalchemy import event
from sqlalchemy.engine import Engine
from session_scoping.__main__ import main

at, numbers = int(sys.argv.pop(1)), count(1)
seen = 0

@event.listens_for(Engine, "before_cursor_execute")
def press(*_):
    global seen
    seen = next(numbers)
    if seen == at:
        signal.raise_signal(signal.SIGINT)

try:
    main()
finally:
    print("statements:", seen, file=sys.stderr)
"""


@dataclass(frozen=True)
class Command:
    """A command to interrupt."""

    name: str
    arguments: tuple[str, ...]


CHECK = ("--app", "tests.apps.login:fixed", "--client", "tests.apps.login:client")
RELEASES = ("flask-admin==2.2.0", "flask-admin==2.2.1")
BY_STATEMENT = (
    Command("check", CHECK),
    Command("check --write", (*CHECK, "--write", "--yes")),
)
BY_TIME = (
    Command("check, by time", ("-m", "session_scoping", *CHECK)),
    Command("verdict", ("-m", "session_scoping", "verdict")),
    Command(
        "upgrade",
        (
            "-m",
            "session_scoping",
            "upgrade",
            "flask-admin==2.2.0",
            "flask-admin==2.2.1",
        ),
    ),
    Command("reproduction_script.py", ("reproduction_script.py",)),
)


def start(arguments: t.Sequence[str], folder: str) -> "subprocess.Popen[str]":
    """Start Python in a group of processes of its own, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/app.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(arguments: t.Sequence[str], after: float | None = None) -> tuple[int, str]:
    """Run Python. Returns its exit status and all that it prints.

    ``after``: press Ctrl-C after that many seconds, in all processes of the command.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = start(arguments, folder)
        if after is not None:
            time.sleep(after)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate()
    return process.returncode, out + error


def at_statement(command: Command, number: int) -> tuple[int, str]:
    """Run a command, and press Ctrl-C before a statement. 0: never."""
    return run(["-c", AT_STATEMENT, str(number), *command.arguments])


def wrong(status: int, printed: str, is_over: bool = False) -> str:
    """Return what is not right of a run that was interrupted, or an empty string.

    ``is_over``: the command may have ended before Ctrl-C.
    """
    if found := WRONG.search(printed):
        return f"prints {found[0]!r}"
    right = status in INTERRUPTED or (is_over and status == 0)
    return "" if right else f"exit status {status}"


def moments_of_statements(command: Command, moments: int) -> t.Iterator[str]:
    """Yield what is wrong at each moment, or an empty string."""
    _, printed = at_statement(command, 0)
    total = int(re.findall(r"statements: (\d+)", printed)[-1])
    for moment in range(moments):
        number = 1 + moment * (total - 1) // max(1, moments - 1)
        why = wrong(*at_statement(command, number))
        yield why and f"statement {number}: {why}"


def moments_in_time(command: Command, moments: int) -> t.Iterator[str]:
    """Yield what is wrong at each moment, or an empty string."""
    began = time.monotonic()
    run(command.arguments)
    whole = time.monotonic() - began
    for moment in range(moments):
        after = STARTED + whole * moment / moments
        why = wrong(*run(command.arguments, after), is_over=True)
        yield why and f"after {after:.2f} s: {why}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.interrupts")
    parser.add_argument(
        "moments", type=number, nargs="?", default=MOMENTS, metavar="MOMENTS"
    )
    moments = parser.parse_args().moments
    print("| command | moments | wrong |\n|---|---|---|", flush=True)
    failed = False
    for commands, press in (
        (BY_STATEMENT, moments_of_statements),
        (BY_TIME, moments_in_time),
    ):
        for command in commands:
            found = [why for why in press(command, moments) if why]
            print(f"| {command.name} | {moments} | {len(found)} |", flush=True)
            print(*found, sep="\n", file=sys.stderr)
            failed |= bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
