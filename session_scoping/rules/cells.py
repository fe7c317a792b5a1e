"""A cell of a table: what is known of one rule, with one handle or in one view."""

import typing as t
from dataclasses import dataclass

from session_scoping.recording import Word
from session_scoping.rules.rules import Rule


class State(Word):
    """What is known of a rule, in the words of every report."""

    HOLDS = "holds"
    BROKEN = "broken"
    KNOWN = "known broken"  # by a documented defect of a release
    NOT_TRIED = "not tried"
    NOT_REACHED = "not reached"


@dataclass(frozen=True)
class Cell:
    """What is known of one rule, with one handle or in one view."""

    rule: Rule
    subject: str  # the handle or the view
    state: State
    why: str = ""  # why the rule was not tried
    defects: tuple[str, ...] = ()  # the ids of the known defects that break it
    seen: tuple[str, ...] = ()  # what was seen: each violation, in a line

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "Cell":
        """Make a cell from what ``dataclasses.asdict`` returned for it."""
        lists = {name: tuple(data[name]) for name in ("defects", "seen")}
        return cls(
            **{
                **data,
                **lists,
                "rule": Rule(data["rule"]),
                "state": State(data["state"]),
            }
        )
