"""The verdict on a recording: findings, cells and a sentence, as plain data.

The terminal, the HTML report, the JSON file and pytest only lay it out.
"""

import re
import typing as t
from collections import defaultdict
from dataclasses import asdict
from dataclasses import dataclass
from functools import cached_property
from textwrap import indent

from session_scoping.errors import CannotTell
from session_scoping.errors import RulesBroken
from session_scoping.pages import command
from session_scoping.recording import LIST
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.recording import Word
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.finding import Finding
from session_scoping.rules.finding import Label
from session_scoping.rules.finding import Violation
from session_scoping.rules.rules import Rule
from session_scoping.rules.writes import hindered
from session_scoping.rules.writes import writes
from session_scoping.status import Status

WORST_FIRST = (
    State.BROKEN,
    State.KNOWN,
    State.HOLDS,  # in one view is enough for all views together
    State.NOT_TRIED,
    State.NOT_REACHED,
)
NEEDS_CONDITION = {Rule.ISOLATED, Rule.RECOVERS}  # a concurrent request; a failure
OUTSIDE = "the rest of the app"


class Outcome(Word):
    """The verdict in two words."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOTHING_SEEN = "nothing seen"  # no view that uses a session has answered
    NOTHING_WRITTEN = "nothing written"  # no view has created a row

    @property
    def status(self) -> Status:
        """The exit status of a command that has this outcome."""
        return STATUSES.get(self, Status.BROKEN)


STATUSES = {
    Outcome.HOLDS: Status.HOLDS,
    Outcome.NOTHING_SEEN: Status.CANNOT_TELL,
    Outcome.NOTHING_WRITTEN: Status.CANNOT_TELL,
}


# What the fixes call a view and its model, and what only that model is known to have.
EXAMPLES = re.compile(r"\b(UserView|User)\b")
EXAMPLES_OWN = re.compile(r"\b[Uu]ser\.")


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a recording. ``judge`` returns it.

    ``recording`` is what was judged, ``violations`` is how it breaks the rules.
    """

    recording: Recording
    violations: tuple[Violation, ...]

    @property
    def outcome(self) -> Outcome:
        """The verdict in two words."""
        if self.violations:
            return Outcome.BROKEN
        if not self.proven:
            return Outcome.NOTHING_SEEN
        if {view.row_made for view in self.recording.views} - {None} == {False}:
            return Outcome.NOTHING_WRITTEN
        return Outcome.HOLDS

    @property
    def holds(self) -> bool:
        """Did a view that uses a session answer, and is no rule broken?"""
        return self.outcome == Outcome.HOLDS

    def raise_for_violations(self) -> None:
        """Raise an error unless the verdict holds.

        Use it in a test of your own: ``judge(record(app)).raise_for_violations()``.

        :raises RulesBroken: A rule is broken.
        :raises CannotTell: Nothing was seen, or nothing was written.
        """
        if self.outcome.status == Status.CANNOT_TELL:
            raise CannotTell(self.sentence)
        if not self.holds:
            raise RulesBroken("\n".join([self.sentence, *self._lines()]))

    def _lines(self) -> t.Iterator[str]:
        for finding in self.findings:
            yield f"{self.names(finding)}: {finding.title}"
            for violation in finding.violations:
                yield f"  {violation.rule}: {violation.what}"
            yield from (f"  {place}" for place in finding.places)
            if finding.cause:
                yield f"  {Label.CHANGE}:\n{indent(self.fix(finding), ' ' * 4)}"
            yield f"  {Label.MORE}: {command(*finding.pages)}"

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        within = self._within
        if self.outcome == Outcome.BROKEN:
            found = {violation.rule for violation in self.violations}
            broken = [rule for rule in Rule if rule in found]
            are = "is" if len(broken) == 1 else "are"
            rules = f"{len(broken)} of {len(Rule)} rules {are} broken"
            return f"{rules}{within}: {', '.join(broken)}"
        if self.outcome == Outcome.NOTHING_SEEN and self._lists_are_closed:
            return "nothing was seen: no list has answered"
        if self.outcome == Outcome.NOTHING_SEEN:
            return "nothing was seen: no view that uses a session has answered"
        if self.outcome == Outcome.NOTHING_WRITTEN:
            return "nothing was written: no view has created a row"
        sentence = f"sessions are request-scoped{within}"
        if self.failures:
            sentence += f", but {count(self.failures, 'request')} did not work"
        return sentence

    @property
    def _within(self) -> str:
        """In how many of the views that use a session; empty if it is all of them."""
        users = self._using | {
            number for number, view in enumerate(self.recording.views) if view.model
        }
        if self.violations:
            views = {violation.view for violation in self.violations}
        else:
            views = self.shown & self._using
        found, known = len(views - {None}), len(users - {None})
        return f", in {found} of {known} views" if 0 < found < known else ""

    @cached_property
    def findings(self) -> list[Finding]:
        """The violations grouped by cause and line, worst first."""
        groups: dict[t.Any, list[Violation]] = defaultdict(list)
        for violation in self.violations:
            cause, where = violation.cause, violation.line or violation.view
            if cause is None:
                seen = violation.kept_by or violation.what
                alike = violation.rule, seen, violation.line
                groups[cause, alike].append(violation)
            elif cause.beneath_views:
                groups[cause, None].append(violation)
            else:
                groups[cause, violation.view if cause.defect else where].append(
                    violation
                )
        found = [Finding(cause, tuple(group)) for (cause, *_), group in groups.items()]
        return sorted(
            found,
            key=lambda finding: (
                -len(finding.rules),
                -len({number for v in finding.violations for number in v.requests}),
            ),
        )

    @property
    def notes(self) -> list[str]:
        """What is worth to know, and breaks no rule."""
        kept = (
            f"{query.own} queries the database while the app is built, and in no "
            "request: the answer is as old as the process"
            for query in self.recording.startup_queries
            if not query.repeated
        )
        return [*writes(self.recording), *kept, *self.recording.notes]

    @cached_property
    def hindered(self) -> list[Request]:
        """The requests that failed because nothing is written while pages are read."""
        return hindered(self.recording)

    @property
    def failures(self) -> list[Request]:
        """The requests that did not work, for a reason that no rule explains."""
        explained = {
            number for violation in self.violations for number in violation.requests
        } | {request.number for request in self.hindered}
        return [
            request
            for request in self.recording.requests
            if request.failure
            and not (request.injected or request.absent)
            and request.number not in explained
            and not any(use.close_error for use in request.uses)
        ]

    @cached_property
    def seen(self) -> set[int | None]:
        """The numbers of the views that answered a request."""
        return {
            request.view for request in self.recording.requests if answered(request)
        }

    @cached_property
    def shown(self) -> set[int | None]:
        """The numbers of the views that are judged.

        A view is judged if it has answered. If its list was requested, the list has to
        have answered.
        """
        lists = [
            request for request in self.recording.requests if request.operation == LIST
        ]
        answers = {request.view for request in lists if answered(request)}
        return self.seen - ({request.view for request in lists} - answers)

    @cached_property
    def _using(self) -> set[int | None]:
        """The numbers of the views that used a session."""
        return {request.view for request in self.recording.requests if request.uses}

    @property
    def proven(self) -> bool:
        """Has a view that is judged used a session? If none has, nothing is proven.

        If lists were requested, one of them has to have answered.
        """
        views = self.shown - {None}
        return not self._lists_are_closed and any(
            request.view in views and answered(request) and request.uses
            for request in self.recording.requests
        )

    @property
    def _lists_are_closed(self) -> bool:
        """Were lists requested, and has none of them answered?"""
        requests = self.recording.requests
        lists = {request.view for request in requests if request.operation == LIST}
        return bool(lists) and not lists & self.shown

    @cached_property
    def _tried(self) -> set[tuple[int | None, Rule]]:
        """The views and rules for which the condition that a rule needs has occurred.

        ``recovers`` needs a failure, and ``isolated`` needs a concurrent request.
        """
        tried = set()
        excused = {request.number for request in self.hindered}
        latest: dict[int | None, float] = defaultdict(float)
        for request in self.recording.requests:
            view = request.view
            by_itself = request.number not in excused and not request.absent
            if request.in_trouble and by_itself:
                tried.add((view, Rule.RECOVERS))
            if request.started < latest[view] and request.parent is None:
                tried.add((view, Rule.ISOLATED))
            latest[view] = max(latest[view], request.ended)
        return tried

    @property
    def rows(self) -> list[int | None]:
        """The numbers of the views, and ``None`` for what belongs to no view."""
        views = {request.view for request in self.recording.requests}
        views |= {violation.view for violation in self.violations}
        return [*range(len(self.recording.views)), *([None] if None in views else [])]

    def label(self, view: int | None) -> str:
        """Return the name of a view: its class, if only that view has it.

        Views of the same class have their model behind it, or their endpoint, if they
        have the same model, too.
        """
        if view is None:
            return OUTSIDE
        views = self.recording.views
        seen = views[view]
        same = [other for other in views if other.name == seen.name]
        if len(same) == 1:
            return seen.name
        alone = seen.model and sum(other.model == seen.model for other in same) == 1
        return f"{seen.name}({seen.model if alone else seen.endpoint})"

    def names(self, finding: Finding, few: int = 4) -> str:
        """Return the names of the views of a finding, ``few`` at most."""
        return listed([self.label(view) for view in finding.views], few)

    def fix(self, finding: Finding) -> str:
        """Return the change that fixes a finding, or an empty string.

        The change names the first view of the finding and its model, unless it uses
        what only the model of the example has.
        """
        fix = finding.cause.fix if finding.cause else ""
        views = [
            self.recording.views[view] for view in finding.views if view is not None
        ]
        own = next((view for view in views if view.model), None)
        if own is None or EXAMPLES_OWN.search(fix):
            return fix
        by_app = own.name != "ModelView"
        names = {
            "UserView": own.name if by_app else f"{own.model}View",
            "User": own.model,
        }
        return EXAMPLES.sub(lambda found: names[found[0]], fix)

    def cell(self, rule: Rule, view: int | None) -> Cell:
        """Return what is known of a rule in a view."""
        return self._cell(rule, self.label(view), [view])

    def summed(self, rule: Rule, subject: str) -> Cell:
        """Return what is known of a rule in all views together.

        ``subject`` is the name that the cell gets. The cell has the worst state of all
        views, where ``holds`` counts before ``not tried``.
        """
        return self._cell(rule, subject, [*range(len(self.recording.views)), None])

    def _cell(self, rule: Rule, subject: str, views: t.Sequence[int | None]) -> Cell:
        states = {self._state(rule, view) for view in views}
        broken = [
            violation
            for violation in self.violations
            if violation.rule == rule and violation.view in views
        ]
        return Cell(
            rule,
            subject,
            next(state for state in WORST_FIRST if state in states),
            defects=tuple(
                dict.fromkeys(found.defect.id for found in broken if found.defect)
            ),
            seen=tuple(dict.fromkeys(map(str, broken))),
        )

    def _state(self, rule: Rule, view: int | None) -> State:
        broken = [violation for violation in self.violations if violation.view == view]
        by = [violation.defect for violation in broken if violation.rule == rule]
        if by:
            return State.KNOWN if all(by) else State.BROKEN
        if view not in self.shown:
            return State.NOT_REACHED
        if view not in self._using:
            return State.NOT_TRIED
        if rule in NEEDS_CONDITION and (view, rule) not in self._tried:
            return State.NOT_TRIED
        rules = {violation.rule for violation in broken}
        if rule == Rule.ISOLATED and rules & {Rule.FRESH, Rule.RELEASED}:
            return State.NOT_TRIED  # the next request sees all that is in that session
        return State.HOLDS

    def to_json(self) -> dict[str, t.Any]:
        """Return the verdict and the recording as plain data.

        Saved to a file as JSON, the recording can be read by ``Recording.load``.
        """
        return {
            "outcome": self.outcome,
            "sentence": self.sentence,
            "cells": [
                asdict(self.cell(rule, view)) for view in self.rows for rule in Rule
            ],
            "violations": [asdict(violation) for violation in self.violations],
            "recording": self.recording.to_json(),
        }


def answered(request: Request) -> bool:
    """Did the client get an answer? A page that redirects leads to a login."""
    if request.method == "GET":
        return request.status == 200
    return 0 < request.status < 400


def count(things: t.Sized, name: str) -> str:
    """Return how many things there are: ``1 request``, ``1,200 requests``."""
    number = len(things)
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def listed(names: t.Sequence[str], few: int = 4, separator: str = ", ") -> str:
    """Return names in a line, ``few`` at most."""
    more = len(names) - few
    line = separator.join(names[:few])
    return f"{line} and {more} more" if more > 0 else line
