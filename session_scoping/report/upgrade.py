"""The summary of a comparison: what an upgrade breaks and fixes."""

import typing as t
from collections import Counter
from dataclasses import dataclass
from dataclasses import field

import session_scoping.pages as pages
from session_scoping.compare.upgrade import Change
from session_scoping.compare.upgrade import ChangeKind
from session_scoping.compare.upgrade import Comparison
from session_scoping.compare.upgrade import Culprit
from session_scoping.recording import Word
from session_scoping.report.summary import distinct
from session_scoping.report.summary import Line
from session_scoping.report.summary import lines
from session_scoping.report.summary import Section
from session_scoping.report.summary import shortened
from session_scoping.report.summary import Style
from session_scoping.report.summary import Summary
from session_scoping.report.summary import Table
from session_scoping.rules.cells import State
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import numbers
from session_scoping.rules.defects import word
from session_scoping.rules.finding import Label
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule
from session_scoping.status import Status


class Shown(Word):
    """How a report names a change. What was broken before is not news."""

    BROKEN = "newly broken"
    FIXED = "no longer broken"
    OLD = "broken before and after"
    INCOMPARABLE = "cannot be compared"
    HOLDS = "still holding"


STYLES = {
    Shown.BROKEN: Style.BAD,
    Shown.FIXED: Style.GOOD,
    Shown.OLD: Style.DOUBTFUL,
    Shown.INCOMPARABLE: Style.QUIET,
    Shown.HOLDS: Style.PLAIN,
}
KINDS = {
    ChangeKind.BROKEN: Shown.BROKEN,
    ChangeKind.FIXED: Shown.FIXED,
    ChangeKind.INCOMPARABLE: Shown.INCOMPARABLE,
}
FEW = 3  # the violations that are printed for a rule: --json has all


def summarize(found: Comparison | Culprit) -> Summary:
    """Return the summary of a comparison, or of the result of a bisection."""
    comparison = found.comparison if isinstance(found, Culprit) else found
    before, after = comparison.before, comparison.after
    both = [
        cell for change in comparison.changes for cell in (change.before, change.after)
    ]
    return Summary(
        status=comparison.status,
        about=(
            Line(
                f"{comparison.package} {before.release} → {after.release}", Style.STRONG
            ),
            *(
                Line(f"   and {name} {old} → {new}", Style.QUIET)
                for name, (old, new) in comparison.besides.items()
            ),
        ),
        counts=tuple(_counts(comparison)),
        versions=_versions(comparison),
        tables=tuple(_tables(comparison)),
        notes=tuple(notes(both)),
        sections=tuple(_sections(comparison)),
        sentence=_broke(comparison) if isinstance(found, Culprit) else sentence(found),
        remarks=tuple(_remarks(found)) if isinstance(found, Culprit) else (),
    )


def shown(change: Change) -> Shown:
    """Return how a report names a change."""
    same = Shown.HOLDS if change.after.state == State.HOLDS else Shown.OLD
    return KINDS.get(change.kind, same)


def _counts(comparison: Comparison) -> t.Iterator[Line]:
    """Yield how many cells have changed, and how."""
    found = Counter(map(shown, comparison.changes))
    for name, style in STYLES.items():
        if found[name]:
            yield Line(f"{found[name]} {name}", style)


def _versions(comparison: Comparison) -> Table:
    before, after = comparison.before, comparison.after

    def row(name: str) -> tuple[Line, ...]:
        both = [side.stack.get(name, "none") for side in (before, after)]
        style = Style.PLAIN if both[0] == both[1] else Style.STRONG
        return tuple(Line(version, style) for version in both)

    names = dict.fromkeys([*before.stack, *after.stack])
    rows = tuple((name, row(name)) for name in names)
    return Table("package", ("before", "after"), rows)


def sentence(comparison: Comparison) -> str:
    """Return what the upgrade does to the rules, in a sentence."""
    before, after = comparison.before.release, comparison.after.release
    name = f"{comparison.package} {before} → {after}"
    does = [
        f"{verb} {_rules(comparison, kind)}"
        for verb, kind in (("breaks", ChangeKind.BROKEN), ("fixes", ChangeKind.FIXED))
        if comparison.of(kind)
    ]
    if does:
        return f"{name} {' and '.join(does)}."
    if comparison.status == Status.CANNOT_TELL:
        return f"{name}: could not tell."
    return f"{name} breaks nothing that held."


def _broke(comparison: Comparison) -> str:
    change = f"{comparison.package} {comparison.after.release}"
    return f"{change} broke {_rules(comparison, ChangeKind.BROKEN)}."


def _remarks(culprit: Culprit) -> t.Iterator[Line]:
    yield Line(f"{culprit.tried} of {culprit.of} releases were tried.", Style.QUIET)
    if culprit.untried:
        untried = ", ".join(culprit.untried)
        line = f"Could not try {untried}: the rule may have been broken there already."
        yield Line(line, Style.DOUBTFUL)


def _rules(comparison: Comparison, kind: ChangeKind) -> str:
    rules = dict.fromkeys(change.after.rule for change in comparison.of(kind))
    return ", ".join(rules)


def _tables(comparison: Comparison) -> t.Iterator[Table]:
    """Yield a table of rules and handles, and a table of the app's views and rules."""

    def row(rules: t.Iterable[Rule], subjects: t.Iterable[str]) -> tuple[Line, ...]:
        changes = (
            comparison.change(rule, subject) for rule in rules for subject in subjects
        )
        return tuple(
            Line(_written(change), STYLES[shown(change)]) for change in changes
        )

    handles = tuple(subject for subject in comparison.subjects if subject in HANDLES)
    rows = tuple((str(rule), row([rule], handles)) for rule in Rule)
    yield Table("rule", handles, rows)
    views = [subject for subject in comparison.subjects if subject not in HANDLES]
    if views:
        rows = tuple((view, row(Rule, [view])) for view in views)
        yield Table("view", tuple(Rule), rows)


def _written(change: Change) -> str:
    """Return the text of a cell of the table."""
    before, after = word(change.before), word(change.after)
    return before if before == after else f"{before} →\n{after}"


def _sections(comparison: Comparison) -> t.Iterator[Section]:
    for group in by_reason(comparison):
        title = f"{group.shown[0].upper()}{group.shown[1:]}: "
        found = lines(*group.lines)
        if group.shown == Shown.BROKEN:
            more = Line(pages.command(*group.rules), Style.QUIET, f"{Label.MORE}:")
            found = (*found, more)
        yield Section(title, found, STYLES[group.shown], group.title)
    if comparison.failures:
        title = "Worked before, and does not work now"
        yield Section(title, lines(*comparison.failures), Style.BAD)


@dataclass
class Changes:
    """The changes of a kind that have the same reason."""

    shown: Shown
    why: str
    rules: list[Rule] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    # What was seen with the first subject, by rule.
    seen: dict[Rule, list[str]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The rules and the subjects, in a line."""
        rules = "every rule" if len(self.rules) == len(Rule) else ", ".join(self.rules)
        return f"{rules}: {', '.join(self.subjects)}"

    @property
    def lines(self) -> list[str]:
        """The reason, and what was seen."""
        lines = [self.why] if self.why else []
        for rule, seen in self.seen.items():
            lines += [f"{rule}: {line}" for line in shortened(distinct(seen), FEW)]
        return lines


def by_reason(comparison: Comparison) -> list[Changes]:
    """Group the changes by kind and reason. What holds is in the table only."""
    groups: dict[tuple[Shown, str], Changes] = {}
    for change in sorted(
        comparison.changes, key=lambda one: [*Shown].index(shown(one))
    ):
        kind, cell = shown(change), change.reason
        why = word(cell)
        if kind == Shown.INCOMPARABLE:
            why = f"{cell.why} {numbers(cell)}".strip()
        if kind == Shown.HOLDS or not why:
            continue  # the table says it all
        group = groups.setdefault((kind, why), Changes(kind, why))
        if cell.rule not in group.rules:
            group.rules.append(cell.rule)
            if cell.seen and kind != Shown.OLD:
                group.seen[cell.rule] = [*cell.seen]
        if cell.subject not in group.subjects:
            group.subjects.append(cell.subject)
    return [*groups.values()]
