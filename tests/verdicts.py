"""The verdict on every release, in every environment that matters.

``python -m tests.verdicts`` runs the drop-in in all environments of tox and writes what
it said: ``verdicts.json``, the tables in the documents and the picture.  With
``--only PART`` it runs the environments whose name has the part in it, and keeps the
rest.  ``--documents`` writes the documents anew from ``verdicts.json``.
``--check`` writes nothing, and fails when a cell is not as it is written down;
``--newest`` does so on the newest Flask-Admin, against the last release that is.
"""

import argparse
import json
import re
import subprocess
import sys
import typing as t
from collections import defaultdict
from html import escape
from pathlib import Path

from packaging.version import Version

from session_scoping.defects import Defect
from session_scoping.defects import DEFECTS
from session_scoping.guard import BREAKS
from session_scoping.guard import Cell
from session_scoping.guard import GuardRun
from session_scoping.guard import KNOWN
from session_scoping.guard import UNKNOWN
from session_scoping.rules import NAMES

ROOT = Path(__file__).parent.parent
DATA = ROOT / "verdicts.json"
PICTURE = ROOT / "docs" / "verdicts.svg"
SEEN = ROOT / ".tox" / "verdicts"
HANDLES = ("sqlalchemy_db", "sqlalchemy_session", "lite_db", "plain_session")
INVESTIGATION = "SESSION_SCOPING_INVESTIGATION.md"
TABLES = {"SUMMARY.md": "releases", INVESTIGATION: "environments"}
EXTENSIONS = {
    "both": "both extensions",
    "fsa": "Flask-SQLAlchemy",
    "lite": "Lite",
    "neither": "neither extension",
}
NOT_INSTALLED = "does not install"


class Environment(t.NamedTuple):
    """What the drop-in said in one environment of tox."""

    name: str  # release-extensions-SQLAlchemy-Flask
    run: GuardRun

    @property
    def release(self) -> str:
        return self.name.split("-")[0]

    @property
    def factors(self) -> tuple[str, str, str]:
        _, extensions, sqlalchemy, flask = self.name.split("-")
        return extensions, sqlalchemy, flask

    def cell(self, rule: str, handle: str) -> Cell:
        return self.run.cell(rule, handle)

    def defects(self, rule: str, handle: str) -> list[Defect]:
        """The known ones that break a rule with a handle here."""
        return [
            one
            for one in DEFECTS
            if rule in one.rules
            and handle in one.handles
            and one.is_in(self.run.stack.get(one.package, ""))
        ]


# ------------------------------------------------------------------------ running, data


def environments() -> list[str]:
    """The names that tox knows, but for those of the newest release."""
    listed = _tox("list", "--no-desc", "-q").stdout
    return [one for one in listed.split() if not one.startswith("newest")]


def _tox(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tox", *arguments]
    return subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def run(names: t.Sequence[str]) -> list[Environment]:
    """Run the drop-in in some environments; one that cannot be made is a verdict."""
    for name in names:
        (SEEN / f"{name}.json").unlink(missing_ok=True)
    SEEN.mkdir(parents=True, exist_ok=True)
    command = ["run-parallel", "--parallel", "auto", "--parallel-no-spinner"]
    said = _tox(*command, "-e", ",".join(names)).stdout
    return [_read(name, said) for name in names]


def _read(name: str, said: str) -> Environment:
    file = SEEN / f"{name}.json"
    if file.exists():
        seen = GuardRun.from_json(json.loads(file.read_text(encoding="utf-8")))
        return Environment(name, seen)
    why = re.search(rf"^{re.escape(name)}: .*?cause: ([^\n]+)", said, re.M | re.S)
    because = f": {why[1]}" if why else ""
    return Environment(name, GuardRun(does_not_import=f"{NOT_INSTALLED}{because}"))


def load() -> list[Environment]:
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return [_unpack(name, one, data["texts"]) for name, one in data["verdicts"].items()]


def save(found: t.Iterable[Environment]) -> None:
    """Write down every cell; each text stands there once."""
    texts: dict[str, int] = {"": 0}
    verdicts = {}
    for one in sorted(found, key=_order):
        rules: dict[str, dict[str, list[t.Any]]] = {}
        for cell in sorted(one.run.cells, key=_place):
            numbers = (
                texts.setdefault(_plain(w), len(texts)) for w in (cell.why, cell.said)
            )
            rules.setdefault(cell.rule, {})[cell.handle] = [cell.state, *numbers]
        verdicts[one.name] = {
            "versions": one.run.stack,
            "does_not_import": one.run.does_not_import,
            "rules": rules,
        }
    lines = [
        '{"texts": [',
        ",\n".join(json.dumps(text) for text in texts),
        '], "verdicts": {',
        ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in verdicts.items()),
        "}}",
    ]
    DATA.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _unpack(name: str, data: dict[str, t.Any], texts: list[str]) -> Environment:
    cells = [
        Cell(rule, handle, state, texts[why], texts[said])
        for rule, handles in data["rules"].items()
        for handle, (state, why, said) in handles.items()
    ]
    seen = GuardRun(
        stack=data["versions"], cells=cells, does_not_import=data["does_not_import"]
    )
    return Environment(name, seen)


def _plain(text: str) -> str:
    """Without what is another one on each machine."""
    return re.sub(r"\b0x[0-9a-f]+\b", "0x…", text)


def _place(cell: Cell) -> tuple[int, int]:
    return NAMES.index(cell.rule), HANDLES.index(cell.handle)


def _order(one: Environment) -> tuple[t.Any, ...]:
    return Version(one.release), one.factors


# ---------------------------------------------------------------------------- documents


def link(defect: Defect, document: str) -> str:
    """To the finding that tells of a defect."""
    path = "" if document == INVESTIGATION else INVESTIGATION
    text = (ROOT / INVESTIGATION).read_text(encoding="utf-8")
    [heading] = re.findall(rf"^### ({defect.finding}\. .*)$", text, re.MULTILINE)
    anchor = re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
    return f"[{defect.finding}]({path}#{anchor})"


def verdict(runs: t.Sequence[Environment], handle: str, document: str) -> str:
    """What is known of a handle in some environments, as a cell of a table."""
    broken: dict[str, set[Defect]] = defaultdict(set)
    new: list[str] = []  # of which nobody knows
    tried, imports = False, True
    for one in runs:
        imports &= not one.run.does_not_import
        for rule in NAMES:
            cell = one.cell(rule, handle)
            tried |= cell.state != UNKNOWN
            if cell.state == BREAKS and f"**{rule} breaks**" not in new:
                new.append(f"**{rule} breaks**")
            elif cell.state == KNOWN:
                broken[rule].update(one.defects(rule, handle))
    if not tried:
        gone = "does not import" if not imports else "–"
        return f"{gone} {link(DEFECTS[1], document)}" if not imports else gone
    said = []
    by_defects: dict[tuple[Defect, ...], list[str]] = defaultdict(list)
    for rule in NAMES:
        if rule in broken:
            ordered = sorted(broken[rule], key=lambda defect: defect.finding)
            by_defects[tuple(ordered)].append(rule)
    for defects, rules in by_defects.items():
        links = ", ".join(link(defect, document) for defect in defects)
        said.append(f"`{'`, `'.join(rules)}` {links}")
    known = f"all but {', '.join(said)}" if said else "all rules"
    return "; ".join([*new, known])


def releases_table(found: t.Sequence[Environment], document: str) -> str:
    """The releases and the handles: what is broken in any environment that was tried
    with the newest of everything else."""
    rows = ["| Flask-Admin | " + " | ".join(f"`{one}`" for one in HANDLES) + " |"]
    rows.append("|---" * (len(HANDLES) + 1) + "|")
    for release, runs in _by_release(found).items():
        newest = [one for one in runs if one.factors[1:] == runs[-1].factors[1:]]
        usual = [one for one in newest if one.factors[0] in {"both", "fsa"}]
        best = [one for one in usual if one.factors[0] == "both"] or usual
        cells = (verdict(best, handle, document) for handle in HANDLES)
        rows.append(f"| {release} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def environments_table(found: t.Sequence[Environment], document: str) -> str:
    """The same for each environment; those that agree share a row."""
    rows = [
        "| Flask-Admin | with | " + " | ".join(f"`{one}`" for one in HANDLES) + " |"
    ]
    rows.append("|---" * (len(HANDLES) + 2) + "|")
    for release, runs in _by_release(found).items():
        alike: dict[tuple[str, ...], list[Environment]] = defaultdict(list)
        for one in runs:
            alike[tuple(verdict([one], handle, document) for handle in HANDLES)].append(
                one
            )
        for cells, group in alike.items():
            rows.append(f"| {release} | {_with(group)} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _by_release(found: t.Iterable[Environment]) -> dict[str, list[Environment]]:
    groups: dict[str, list[Environment]] = defaultdict(list)
    for one in sorted(found, key=_order):
        groups[one.release].append(one)
    return groups


def _with(group: t.Sequence[Environment]) -> str:
    """What some environments have in common, and what not."""
    by_extensions: dict[str, list[Environment]] = defaultdict(list)
    for one in group:
        by_extensions[one.factors[0]].append(one)
    by_rest: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for extensions, runs in by_extensions.items():
        by_rest[tuple(one.name.split("-", 2)[2] for one in runs)].append(extensions)
    parts = []
    for rests, extensions_of in by_rest.items():
        sqlalchemy = dict.fromkeys(one.split("-")[0][2:] for one in rests)
        flask = dict.fromkeys(one.split("-")[1][5:] for one in rests)
        complete = len(rests) == len(sqlalchemy) * len(flask)
        what = (
            f"SQLAlchemy {', '.join(sqlalchemy)}, Flask {', '.join(flask)}"
            if complete
            else ", ".join(rests)
        )
        parts.append(f"{', '.join(EXTENSIONS[one] for one in extensions_of)}: {what}")
    return "; ".join(parts)


def write_documents(found: t.Sequence[Environment]) -> None:
    for document in TABLES:
        path = ROOT / document
        text = path.read_text(encoding="utf-8")
        path.write_text(with_table(text, document, found), encoding="utf-8")
    PICTURE.write_text(picture(found), encoding="utf-8")


def with_table(text: str, document: str, found: t.Sequence[Environment]) -> str:
    """A document with its table as the verdicts have it."""
    kind = TABLES[document]
    make = {"releases": releases_table, "environments": environments_table}[kind]
    begin, end = f"<!-- verdicts: {kind} -->\n", "<!-- end of verdicts -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{make(found, document)}\n\n{end}{after}"


# ------------------------------------------------------------------------------ picture

SIZE, GAP, LEFT, TOP = 30, 4, 210, 64


def picture(found: t.Sequence[Environment]) -> str:
    """Releases across, rules and handles down; a broken cell leads to its finding."""
    groups = _by_release(found)
    rows = [(rule, handle) for rule in NAMES for handle in HANDLES]
    width = LEFT + len(groups) * (58 + GAP) + 16
    height = TOP + len(rows) * (SIZE - 12 + GAP) + len(NAMES) * 10 + 66
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
    x: int, y: int, rule: str, handle: str, runs: t.Sequence[Environment]
) -> str:
    cells = [(one, one.cell(rule, handle)) for one in runs]
    tried = [(one, cell) for one, cell in cells if cell.state != UNKNOWN]
    broken = [(one, cell) for one, cell in tried if cell.state in (KNOWN, BREAKS)]
    gone = [one for one in runs if one.run.does_not_import]
    box = f'x="{x}" y="{y}" width="58" height="{SIZE - 12}" rx="3"'
    title = f"{rule}, {handle}, Flask-Admin {runs[0].release}: "
    if not tried:
        title += "not supported"
        return f'<g><title>{title}</title><rect class="none" {box}/></g>'
    kind = "holds" if not broken else "breaks" if len(broken) == len(tried) else "some"
    title += {
        "holds": "holds",
        "breaks": "breaks",
        "some": f"breaks in {len(broken)} of {len(tried)} environments",
    }[kind]
    shapes = [f'<rect class="{"breaks" if kind == "breaks" else "holds"}" {box}/>']
    if kind == "some":
        corner = f"M{x + 58} {y} V{y + SIZE - 12} H{x} Z"
        shapes.append(f'<path class="breaks" d="{corner}"/>')
    if gone:
        title += f"; does not import in {len(gone)}"
        shapes.append(f'<circle class="gone" cx="{x + 8}" cy="{y + 9}" r="3"/>')
    drawn = f"<title>{escape(title)}</title>{''.join(shapes)}"
    found = {d.finding: d for one, _ in broken for d in one.defects(rule, handle)}
    if not found:
        return f"<g>{drawn}</g>"
    target = link(found[min(found)], "docs")[:-1].partition("(")[2]
    return f'<a href="../{target}">{drawn}</a>'


def _legend(y: int, width: int) -> list[str]:
    parts, x = [], 16
    for kind, words in (
        ("holds", "holds"),
        ("some", "breaks in some environments"),
        ("breaks", "breaks in all"),
        ("none", "not supported"),
        ("gone", "does not import in some"),
    ):
        if x + 44 + 6.6 * len(words) > width:
            x, y = 16, y + 22
        box = f'x="{x}" y="{y - 11}" width="22" height="14" rx="3"'
        if kind == "some":
            parts.append(f'<rect class="holds" {box}/>')
            parts.append(
                f'<path class="breaks" d="M{x + 22} {y - 11} V{y + 3} H{x} Z"/>'
            )
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
.holds { fill: #8fc3a2 } .breaks { fill: #b3261e } .none { fill: #eceef0 }
.gone { fill: #1b1f23 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #15181b } text { fill: #e5e8ea } .handle, .legend { fill: #a0a9b1 }
  .holds { fill: #2f6b47 } .breaks { fill: #f28b82 } .none { fill: #2a2f34 }
  .gone { fill: #e5e8ea }
}
""".strip()


# ------------------------------------------------------------------------------ ways in


def changed(now: Environment, before: Environment) -> t.Iterator[str]:
    """The cells that are not as they are written down."""
    for rule in NAMES:
        for handle in HANDLES:
            was, cell = before.cell(rule, handle), now.cell(rule, handle)
            if was.state != cell.state:
                name = f"Flask-Admin {now.run.stack.get('Flask-Admin', '?')}"
                said = cell.said or cell.why or was.why
                yield (
                    f"{name} ({_with([now])}): {rule} with {handle}: {was.state} in "
                    f"{before.name}, {cell.state} now: {said}"
                )


def check(known: t.Sequence[Environment], newest: bool) -> int:
    """Run environments again, or those of the last release on the newest one."""
    last = max((one.release for one in known), key=Version)
    before = {
        f"newest-{'-'.join(one.factors)}" if newest else one.name: one
        for one in known
        if one.release == last or not newest
    }
    found = [line for now in run([*before]) for line in changed(now, before[now.name])]
    print("\n".join(found) or "Every cell is as it is written down.")
    return int(bool(found))


def main(arguments: t.Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.verdicts")
    parser.add_argument("--only", default="", metavar="PART")
    parser.add_argument("--documents", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--newest", action="store_true")
    given = parser.parse_args(arguments)
    if given.newest or given.check:
        return check([one for one in load() if given.only in one.name], given.newest)
    if not given.documents:
        names = [one for one in environments() if given.only in one]
        kept = [one for one in load() if one.name not in names] if given.only else []
        save([*kept, *run(names)])
    write_documents(load())
    return 0


if __name__ == "__main__":
    sys.exit(main())
