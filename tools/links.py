"""The documents, and where their links lead."""

import re
from pathlib import Path

from session_scoping.rules.defects import Defect

ROOT = Path(__file__).parent.parent
INVESTIGATION = "SESSION_SCOPING_INVESTIGATION.md"
FIRST = ("README.md", "SUMMARY.md", INVESTIGATION)
ALL = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
DOCUMENTS = (
    *FIRST,
    *sorted({page.relative_to(ROOT).as_posix() for page in ALL} - {*FIRST}),
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"\]\((?!https?:)([^)\s]+)\)"
    r"|^\[[^\]]+\]: (?!https?:)(\S+)"
    r'|(?:src|srcset|href)="(?!https?:)([^"]+)"',
    re.MULTILINE,
)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """Return the anchors of the headings in a document, as GitHub makes them."""
    found: set[str] = {*re.findall(r'<a id="([^"]+)"', text)}
    for heading in re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading))
        name = plain.lower().replace(" ", "-")
        again = 0
        while (numbered := f"{name}-{again}" if again else name) in found:
            again += 1
        found.add(numbered)
    return found


def links(text: str) -> list[str]:
    """Return the links of a document to files of this repository."""
    prose = re.sub(r"`[^`\n]*`", "``", FENCED.sub("", text))
    return [next(filter(None, groups)) for groups in LINK.findall(prose)]


def broken_links(document: str, text: str) -> list[str]:
    """Return the links of a document with this text that have no target."""
    broken = []
    for target in links(text):
        path, _, anchor = target.partition("#")
        page = (ROOT / document).parent / path if path else ROOT / document
        inside = page.resolve().is_relative_to(ROOT)
        there = inside and page.exists()
        if there and anchor and page.suffix == ".md":
            there = anchor in anchors(
                page.read_text(encoding="utf-8") if path else text
            )
        if not there:
            broken.append(target)
    return broken


def finding(defect: Defect) -> str:
    """Return a link to a finding, from the root of the repository."""
    start = f"{defect.finding}-"
    [anchor] = (
        name for name in anchors(text_of(INVESTIGATION)) if name.startswith(start)
    )
    return f"{INVESTIGATION}#{anchor}"
