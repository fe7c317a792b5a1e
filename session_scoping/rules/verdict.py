"""What the rules say of a recording: violations, and the findings that they are."""

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
    """One rule, broken in one way at one place, however often."""

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
        """The documented defect of a release that it comes from."""
        return self.cause.defect if self.cause else None


@dataclass(frozen=True)
class Finding:
    """What one change would fix: all the rules that one cause breaks, in one view or,
    where it lies beneath them, in all."""

    cause: Cause | None
    violations: tuple[Violation, ...]

    @property
    def views(self) -> list[int]:
        return list(dict.fromkeys(one.view for one in self.violations))

    @property
    def rules(self) -> list[str]:
        return sorted({one.rule for one in self.violations}, key=NAMES.index)


@dataclass(frozen=True)
class Verdict:
    """What the rules say of a recording."""

    recording: Recording
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        """No rule is broken, no request wrote what it should not."""
        return not self.violations and not self.stopped

    @cached_property
    def findings(self) -> list[Finding]:
        """The violations by cause and view, worst first."""
        groups: dict[t.Any, list[Violation]] = defaultdict(list)
        for one in self.violations:
            alone = None if one.cause else (one.rule, one.what)
            view = None if one.cause and one.cause.beneath_views else one.view
            groups[one.cause, view, alone].append(one)
        found = [Finding(cause, tuple(group)) for (cause, *_), group in groups.items()]
        return sorted(
            found,
            key=lambda one: (
                -len(one.rules),
                -len({number for v in one.violations for number in v.requests}),
            ),
        )

    @property
    def stopped(self) -> list[Request]:
        """The requests that tried to write, where nothing may be written."""
        return [one for one in self.recording.requests if one.stopped]

    @property
    def failures(self) -> list[Request]:
        """The requests that did not work, for a reason that no rule knows of."""
        told = {number for one in self.violations for number in one.requests}
        return [
            one
            for one in self.recording.requests
            if (one.error or one.broke_off or one.wrong)
            and not (one.failed or one.stopped or one.number in told)
            and not one.absent
        ]

    @cached_property
    def seen(self) -> set[int]:
        """The views that have answered."""
        return {one.view for one in self.recording.requests if _answered(one)}

    @cached_property
    def shown(self) -> set[int]:
        """The views of which something is known: a list that never opens says little,
        whatever else has answered."""
        asked = {one.view for one in self.recording.requests if one.operation == "list"}
        lists = {
            one.view
            for one in self.recording.requests
            if one.operation == "list" and _answered(one)
        }
        return self.seen - (asked - lists)

    @cached_property
    def _using(self) -> set[int]:
        """The views that have used a session."""
        return {one.view for one in self.recording.requests if one.uses}

    @property
    def proven(self) -> bool:
        """Has a view answered by using a session? Without that, nothing is known."""
        return any(
            one.view != NOBODY and _answered(one) and one.uses
            for one in self.recording.requests
        )

    @cached_property
    def _tried(self) -> set[tuple[int, str]]:
        """The views that have met what a rule needs to be put to the test."""
        tried = set()
        latest: dict[int, float] = {}
        for one in self.recording.requests:
            if one.in_trouble and not one.absent:
                tried.add((one.view, "recovers"))
            if one.started < latest.get(one.view, 0) and one.parent == NOBODY:
                tried.add((one.view, "isolated"))
            latest[one.view] = max(latest.get(one.view, 0), one.ended)
        return tried

    def label(self, view: int) -> str:
        """What a person calls a view: its class, and its model or endpoint where there
        are several of that class."""
        if view == NOBODY:
            return "outside of the admin"
        views = self.recording.views
        name, model = views[view].name, views[view].model
        alone = sum(one.name == name for one in views) == 1
        return name if alone else f"{name}({model or views[view].endpoint})"

    def cell(self, view: int, rule: str) -> State:
        """What is known of a rule in a view."""
        broken = [one for one in self.violations if one.view == view]
        by = [one.defect for one in broken if one.rule == rule]
        if by:
            return State.KNOWN if all(by) else State.BROKEN
        if view not in self.shown:
            return State.NOT_REACHED
        if view not in self._using:
            return State.NOT_TRIED
        if rule in {"isolated", "recovers"} and (view, rule) not in self._tried:
            return State.NOT_TRIED
        if rule == "isolated" and {one.rule for one in broken} & {"fresh", "released"}:
            return State.NOT_TRIED  # the next request sees all that is in that session
        return State.HOLDS

    def summed(self, rule: str, subject: str, view: int | None = None) -> Cell:
        """What is known of a rule in a view, or in all views together."""
        everywhere = [*range(len(self.recording.views)), NOBODY]
        views = everywhere if view is None else [view]
        states = {self.cell(number, rule) for number in views}
        worst = next(one for one in WORST_FIRST if one in states)
        broken = [
            one
            for one in self.violations
            if one.rule == rule and (view is None or one.view == view)
        ]
        defects = dict.fromkeys(one.defect.id for one in broken if one.defect)
        seen = dict.fromkeys(map(str, broken))
        return Cell(rule, subject, worst, "", tuple(defects), tuple(seen))

    def to_json(self) -> dict[str, t.Any]:
        """What ``Recording.load`` can read again, and what was made of it."""
        return {
            "recording": self.recording.to_json(),
            "holds": self.holds,
            "violations": [asdict(one) for one in self.violations],
        }


def _answered(request: Request) -> bool:
    """Did the client get it? A page to read that redirects does so to a login."""
    if request.method == "GET":
        return request.status == 200
    return 0 < request.status < 400


def judge(recording: Recording) -> Verdict:
    """Hold a recording against the seven rules."""
    sights = [(rule.name, one) for rule in RULES for one in rule.check(recording)]
    healthy = {
        (rule, one.kind, one.place)
        for rule, one in sights
        if not (one.request and one.request.in_trouble)
    }
    groups: dict[t.Any, list[Sight]] = defaultdict(list)
    for rule, one in sights:
        if one.request and one.request.in_trouble and _by_trouble(rule, one.request):
            if (rule, one.kind, one.place) not in healthy:
                one = one._replace(what=f"`{rule}` is broken when it fails: {one.what}")
                rule = "recovers"
        cause = cause_of(rule, one, recording)
        view = one.request.view if one.request else one.view
        groups[rule, one.kind, view, _source(one), cause].append(one)
    violations = [
        _violation(rule, view, cause, group)
        for (rule, _, view, _, cause), group in groups.items()
    ]
    return Verdict(recording, tuple(_with_echoes(violations)))


def _with_echoes(violations: list[Violation]) -> t.Iterator[Violation]:
    """What has no cause of its own comes from that of its session or its request; what
    is made at the line of a cause beneath the views comes from that."""
    known = [one for one in violations if one.cause]
    for echo in violations:
        for one in known:
            if one.view == echo.view and echo.cause is None:
                same = bool({*one.sessions} & {*echo.sessions})
                same = same or bool({*one.requests} & {*echo.requests})
            else:
                same = bool(one.cause and one.cause.beneath_views and one.made)
                same = same and (one.rule, one.made) == (echo.rule, echo.made)
            if same:
                echo = replace(echo, cause=one.cause)
                break
        yield echo


def _violation(
    rule: str, view: int, cause: Cause | None, sights: list[Sight]
) -> Violation:
    first = max(sights, key=lambda one: len(one.kept_by))
    requests = dict.fromkeys(one.request.number for one in sights if one.request)
    operations = dict.fromkeys(
        one.request.operation or f"{one.request.method} {one.request.path}"
        for one in sights
        if one.request
    )
    sessions = dict.fromkeys(one.session.number for one in sights if one.session)
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
    """Where it comes from: sights of one source are told as one."""
    session = sight.session
    born = (session.own or session.place) if session else None
    return born or sight.own or sight.place


def _by_trouble(rule: str, request: Request) -> bool:
    """Is the rule broken because of it? What two requests share they share before one
    of them is failed."""
    shared = rule in {"single", "fresh", "isolated"}
    return rule != "recovers" and not (shared and request.overtakes != NOBODY)
