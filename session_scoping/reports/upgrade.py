"""What an upgrade breaks and mends, as text and as a page."""

import re
import typing as t
from importlib.resources import files

from jinja2 import Environment
from jinja2 import StrictUndefined
from markupsafe import escape
from markupsafe import Markup
from rich.console import Group
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from session_scoping.guard import HOLDS
from session_scoping.guard import UNKNOWN
from session_scoping.rules import NAMES
from session_scoping.upgrade import BROKE
from session_scoping.upgrade import Change
from session_scoping.upgrade import Comparison
from session_scoping.upgrade import Culprit
from session_scoping.upgrade import INCOMPARABLE
from session_scoping.upgrade import MENDED

STYLES = {BROKE: "bold red", MENDED: "green", INCOMPARABLE: "yellow"}


class Told(t.NamedTuple):
    """Changes that are told as one: of one kind, and for one reason."""

    rules: list[str]
    handles: list[str]
    why: str  # the known defect, or what keeps it from being compared
    said: list[str]  # by the guard

    @property
    def title(self) -> str:
        rules = "every rule" if len(self.rules) == len(NAMES) else ", ".join(self.rules)
        return f"{rules}: {', '.join(self.handles)}"


def told(comparison: Comparison, kind: str) -> list[Told]:
    """The changes of a kind by their reason; what was said of each rule, once."""
    groups: dict[str, Told] = {}
    for one in comparison.of(kind):
        side = _telling(one)
        group = groups.setdefault(side.why, Told([], [], side.why, []))
        if one.rule not in group.rules:
            group.rules.append(one.rule)
            group.said.extend(filter(None, [side.said]))
        if one.handle not in group.handles:
            group.handles.append(one.handle)
    return list(groups.values())


def _telling(change: Change) -> t.Any:
    """The side that says why."""
    if change.kind == MENDED:
        return change.before
    if change.kind == INCOMPARABLE and change.before.state == UNKNOWN:
        return change.before
    return change.after


def cell(change: Change) -> str:
    words = {HOLDS: "holds", UNKNOWN: "?"}
    before, after = (
        words.get(one.state, "breaks") for one in (change.before, change.after)
    )
    return before if before == after else f"{before} → {after}"


def sentence(comparison: Comparison) -> str:
    """What the upgrade does to the rules, in a sentence."""
    name = f"{comparison.package} {comparison.before.name} → {comparison.after.name}"
    broke, mended = comparison.of(BROKE), comparison.of(MENDED)
    does = [
        f"{verb} {', '.join(dict.fromkeys(one.rule for one in changes))}"
        for verb, changes in (("breaks", broke), ("mends", mended))
        if changes
    ]
    if does:
        return f"{name} {' and '.join(does)}."
    if comparison.status == 2:
        return f"{name}: could not tell."
    return f"{name} breaks nothing that held."


def render(comparison: Comparison) -> RenderableType:
    return Group(*_parts(comparison))


def _parts(comparison: Comparison) -> t.Iterator[RenderableType]:
    before, after = comparison.before, comparison.after
    yield Text(f"{comparison.package} {before.name} → {after.name}", "bold")
    for name, (old, new) in comparison.besides.items():
        yield Text(f"   and {name} {old} → {new}", "dim")
    yield Text()
    yield _table(comparison)
    for title, kind in (("Broken", BROKE), ("No longer broken", MENDED)):
        for one in told(comparison, kind):
            yield Text.assemble("\n", (f"{title}: ", STYLES[kind]), one.title)
            for line in (one.why, *one.said):
                yield _indented(line)
    incomparable = told(comparison, INCOMPARABLE)
    if incomparable:
        yield Text("\nCannot be compared", STYLES[INCOMPARABLE])
        for one in incomparable:
            yield _indented(f"{one.title}: {one.why}")
    for failure in comparison.failures:
        yield Text("\nThe guard says, too", STYLES[BROKE])
        yield _indented(failure)
    yield Text(f"\nVerdict: {sentence(comparison)}", "bold")


def _table(comparison: Comparison) -> Table:
    table = Table(
        "rule", *comparison.handles, box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for rule in NAMES:
        row = [one for one in comparison.changes if one.rule == rule]
        table.add_row(rule, *(Text(cell(one), STYLES.get(one.kind, "")) for one in row))
    return table


def _indented(text: str) -> RenderableType:
    return Padding(Text(text), (0, 0, 0, 3), expand=False)


def render_culprit(culprit: Culprit) -> RenderableType:
    found = culprit.comparison
    rules = ", ".join(dict.fromkeys(one.rule for one in found.of(BROKE)))
    parts: list[RenderableType] = [*_parts(found)]
    parts[-1] = Text(
        f"\nVerdict: {found.package} {found.after.name} broke {rules}.", "bold"
    )
    parts.append(Text(f"{culprit.tried} of {culprit.of} releases were tried.", "dim"))
    if culprit.untried:
        parts.append(
            Text(
                f"Of {', '.join(culprit.untried)} nothing could be told: it may be one "
                "of those.",
                "yellow",
            )
        )
    return Group(*parts)


def html(comparison: Comparison) -> str:
    """A page that needs no network."""
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    part = files(__package__).joinpath
    page = environment.from_string(part("upgrade.html").read_text(encoding="utf-8"))
    return page.render(
        comparison=comparison,
        rows={
            rule: [one for one in comparison.changes if one.rule == rule]
            for rule in NAMES
        },
        cell=cell,
        told={
            title: told(comparison, kind)
            for title, kind in (
                ("Broken", BROKE),
                ("No longer broken", MENDED),
                ("Cannot be compared", INCOMPARABLE),
            )
        },
        sentence=sentence(comparison),
        style=Markup(part("upgrade.css").read_text(encoding="utf-8")),
        link=_link,
    )


def _link(text: str) -> Markup:
    """Make what looks like an address one to follow."""
    escaped = str(escape(text))
    return Markup(re.sub(r"(https://[^\s<]+)", r'<a href="\1">\1</a>', escaped))
