"""What an upgrade breaks and fixes, as text and as a page."""

import typing as t
from dataclasses import dataclass
from dataclasses import field

from rich.console import Group
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from session_scoping.compare.upgrade import Change
from session_scoping.compare.upgrade import ChangeKind
from session_scoping.compare.upgrade import Comparison
from session_scoping.compare.upgrade import Culprit
from session_scoping.report.page import render_page
from session_scoping.rules.defects import notes
from session_scoping.rules.defects import numbers
from session_scoping.rules.defects import word
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule

STYLES = {
    ChangeKind.BROKEN: "bold red",
    ChangeKind.FIXED: "green",
    ChangeKind.INCOMPARABLE: "yellow",
}
TITLES = {
    ChangeKind.BROKEN: "Broken",
    ChangeKind.FIXED: "No longer broken",
    ChangeKind.INCOMPARABLE: "Cannot be compared",
}
FEW = 3  # the violations that are printed for a rule: --json has all


@dataclass
class Changes:
    """The changes of a kind that have the same reason."""

    kind: ChangeKind
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
            lines += [f"{rule}: {line}" for line in seen[:FEW]]
            if len(seen) > FEW:
                lines.append(f"{rule}: and {len(seen) - FEW} more")
        return lines


def by_reason(comparison: Comparison) -> list[Changes]:
    """Group the changes by kind and reason."""
    groups: dict[tuple[ChangeKind, str], Changes] = {}
    for kind in TITLES:
        for change in comparison.of(kind):
            cell = change.reason
            why = word(cell)
            if kind == ChangeKind.INCOMPARABLE:
                why = f"{cell.why} {numbers(cell)}".strip()
                if not why:
                    continue  # the table says it all
            group = groups.setdefault((kind, why), Changes(kind, why))
            if cell.rule not in group.rules:
                group.rules.append(cell.rule)
                if cell.seen:
                    group.seen[cell.rule] = [*cell.seen]
            if cell.subject not in group.subjects:
                group.subjects.append(cell.subject)
    return [*groups.values()]


def written(change: Change) -> str:
    """Return the text of a cell of the table."""
    before, after = word(change.before), word(change.after)
    return before if before == after else f"{before} →\n{after}"


def known(comparison: Comparison) -> list[str]:
    """Return a line for each known defect whose number is in a cell."""
    both = [
        cell for change in comparison.changes for cell in (change.before, change.after)
    ]
    return notes(both)


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
    if comparison.status == 2:
        return f"{name}: could not tell."
    return f"{name} breaks nothing that held."


def _rules(comparison: Comparison, kind: ChangeKind) -> str:
    rules = dict.fromkeys(change.after.rule for change in comparison.of(kind))
    return ", ".join(rules)


def render(found: Comparison | Culprit) -> RenderableType:
    """Return a comparison, or the result of a bisection, as text."""
    if isinstance(found, Comparison):
        return Group(*_parts(found), Text(f"\nVerdict: {sentence(found)}", "bold"))
    comparison = found.comparison
    change = f"{comparison.package} {comparison.after.release}"
    broke = f"{change} broke {_rules(comparison, ChangeKind.BROKEN)}"
    parts = [Text(f"\nVerdict: {broke}.", "bold")]
    parts.append(Text(f"{found.tried} of {found.of} releases were tried.", "dim"))
    if found.untried:
        untried = ", ".join(found.untried)
        line = f"Could not try {untried}: the rule may have been broken there already."
        parts.append(Text(line, "yellow"))
    return Group(*_parts(comparison), *parts)


def _parts(comparison: Comparison) -> t.Iterator[RenderableType]:
    before, after = comparison.before, comparison.after
    yield Text(f"{comparison.package} {before.release} → {after.release}", "bold")
    for name, (old, new) in comparison.besides.items():
        yield Text(f"   and {name} {old} → {new}", "dim")
    for table in _tables(comparison):
        yield Text()
        yield table
    for note in known(comparison):
        yield Text(note)
    for group in by_reason(comparison):
        title = f"\n{TITLES[group.kind]}: "
        yield Text.assemble((title, STYLES[group.kind]), group.title)
        for line in group.lines:
            yield _indented(line)
    if comparison.failures:
        yield Text("\nWorked before, and does not work now", STYLES[ChangeKind.BROKEN])
        for line in comparison.failures:
            yield _indented(line)


def _tables(comparison: Comparison) -> t.Iterator[Table]:
    """Yield a table of rules and handles, and a table of the app's views and rules."""
    handles = [subject for subject in comparison.subjects if subject in HANDLES]
    table = _table("rule", handles)
    for rule in Rule:
        table.add_row(
            rule, *(_cell(comparison.change(rule, handle)) for handle in handles)
        )
    yield table
    views = [subject for subject in comparison.subjects if subject not in HANDLES]
    table = _table("view", list(Rule))
    for view in views:
        table.add_row(view, *(_cell(comparison.change(rule, view)) for rule in Rule))
    if views:
        yield table


def _table(corner: str, columns: t.Sequence[str]) -> Table:
    return Table(corner, *columns, box=None, pad_edge=False, padding=(0, 2, 0, 0))


def _cell(change: Change) -> Text:
    return Text(written(change), STYLES.get(change.kind, ""))


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 3), expand=False)


def html(comparison: Comparison) -> str:
    """Return the comparison as an HTML page that loads nothing."""
    return render_page(
        "upgrade.html",
        comparison=comparison,
        rules=Rule,
        written=written,
        groups=by_reason(comparison),
        titles=TITLES,
        notes=known(comparison),
        sentence=sentence(comparison),
    )
