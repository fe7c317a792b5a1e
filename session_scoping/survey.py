"""The bookshop on each handle, in the environment at hand: what was recorded of it.

``python -m session_scoping.survey PATH`` writes a survey to a file as JSON.
"""

import json
import sys
import typing as t
from dataclasses import dataclass
from dataclasses import field
from functools import cached_property
from importlib import import_module
from pathlib import Path

from session_scoping.cells import Cell
from session_scoping.cells import State
from session_scoping.defects import not_importing
from session_scoping.handles import HANDLES
from session_scoping.recording import Recording
from session_scoping.rules import judge
from session_scoping.rules import NAMES
from session_scoping.rules import Verdict
from session_scoping.stack import stack


@dataclass
class Survey:
    """What was recorded of the bookshop in one environment."""

    python: str = ""
    stack: dict[str, str] = field(default_factory=dict)  # package: version
    recordings: dict[str, Recording] = field(default_factory=dict)  # by handle
    not_tried: dict[str, str] = field(default_factory=dict)  # by handle: why
    does_not_import: str = ""  # the error of Flask-Admin's SQLAlchemy views

    @cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """What the rules say, by handle."""
        return {handle: judge(seen) for handle, seen in self.recordings.items()}

    @property
    def cells(self) -> list[Cell]:
        """What is known of each rule with each handle."""
        return [self.cell(rule, handle) for rule in NAMES for handle in HANDLES]

    def cell(self, rule: str, handle: str) -> Cell:
        """What is known of a rule with a handle."""
        if handle in self.verdicts:
            return self.verdicts[handle].summed(rule, handle)
        if self.does_not_import:
            known = tuple(one.id for one in not_importing(self.stack))
            why = self.does_not_import
            return Cell(rule, handle, State.NOT_TRIED, why, known)
        return Cell(rule, handle, State.NOT_TRIED, self.not_tried.get(handle, ""))

    def to_json(self) -> dict[str, t.Any]:
        """What ``from_json`` reads."""
        recordings = {name: one.to_json() for name, one in self.recordings.items()}
        return {
            "python": self.python,
            "stack": self.stack,
            "recordings": recordings,
            "not_tried": self.not_tried,
            "does_not_import": self.does_not_import,
        }

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "Survey":
        """Read what ``to_json`` has written. Raises ``NotARecording``."""
        recordings = {
            name: Recording.from_json(one) for name, one in data["recordings"].items()
        }
        return cls(**{**data, "recordings": recordings})


def survey(handles: t.Sequence[str] = HANDLES) -> Survey:
    """Drive the bookshop on each handle that is installed."""
    found = Survey(".".join(map(str, sys.version_info[:3])), dict(stack()))
    try:
        bookshop = import_module("session_scoping.bookshop")
    except ImportError as error:
        found.does_not_import = f"Flask-Admin does not import: {error}"
        return found
    for handle in handles:
        if why := bookshop.missing(handle):
            found.not_tried[handle] = why
        else:
            found.recordings[handle] = bookshop.recorded(handle)
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(survey().to_json()), encoding="utf-8")
