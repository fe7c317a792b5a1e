"""What the rules say of a recording: the violations, grouped into findings."""

import typing as t
from collections import defaultdict
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from functools import cached_property

from session_scoping.recording import NOBODY
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.recording import Request
from session_scoping.rules.causes import Cause
from session_scoping.rules.causes import cause_of
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import Defect
from session_scoping.rules.rules import NAMES
from session_scoping.rules.rules import RULES
from session_scoping.rules.sight import Sight

WORST_FIRST = (
    State.BROKEN,
    State.KNOWN,
    State.HOLDS,  # somewhere, which is enough for all views together
    State.NOT_TRIED,
    State.NOT_REACHED,
)


@dataclass(frozen=True)
class Violation:
    """A rule that is broken in one way at one place, however often."""

    rule: str
    what: str
    view: int
    operations: tuple[str, ...]
    requests: tuple[int, ...]
    sessions: tuple[int, ...]
    place: Place | None
    own: Place | None
    made: Place | None  # where the session was made
    kept_by: tuple[str, ...]
    cause: Cause | None

    def __str__(self) -> str:
        where = self.own or self.place
        return f"{self.what} ({where})" if where else self.what

    @property
    def defect(self) -> Defect | None:
        """The documented defect of a release that causes it, or ``None``."""
        return self.cause.defect if self.cause else None


@dataclass(frozen=True)
class Finding:
    """All violations that one change would fix.

    They have the same cause. They are in one view, or in several views if the cause
    lies beneath the views.
    """

    cause: Cause | None
    violations: tuple[Violation, ...]

    @property
    def views(self) -> list[int]:
        return list(dict.fromkeys(violation.view for violation in self.violations))

    @property
    def rules(self) -> list[str]:
        return sorted(
            {violation.rule for violation in self.violations}, key=NAMES.index
        )


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a recording. ``judge`` returns it.

    ``recording`` is what was judged, ``violations`` is how it breaks the rules.
    """

    recording: Recording
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        """Is no rule broken, and did no request try to write while it was read?"""
        return not self.violations and not self.stopped

    @cached_property
    def findings(self) -> list[Finding]:
        """The violations grouped by cause and view, worst first."""
        groups: dict[t.Any, list[Violation]] = defaultdict(list)
        for violation in self.violations:
            alone = None if violation.cause else (violation.rule, violation.what)
            view = (
                None
                if violation.cause and violation.cause.beneath_views
                else violation.view
            )
            groups[violation.cause, view, alone].append(violation)
        found = [Finding(cause, tuple(group)) for (cause, *_), group in groups.items()]
        return sorted(
            found,
            key=lambda finding: (
                -len(finding.rules),
                -len({number for v in finding.violations for number in v.requests}),
            ),
        )

    @property
    def stopped(self) -> list[Request]:
        """The requests that tried to write where writing is not allowed."""
        return [request for request in self.recording.requests if request.stopped]

    @property
    def failures(self) -> list[Request]:
        """The requests that did not work, for a reason that no rule explains."""
        explained = {
            number for violation in self.violations for number in violation.requests
        }
        return [
            request
            for request in self.recording.requests
            if (request.error or request.broke_off or request.wrong)
            and not (request.failed or request.stopped or request.number in explained)
            and not request.absent
        ]

    @cached_property
    def seen(self) -> set[int]:
        """The numbers of the views that answered a request."""
        return {
            request.view for request in self.recording.requests if _answered(request)
        }

    @cached_property
    def shown(self) -> set[int]:
        """The numbers of the views that are judged.

        A view is judged if it has answered. If its list was requested, the list has to
        have answered.
        """
        asked = {
            request.view
            for request in self.recording.requests
            if request.operation == "list"
        }
        lists = {
            request.view
            for request in self.recording.requests
            if request.operation == "list" and _answered(request)
        }
        return self.seen - (asked - lists)

    @cached_property
    def _using(self) -> set[int]:
        """The numbers of the views that used a session."""
        return {request.view for request in self.recording.requests if request.uses}

    @property
    def proven(self) -> bool:
        """Did a view answer and use a session? If none did, nothing is proven."""
        return any(
            request.view != NOBODY and _answered(request) and request.uses
            for request in self.recording.requests
        )

    @cached_property
    def _tried(self) -> set[tuple[int, str]]:
        """The views and rules for which the condition that a rule needs has occurred.

        ``recovers`` needs a failure, and ``isolated`` needs a concurrent request.
        """
        tried = set()
        latest: dict[int, float] = {}
        for request in self.recording.requests:
            if request.in_trouble and not request.absent:
                tried.add((request.view, "recovers"))
            if (
                request.started < latest.get(request.view, 0)
                and request.parent == NOBODY
            ):
                tried.add((request.view, "isolated"))
            latest[request.view] = max(latest.get(request.view, 0), request.ended)
        return tried

    def label(self, view: int) -> str:
        """Return the name of a view: its class, and its model or endpoint if needed.

        They are needed where several views have that class. ``view`` is a number, or
        ``NOBODY``.
        """
        if view == NOBODY:
            return "outside of the admin"
        views = self.recording.views
        name, model = views[view].name, views[view].model
        alone = sum(other.name == name for other in views) == 1
        return name if alone else f"{name}({model or views[view].endpoint})"

    def cell(self, view: int, rule: str) -> State:
        """Return the state of a rule in a view. ``view`` is a number, or ``NOBODY``."""
        broken = [violation for violation in self.violations if violation.view == view]
        by = [violation.defect for violation in broken if violation.rule == rule]
        if by:
            return State.KNOWN if all(by) else State.BROKEN
        if view not in self.shown:
            return State.NOT_REACHED
        if view not in self._using:
            return State.NOT_TRIED
        if rule in {"isolated", "recovers"} and (view, rule) not in self._tried:
            return State.NOT_TRIED
        rules = {violation.rule for violation in broken}
        if rule == "isolated" and rules & {"fresh", "released"}:
            return State.NOT_TRIED  # the next request sees all that is in that session
        return State.HOLDS

    def summed(self, rule: str, subject: str, view: int | None = None) -> Cell:
        """Return a cell with the state of a rule in a view, or in all views together.

        ``subject`` is the name that the cell gets. Without ``view`` it has the
        worst state of all views, where ``holds`` counts before ``not tried``.
        """
        everywhere = [*range(len(self.recording.views)), NOBODY]
        views = everywhere if view is None else [view]
        states = {self.cell(number, rule) for number in views}
        worst = next(state for state in WORST_FIRST if state in states)
        broken = [
            violation
            for violation in self.violations
            if violation.rule == rule and (view is None or violation.view == view)
        ]
        defects = dict.fromkeys(
            violation.defect.id for violation in broken if violation.defect
        )
        seen = dict.fromkeys(map(str, broken))
        return Cell(rule, subject, worst, "", tuple(defects), tuple(seen))

    def to_json(self) -> dict[str, t.Any]:
        """Return the recording and the violations as plain data.

        Saved to a file as JSON, it can be read again by ``Recording.load``.
        """
        return {
            "recording": self.recording.to_json(),
            "holds": self.holds,
            "violations": [asdict(violation) for violation in self.violations],
        }


def _answered(request: Request) -> bool:
    """Did the client get an answer? A page that redirects leads to a login."""
    if request.method == "GET":
        return request.status == 200
    return 0 < request.status < 400


def judge(recording: Recording) -> Verdict:
    """Check a recording against the seven rules, and return the verdict.

    Violations of one rule that have the same kind, view, source and cause become one
    violation. What breaks a rule only in requests that fail breaks ``recovers``.
    Sessions that are ``left_alone`` break no rule.

    The verdict depends on nothing but the recording, which is not changed. No error is
    raised for a recording that ``record`` or ``Recorder`` made.
    """
    sights = [(rule.name, sight) for rule in RULES for sight in rule.check(recording)]
    healthy = {
        (rule, sight.kind, sight.place)
        for rule, sight in sights
        if not (sight.request and sight.request.in_trouble)
    }
    groups: dict[t.Any, list[Sight]] = defaultdict(list)
    for rule, sight in sights:
        if (
            sight.request
            and sight.request.in_trouble
            and _breaks_by_failure(rule, sight.request)
        ):
            if (rule, sight.kind, sight.place) not in healthy:
                sight = sight._replace(
                    what=f"`{rule}` is broken when it fails: {sight.what}"
                )
                rule = "recovers"
        cause = cause_of(rule, sight, recording)
        view = sight.request.view if sight.request else sight.view
        groups[rule, sight.kind, view, _source(sight), cause].append(sight)
    violations = [
        _violation(rule, view, cause, group)
        for (rule, _, view, _, cause), group in groups.items()
    ]
    return Verdict(recording, tuple(_with_root_causes(violations)))


def _with_root_causes(violations: list[Violation]) -> t.Iterator[Violation]:
    """Give violations without a cause the root cause of a related violation.

    A violation is related if it is in the same view, and of the same session or
    request; or if the same rule is broken by a session from the same line, and the
    cause lies beneath the views.
    """
    explained = [other for other in violations if other.cause]
    for violation in violations:
        for other in explained:
            if other.view == violation.view and violation.cause is None:
                same = bool({*other.sessions} & {*violation.sessions})
                same = same or bool({*other.requests} & {*violation.requests})
            else:
                same = bool(other.cause and other.cause.beneath_views and other.made)
                same = same and (other.rule, other.made) == (
                    violation.rule,
                    violation.made,
                )
            if same:
                violation = replace(violation, cause=other.cause)
                break
        yield violation


def _violation(
    rule: str, view: int, cause: Cause | None, sights: list[Sight]
) -> Violation:
    first = max(sights, key=lambda sight: len(sight.kept_by))
    requests = dict.fromkeys(sight.request.number for sight in sights if sight.request)
    operations = dict.fromkeys(
        sight.request.operation or f"{sight.request.method} {sight.request.path}"
        for sight in sights
        if sight.request
    )
    sessions = dict.fromkeys(sight.session.number for sight in sights if sight.session)
    return Violation(
        rule,
        first.what,
        view,
        tuple(operations),
        tuple(requests),
        tuple(sessions),
        first.place,
        first.own,
        (first.session.own or first.session.place) if first.session else None,
        tuple(first.kept_by),
        cause,
    )


def _source(sight: Sight) -> Place | None:
    """Return where a sight comes from: the sights of a source become one violation."""
    session = sight.session
    born = (session.own or session.place) if session else None
    return born or sight.own or sight.place


def _breaks_by_failure(rule: str, request: Request) -> bool:
    """Is the failure of a request the reason why it breaks a rule?

    It is not if the request overtakes another request, and the rule is about what they
    share: they share it before the request fails.
    """
    shared = rule in {"single", "fresh", "isolated"}
    return rule != "recovers" and not (shared and request.overtakes != NOBODY)
