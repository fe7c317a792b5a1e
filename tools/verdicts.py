"""Find the verdict on every release, in every environment that matters.

``python -m tools.verdicts`` drives the bookshop in all environments.  It writes the
verdicts to ``verdicts.json``, to the tables in ``docs/releases.md`` and to the picture.

``--only PART`` makes the environments whose name has the part in it, and keeps the
others.  ``--documents`` writes the tables and the picture from ``verdicts.json``.
``--check`` writes nothing, and fails when a cell differs from ``verdicts.json``;
``--newest`` does so on the newest Flask-Admin, against the last release in the file.
"""

import argparse
import json
import sys
import typing as t
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from html import escape
from itertools import product

from packaging.version import Version

from session_scoping.compare.environments import survey
from session_scoping.compare.environments import uv_path
from session_scoping.errors import CannotTell
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import Defect
from session_scoping.rules.defects import DEFECTS
from session_scoping.rules.defects import not_importing
from session_scoping.rules.defects import word
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule
from tools.links import finding
from tools.links import ROOT

DATA = ROOT / "verdicts.json"
PICTURE = ROOT / "docs" / "verdicts.svg"
PAGE = ROOT / "docs" / "releases.md"  # with the tables
AT_ONCE = 2  # environments

# An environment's name: a release of Flask-Admin, and a key of each of these.
NEWEST = "newest"
RELEASES = ("2.0.0", "2.0.1", "2.0.2", "2.1.0", "2.2.0", "2.2.1")
WITHOUT = {
    "both": (),
    "fsa": ("flask-sqlalchemy-lite",),
    "lite": ("flask-sqlalchemy",),
    "neither": ("flask-sqlalchemy", "flask-sqlalchemy-lite"),
}
EXTENSIONS = {
    "both": "both extensions",
    "fsa": "Flask-SQLAlchemy",
    "lite": "Lite",
    "neither": "neither extension",
}
PINS = {
    "sa1.4": ("sqlalchemy>=1.4.54,<2",),
    "sa2.0": ("sqlalchemy>=2.0,<2.1",),
    "sa2.1": ("sqlalchemy>=2.1,<2.2",),
    "flask2.2": (),  # as Flask-Admin 1 needs it
    "flask3.1.1": ("flask==3.1.1",),
    "flask3.1.3": ("flask>=3.1.3",),
}
FLASKS = ("flask3.1.1", "flask3.1.3")
ALL = (
    *product(("1.6.1",), ("fsa", "neither"), ("sa1.4",), ("flask2.2",)),
    *product(RELEASES, ("fsa", "neither"), ("sa1.4",), FLASKS),  # Lite needs 2.0
    *product(RELEASES, WITHOUT, ("sa2.0", "sa2.1"), FLASKS),
)
NAMES_OF_ALL = tuple("-".join(parts) for parts in ALL)


class Environment(t.NamedTuple):
    """The verdict on the bookshop in an environment."""

    name: str  # release-extensions-SQLAlchemy-Flask
    versions: dict[str, str]
    cells: dict[tuple[Rule, str], Cell]  # by rule and handle: those that do not hold
    does_not_import: str = ""

    @property
    def release(self) -> str:
        """Of Flask-Admin."""
        return self.name.split("-")[0]

    @property
    def factors(self) -> tuple[str, str, str]:
        """Extensions, SQLAlchemy and Flask."""
        _, extensions, sqlalchemy, flask = self.name.split("-")
        return extensions, sqlalchemy, flask

    def cell(self, rule: Rule, handle: str) -> Cell:
        """Return what is known of a rule with a handle."""
        if self.does_not_import:
            return Cell(rule, handle, State.NOT_TRIED, self.does_not_import)
        return self.cells.get((rule, handle), Cell(rule, handle, State.HOLDS))

    def defects(self, rule: Rule, handle: str) -> list[Defect]:
        """Return the known defects that break a rule with a handle here."""
        return [BY_ID[defect] for defect in self.cell(rule, handle).defects]


# ------------------------------------------------------------------------ running, data


def run(names: t.Sequence[str]) -> list[Environment]:
    """Drive the bookshop in some environments."""
    uv_path()  # once, before two threads look for it
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [*pool.map(_run, names)]


def _run(name: str) -> Environment:
    """Drive the bookshop in an environment.  A failure is an outcome."""
    release, extensions, sqlalchemy, flask = name.split("-")
    side = "flask-admin" if release == NEWEST else f"flask-admin=={release}"
    pins = (*PINS[sqlalchemy], *PINS[flask])
    try:
        seen = survey(side, WITHOUT[extensions], beside=pins)
    except CannotTell as error:
        return Environment(name, {}, {}, f"could not be tried: {error}")
    print(f"{name}: tried", file=sys.stderr)
    if seen.does_not_import:
        return Environment(name, seen.stack, {}, seen.does_not_import)
    cells = {
        (cell.rule, cell.subject): Cell(
            cell.rule, cell.subject, cell.state, "", cell.defects
        )
        for cell in seen.cells
        if cell.state != State.HOLDS
    }
    return Environment(name, seen.stack, cells)


def load() -> list[Environment]:
    """Read ``verdicts.json``."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return [_unpack(name, **packed) for name, packed in data.items()]


def save(found: t.Iterable[Environment]) -> None:
    """Write ``verdicts.json``: a line for each environment."""
    lines = [
        f"{json.dumps(environment.name)}: {json.dumps(_pack(environment))}"
        for environment in sorted(found, key=_order)
    ]
    DATA.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _pack(environment: Environment) -> dict[str, t.Any]:
    """Return the versions, and cells that do not hold, grouped by state and defects."""
    handles: dict[t.Any, list[str]] = defaultdict(list)
    for rule, handle in product(Rule, HANDLES):
        if cell := environment.cells.get((rule, handle)):
            handles[rule, cell.state.value, cell.defects].append(handle)
    rules: dict[t.Any, list[str]] = defaultdict(list)
    for (rule, *found), with_these in handles.items():
        key = (*found, tuple(with_these))
        rules[key].append(rule)
    cells = [[*found, group, names] for (*found, names), group in rules.items()]
    packed: dict[str, t.Any] = {"versions": environment.versions, "cells": cells}
    if environment.does_not_import:
        packed["does_not_import"] = environment.does_not_import
    return packed


def _unpack(
    name: str,
    versions: dict[str, str],
    cells: list[tuple[str, list[str], list[str], list[str]]],
    does_not_import: str = "",
) -> Environment:
    found = {
        (rule, handle): Cell(rule, handle, State(state), "", tuple(defects))
        for state, defects, rules, handles in cells
        for rule, handle in product(map(Rule, rules), handles)
    }
    return Environment(name, versions, found, does_not_import)


def _order(environment: Environment) -> tuple[t.Any, ...]:
    return Version(environment.release), environment.factors


# ---------------------------------------------------------------------------- documents


def link(defect: Defect) -> str:
    """Return a link to the finding of a defect, whose target ``links`` adds."""
    return f"[{defect.finding}]"


def links() -> str:
    """Return the targets of the links in the tables."""
    return "\n".join(f"{link(defect)}: ../{finding(defect)}" for defect in DEFECTS)


def verdict(runs: t.Sequence[Environment], handle: str) -> str:
    """Return a cell of a table: what is known of a handle in some environments."""
    broken: dict[str, set[Defect]] = defaultdict(set)
    unknown: list[str] = []  # that no documented defect explains
    tried = False
    for environment in runs:
        for rule in Rule:
            cell = environment.cell(rule, handle)
            tried |= cell.state != State.NOT_TRIED
            if cell.state == State.BROKEN and rule not in unknown:
                unknown.append(rule)
            elif cell.state == State.KNOWN:
                broken[rule].update(environment.defects(rule, handle))
    if not tried:
        why = dict.fromkeys(
            defect for environment in runs for defect in missing_imports(environment)
        )
        found = ", ".join(link(defect) for defect in why)
        return f"does not import {found}" if why else State.NOT_TRIED.value
    parts = []
    by_defects: dict[tuple[Defect, ...], list[str]] = defaultdict(list)
    for rule in Rule:
        if rule in broken:
            ordered = sorted(broken[rule], key=lambda defect: defect.finding)
            by_defects[tuple(ordered)].append(rule)
    for defects, rules in by_defects.items():
        numbers = ", ".join(map(link, defects))
        parts.append(f"`{'`, `'.join(rules)}` {numbers}")
    known = f"all but {', '.join(parts)}" if parts else "all rules"
    return "; ".join([*(f"**{rule} broken**" for rule in unknown), known])


def missing_imports(environment: Environment) -> list[Defect]:
    """Return the defects that keep Flask-Admin from being imported."""
    return not_importing(environment.versions) if environment.does_not_import else []


def releases_table(found: t.Sequence[Environment]) -> str:
    """Return what is broken in a release, with the newest of everything else."""
    rows = ["| Flask-Admin | " + " | ".join(f"`{handle}`" for handle in HANDLES) + " |"]
    rows.append("|---" * (len(HANDLES) + 1) + "|")
    for release, runs in _by_release(found).items():
        newest = [
            environment
            for environment in runs
            if environment.factors[1:] == runs[-1].factors[1:]
        ]
        usual = [
            environment
            for environment in newest
            if environment.factors[0] in {"both", "fsa"}
        ]
        best = [
            environment for environment in usual if environment.factors[0] == "both"
        ] or usual
        cells = (verdict(best, handle) for handle in HANDLES)
        rows.append(f"| {release} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def environments_table(found: t.Sequence[Environment]) -> str:
    """Return the same for each environment; equal environments share a row."""
    rows = [
        "| Flask-Admin | with | "
        + " | ".join(f"`{handle}`" for handle in HANDLES)
        + " |"
    ]
    rows.append("|---" * (len(HANDLES) + 2) + "|")
    for release, runs in _by_release(found).items():
        alike: dict[tuple[str, ...], list[Environment]] = defaultdict(list)
        for environment in runs:
            alike[tuple(verdict([environment], handle) for handle in HANDLES)].append(
                environment
            )
        for cells, group in alike.items():
            rows.append(f"| {release} | {_with(group)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _by_release(found: t.Iterable[Environment]) -> dict[str, list[Environment]]:
    groups: dict[str, list[Environment]] = defaultdict(list)
    for environment in sorted(found, key=_order):
        groups[environment.release].append(environment)
    return groups


def _with(group: t.Sequence[Environment]) -> str:
    """Return what some environments have in common, and where they differ."""
    by_extensions: dict[str, list[Environment]] = defaultdict(list)
    for environment in group:
        by_extensions[environment.factors[0]].append(environment)
    by_rest: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for extensions, runs in by_extensions.items():
        by_rest[
            tuple(environment.name.split("-", 2)[2] for environment in runs)
        ].append(extensions)
    parts = []
    for rests, extensions_of in by_rest.items():
        sqlalchemy = dict.fromkeys(pins.split("-")[0][2:] for pins in rests)
        flask = dict.fromkeys(pins.split("-")[1][5:] for pins in rests)
        complete = len(rests) == len(sqlalchemy) * len(flask)
        what = (
            f"SQLAlchemy {', '.join(sqlalchemy)}, Flask {', '.join(flask)}"
            if complete
            else ", ".join(rests)
        )
        parts.append(
            f"{', '.join(EXTENSIONS[extension] for extension in extensions_of)}: {what}"
        )
    return "; ".join(parts)


TABLES: dict[str, t.Callable[[t.Sequence[Environment]], str]] = {
    "releases": releases_table,
    "environments": environments_table,
    "findings": lambda found: links(),
}


def write_documents(found: t.Sequence[Environment]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(text, found), encoding="utf-8")
    PICTURE.write_text(picture(found), encoding="utf-8")


def with_tables(text: str, found: t.Sequence[Environment]) -> str:
    """Return the page with new tables."""
    for kind, make in TABLES.items():
        begin, end = f"<!-- verdicts: {kind} -->\n", "<!-- end of verdicts -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{make(found)}\n\n{end}{after}"
    return text


# ------------------------------------------------------------------------------ picture

SIZE, GAP, LEFT, TOP = 30, 4, 210, 64


def picture(found: t.Sequence[Environment]) -> str:
    """Draw releases across, and rules and handles down, with links to the findings."""
    groups = _by_release(found)
    rows = [(rule, handle) for rule in Rule for handle in HANDLES]
    width = LEFT + len(groups) * (58 + GAP) + 16
    height = TOP + len(rows) * (SIZE - 12 + GAP) + len(Rule) * 10 + 66
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="title">',
        '<title id="title">Which rule holds with each handle, in each release</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}"/>',
    ]
    for column, release in enumerate(groups):
        x = LEFT + column * (58 + GAP) + 29
        parts.append(f'<text class="head" x="{x}" y="{TOP - 18}">{release}</text>')
    parts.append(f'<text class="rule" x="16" y="{TOP - 18}">Flask-Admin</text>')
    y = TOP
    for number, (rule, handle) in enumerate(rows):
        if number % len(HANDLES) == 0:
            y += 10
            parts.append(f'<text class="rule" x="16" y="{y + 14}">{rule}</text>')
        parts.append(
            f'<text class="handle" x="{LEFT - 10}" y="{y + 14}">{handle}</text>'
        )
        for column, runs in enumerate(groups.values()):
            x = LEFT + column * (58 + GAP)
            parts.append(_square(x, y, rule, handle, runs))
        y += SIZE - 12 + GAP
    parts += _legend(y + 26, width)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _square(
    x: int, y: int, rule: Rule, handle: str, runs: t.Sequence[Environment]
) -> str:
    cells = [(environment, environment.cell(rule, handle)) for environment in runs]
    tried = [
        (environment, cell)
        for environment, cell in cells
        if cell.state != State.NOT_TRIED
    ]
    broken = [
        (environment, cell) for environment, cell in tried if cell.state != State.HOLDS
    ]
    worst = (
        State.BROKEN if State.BROKEN in {c.state for _, c in broken} else State.KNOWN
    )
    gone = [environment for environment in runs if environment.does_not_import]
    box = f'x="{x}" y="{y}" width="58" height="{SIZE - 12}" rx="3"'
    title = f"{rule}, {handle}, Flask-Admin {runs[0].release}: "
    if not tried:
        title += State.NOT_TRIED.value
        return f'<g><title>{title}</title><rect class="none" {box}/></g>'
    kind = "some" if broken else "holds"
    if len(broken) == len(tried):
        kind = "broken"
    title += {
        "holds": State.HOLDS.value,
        "broken": worst.value,
        "some": f"{worst.value} in {len(broken)} of {len(tried)} environments",
    }[kind]
    shapes = [f'<rect class="{"broken" if kind == "broken" else "holds"}" {box}/>']
    if kind == "some":
        shapes.append(_corner(x, y, 58, SIZE - 12))
    if gone:
        title += f"; does not import in {len(gone)}"
        shapes.append(f'<circle class="gone" cx="{x + 8}" cy="{y + 9}" r="3"/>')
    drawn = f"<title>{escape(title)}</title>{''.join(shapes)}"
    found = {
        d.finding: d
        for environment, _ in broken
        for d in environment.defects(rule, handle)
    }
    if not found:
        return f"<g>{drawn}</g>"
    numbers = ", ".join(map(str, sorted(found)))
    drawn += f'<text class="number" x="{x + 52}" y="{y + 13}">{numbers}</text>'
    return f'<a href="../{finding(found[min(found)])}">{drawn}</a>'


def _corner(x: int, y: int, width: int, height: int) -> str:
    """Draw the lower right half of a rounded cell."""
    right, below, round_ = x + width, y + height, "a3 3 0 0 1"
    path = (
        f"M{right - 1} {y + 1} {round_} 1 2 V{below - 3} {round_} -3 3 "
        f"H{x + 3} {round_} -2 -1 Z"
    )
    return f'<path class="broken" d="{path}"/>'


def _legend(y: int, width: int) -> list[str]:
    parts, x = [], 16
    for kind, words in (
        ("holds", State.HOLDS.value),
        ("broken", f"{State.KNOWN.value} in all environments"),
        ("none", State.NOT_TRIED.value),
        ("some", f"{State.KNOWN.value} in some; a number is that of a finding"),
        ("gone", "does not import in some"),
    ):
        if x + 44 + 6.6 * len(words) > width:
            x, y = 16, y + 22
        box = f'x="{x}" y="{y - 11}" width="22" height="14" rx="3"'
        if kind == "some":
            parts.append(f'<rect class="holds" {box}/>')
            parts.append(_corner(x, y - 11, 22, 14))
        elif kind == "gone":
            parts.append(f'<circle class="gone" cx="{x + 11}" cy="{y - 4}" r="3"/>')
        else:
            parts.append(f'<rect class="{kind}" {box}/>')
        parts.append(f'<text class="legend" x="{x + 28}" y="{y}">{words}</text>')
        x += 44 + int(6.6 * len(words))
    return parts


STYLE = """
.ground { fill: #ffffff } text { font: 12px system-ui, sans-serif; fill: #1b1f23 }
.head { text-anchor: middle; font-weight: 600 } .rule { font-weight: 600 }
.handle { text-anchor: end; fill: #58616a } .legend { fill: #58616a }
.holds { fill: #8fc3a2 } .broken { fill: #b3261e } .none { fill: #eceef0 }
.gone { fill: #1b1f23 }
.number { fill: #ffffff; font-size: 10px; font-weight: 600; text-anchor: end }
@media (prefers-color-scheme: dark) {
  .ground { fill: #15181b } text { fill: #e5e8ea } .handle, .legend { fill: #a0a9b1 }
  .holds { fill: #2f6b47 } .broken { fill: #f28b82 } .none { fill: #2a2f34 }
  .gone { fill: #e5e8ea } .number { fill: #15181b }
}
""".strip()


# ----------------------------------------------------------------------- command line


def changed(now: Environment, before: Environment) -> t.Iterator[str]:
    """Yield a line for each cell that has changed."""
    for rule in Rule:
        for handle in HANDLES:
            was, cell = before.cell(rule, handle), now.cell(rule, handle)
            if (was.state, {*was.defects}) != (cell.state, {*cell.defects}):
                name = f"Flask-Admin {now.versions.get('Flask-Admin', '?')}"
                yield (
                    f"{name} ({_with([now])}): {rule} with {handle}: {word(was)} in "
                    f"{before.name}, {word(cell)} now {cell.why}"
                ).rstrip()


def check(known: t.Sequence[Environment], newest: bool) -> int:
    """Run environments again, or those of the last release on the newest release."""
    last = max((environment.release for environment in known), key=Version)
    before = {
        f"{NEWEST}-{'-'.join(environment.factors)}"
        if newest
        else environment.name: environment
        for environment in known
        if environment.release == last or not newest
    }
    found = [line for now in run([*before]) for line in changed(now, before[now.name])]
    print("\n".join(found) or "Every cell is as it is written down.")
    return int(bool(found))


def main(arguments: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.verdicts")
    parser.add_argument("--only", default="", metavar="PART")
    parser.add_argument("--documents", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--newest", action="store_true")
    given = parser.parse_args(arguments)
    names = [name for name in NAMES_OF_ALL if given.only in name]
    if not names:
        parser.error(f"no environment has {given.only} in its name")
    if given.newest or given.check:
        return check(
            [environment for environment in load() if environment.name in names],
            given.newest,
        )
    if not given.documents:
        kept = (
            [environment for environment in load() if environment.name not in names]
            if given.only
            else []
        )
        save([*kept, *run(names)])
    write_documents(load())
    return 0


if __name__ == "__main__":
    sys.exit(main())
