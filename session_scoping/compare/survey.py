"""Drives the bookshop with each handle, in the current environment.

``python -m session_scoping.compare.survey PATH`` writes a survey to a file as JSON.
"""

import json
import os
import re
import sys
import typing as t
import warnings
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property
from importlib import import_module
from multiprocessing import get_context
from multiprocessing import resource_tracker
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import session_scoping.interrupts as interrupts
from session_scoping.compare.progress import send
from session_scoping.recording import Recording
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import not_importing
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.handles import missing
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Verdict
from session_scoping.status import Status
from session_scoping.watch.versions import stack

# What processes of the pool put: a handle and the part of its work that is done. At the
# end there is ``None``.
Steps: t.TypeAlias = "SimpleQueue[tuple[str, float] | None]"


class Process:
    """What a process of the pool knows."""

    steps: Steps


@dataclass
class Survey:
    """The recordings of the bookshop in an environment."""

    python: str = ""
    stack: dict[str, str] = field(default_factory=dict)  # package: version
    recordings: dict[str, Recording] = field(default_factory=dict)  # by handle
    not_tried: dict[str, str] = field(default_factory=dict)  # the reason, by handle
    does_not_import: str = ""  # the error of Flask-Admin's SQLAlchemy views

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdicts, by handle."""
        return {handle: judge(seen) for handle, seen in self.recordings.items()}

    @property
    def wrong(self) -> list[str]:
        """A line for each operation that did not do what it has to do.

        Such an operation does not prove that a rule holds.
        """
        return [
            f"{handle}: {verdict.label(request.view)}, {request.does}: "
            f"{request.unexpected}"
            for handle, verdict in self.verdicts.items()
            for request in verdict.failures
            if request.unexpected
        ]

    @property
    def status(self) -> Status:
        """The exit status.

        A known defect counts as broken if a release fixes it. Nothing can be told if
        an operation did not work.
        """
        cells = self.cells
        known = {defect for cell in cells for defect in cell.defects}
        if any(cell.state == State.BROKEN for cell in cells):
            return Status.BROKEN
        if not self.recordings or self.wrong:
            return Status.CANNOT_TELL
        fixed = any(BY_ID[defect].fixed_in for defect in known)
        return Status.BROKEN if fixed else Status.HOLDS

    @property
    def cells(self) -> list[Cell]:
        """The state of each rule with each handle."""
        return [self.cell(rule, handle) for rule in Rule for handle in HANDLES]

    def cell(self, rule: Rule, handle: str) -> Cell:
        """Return the state of a rule with a handle."""
        if handle in self.verdicts:
            return self.verdicts[handle].summed(rule, handle)
        if self.does_not_import:
            known = tuple(defect.id for defect in not_importing(self.stack))
            why = self.does_not_import
            return Cell(rule, handle, State.NOT_TRIED, why, known)
        return Cell(rule, handle, State.NOT_TRIED, self.not_tried.get(handle, ""))

    def to_json(self) -> dict[str, t.Any]:
        """Return the survey as plain data, which ``from_json`` reads."""
        recordings = {
            name: recording.to_json() for name, recording in self.recordings.items()
        }
        return {
            "python": self.python,
            "stack": self.stack,
            "recordings": recordings,
            "not_tried": self.not_tried,
            "does_not_import": self.does_not_import,
        }

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "Survey":
        """Make a survey from what ``to_json`` returned. Raises ``NotARecording``."""
        recordings = {
            name: Recording.from_json(recording)
            for name, recording in data["recordings"].items()
        }
        return cls(**{**data, "recordings": recordings})


def survey(progress: t.Callable[[float], object]) -> Survey:
    """Drive the bookshop with each handle that is installed, each in its own process.

    ``progress`` is called with the part that is done, from 0 to 1. Nothing is raised if
    Flask-Admin does not import: the survey says so.
    """
    progress(0)
    versions = dict(stack())
    found = Survey(".".join(map(str, sys.version_info[:3])), versions)
    try:
        import_module("flask_admin.contrib.sqla")
    except ImportError as error:
        why = re.sub(r" \(\S*/\S*\)", "", str(error))  # without the path of the machine
        found.does_not_import = f"Flask-Admin does not import: {why}"
        return found
    absent = {handle: missing(handle, versions) for handle in HANDLES}
    found.not_tried = {handle: why for handle, why in absent.items() if why}
    there = [handle for handle in HANDLES if not absent[handle]]
    resource_tracker.ensure_running()
    spawn = get_context("spawn")
    steps: Steps = spawn.SimpleQueue()
    with interrupts.kept_from_children():
        pool = spawn.Pool(os.cpu_count(), _begin, (steps,))
    with pool:
        done: dict[str, float] = {}

        def ended(_: object) -> None:
            steps.put(None)

        recordings = pool.map_async(
            _recorded, there, chunksize=1, callback=ended, error_callback=ended
        )
        while step := steps.get():
            handle, part = step
            done[handle] = part
            progress(sum(done.values()) / len(there))
        found.recordings = dict(zip(there, recordings.get(), strict=True))
    return found


def _begin(steps: Steps) -> None:
    """Begin a process of the pool."""
    warnings.simplefilter("ignore")
    Process.steps = steps


def _recorded(handle: str) -> Recording:
    from session_scoping.bookshop.shop import recorded

    def progress(name: str, done: int, total: int) -> None:
        Process.steps.put((handle, done / total))

    return recorded(handle, progress=progress)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(survey(send).to_json()), encoding="utf-8")
