"""Shows what a command does, and how long it will take."""

import os
import sys
import typing as t
from contextlib import contextmanager

from rich import progress as columns
from rich.text import Text

from session_scoping.compare.progress import ASKED
from session_scoping.compare.progress import Progress
from session_scoping.compare.progress import send
from session_scoping.report.terminal import console_for
from session_scoping.report.terminal import only_ascii

BAR = 12
BESIDE = 24  # the columns beside the bar and what is done


class Times(columns.ProgressColumn):
    """The time that has passed, and the time that is left."""

    def render(self, task: columns.Task) -> Text:
        """Return both in a text."""
        return Text(times(task.get_time() - task.fields["began"], task.completed))


def times(passed: float, part: float) -> str:
    """Return the seconds that have passed, and how many are left if a part is done."""
    if not part:
        return _clock(passed)
    return f"{_clock(passed)}, {_clock(passed / part - passed)} left"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}"


@contextmanager
def progress(*titles: str, no_color: bool = False) -> t.Iterator[list[Progress]]:
    """Show a bar for each title on a terminal. Elsewhere show nothing, unless a parent
    process asks for it.

    Gives a function for each title, which takes what is being done and which part of
    it is done.
    """
    if ASKED in os.environ:
        yield [lambda what, part: None if part is None else send(part)] * len(titles)
        return
    console = console_for(sys.stderr, no_color)
    with columns.Progress(
        columns.SpinnerColumn("line" if only_ascii(sys.stderr) else "dots"),
        columns.TextColumn("{task.description}", markup=False),
        columns.BarColumn(BAR),
        Times(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as shown:
        room = console.width - BAR - BESIDE

        def line(title: str) -> Progress:
            # As long as it is not started, its bar only moves.
            task = shown.add_task(title, start=False, total=1, began=shown.get_time())

            def doing(what: str, part: float | None = None) -> None:
                if part is not None:
                    shown.start_task(task)
                said = f"{title}: {what}"[:room] if what else title
                shown.update(task, description=said, completed=part)

            return doing

        yield [line(title) for title in titles]
