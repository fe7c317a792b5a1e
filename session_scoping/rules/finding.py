"""What is wrong: violations of a rule, and findings that join them."""

import typing as t
from dataclasses import dataclass

from session_scoping.recording import Place
from session_scoping.recording import Word
from session_scoping.rules.causes.cause import Cause
from session_scoping.rules.defects import Defect
from session_scoping.rules.rules import Rule


@dataclass(frozen=True)
class Violation:
    """A rule that is broken in one way at one place, however often."""

    rule: Rule
    what: str
    view: int | None
    operations: tuple[str, ...]
    requests: tuple[int, ...]
    sessions: tuple[int, ...]
    place: Place | None
    own: Place | None
    made: Place | None  # where the session was made
    kept_by: tuple[str, ...]
    cause: Cause | None
    line: Place | None = None  # of the app's code, where the cause is

    def __str__(self) -> str:
        where = self.own or self.place
        return f"{self.what} ({where})" if where else self.what

    @property
    def defect(self) -> Defect | None:
        """The documented defect of a release that causes it, or ``None``."""
        return self.cause.defect if self.cause else None


class Label(Word):
    """What a line of a finding is about."""

    SEEN = "seen in"  # the operations
    OWN = "your code"
    MADE = "made at"  # where the session was made
    USED = "used at"  # where a library, or the app beneath its views, used it
    KEPT = "kept by"
    CHANGE = "change"
    MORE = "more"  # the page of the cause, or of the rules


class Labelled(t.NamedTuple):
    """A line of a finding. It is printed as ``made at:   shop.py:3 in view``."""

    label: Label
    text: str

    def __str__(self) -> str:
        return f"{self.label + ':':<10} {self.text}"


@dataclass(frozen=True)
class Finding:
    """All violations that one change would fix.

    They have the same cause, at the same line of the app. They are in one view if no
    such line is known, unless the cause lies beneath the views.
    """

    cause: Cause | None
    violations: tuple[Violation, ...]

    @property
    def title(self) -> str:
        """The cause, or what was seen where the cause is not known."""
        title = self.cause.name if self.cause else self.violations[0].what
        return f"{title[0].upper()}{title[1:]}"

    @property
    def views(self) -> list[int | None]:
        """The numbers of its views."""
        return list(dict.fromkeys(violation.view for violation in self.violations))

    @property
    def places(self) -> list["Labelled"]:
        """The lines of code that it is about, and what keeps a session or a row."""
        return list(dict.fromkeys(self._places()))

    def _places(self) -> t.Iterator["Labelled"]:
        beneath = self.cause is not None and self.cause.beneath_views
        own = {violation.own for violation in self.violations}
        for violation in self.violations:
            if violation.made and violation.made not in own:
                yield Labelled(Label.MADE, str(violation.made))
            if violation.own:
                label = Label.USED if beneath else Label.OWN
                yield Labelled(label, str(violation.own))
            elif violation.place and violation.place != violation.made:
                yield Labelled(Label.USED, str(violation.place))
            if violation.kept_by:
                yield Labelled(Label.KEPT, " → ".join(violation.kept_by))

    @property
    def pages(self) -> list[str]:
        """The names of the pages about it: that of its cause, or those of its rules."""
        return [self.cause.page] if self.cause else [*self.rules]

    @property
    def rules(self) -> list[Rule]:
        """The rules that it breaks, in their order."""
        broken = {violation.rule for violation in self.violations}
        return [rule for rule in Rule if rule in broken]
