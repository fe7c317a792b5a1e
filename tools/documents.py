"""Check the documents: their code, what it prints, and where their links lead.

A document holds two kinds of blocks that are run:

- a fenced ``python`` block followed by ``<!-- prints -->`` and a fenced ``text`` block:
  the code, and what it prints;
- ``<!-- prints: COMMAND -->`` and a fenced ``text`` block: what a command of this
  repository prints.

``docs/causes.md`` lists the causes that a verdict can name.

``python -m tools.documents --write`` runs all blocks, writes down what they print, and
writes the list of causes. Where there is a Chromium it takes the pictures, too.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from session_scoping.fixes import code as code_of
from session_scoping.rules.causes import Cause
from session_scoping.rules.causes import CAUSES
from tests.apps import APPS
from tests.apps import Example
from tests.printed import FIXES
from tools import screenshots

ROOT = Path(__file__).parent.parent
FIRST = ("README.md", "SUMMARY.md", "SESSION_SCOPING_INVESTIGATION.md")
DOCUMENTS = (*FIRST, *sorted(f"docs/{page.name}" for page in ROOT.glob("docs/*.md")))
BLOCK = re.compile(
    r"(?:```python\n(?P<code>(?:(?!```).)*?)```\n\n<!-- prints -->"
    r"|<!-- prints: (?P<command>[^\n]+) -->)\n```text\n(?P<output>.*?)```\n",
    re.DOTALL,
)
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Versions, addresses, and the lines of libraries, which every release moves.
VERSION = re.compile(r"\b\d+\.\d+\.\d+\b|\b0x[0-9a-f]+\b|(?<=sqla/view\.py:)\d+")
LINK = re.compile(
    r"\]\((?!https?:)([^)\s]+)\)"
    r"|^\[[^\]]+\]: (?!https?:)(\S+)"
    r'|(?:src|srcset|href)="(?!https?:)([^"]+)"',
    re.MULTILINE,
)
CAUSES_PAGE = ROOT / "docs" / "causes.md"
# The code is as a verdict prints it: it is not formatted again.
BEGIN, END = "<!-- fmt: off -->\n", "<!-- fmt: on -->\n"
LIMIT = 900  # seconds, for a block: some make environments


class Block(t.NamedTuple):
    document: str
    title: str
    arguments: list[str]
    output: str
    span: tuple[int, int]  # where the output stands

    def run(self) -> str:
        """Run the block, and return what it prints on both streams."""
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            self.arguments,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
        return done.stdout


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> t.Iterator[Block]:
    """Yield the blocks of a document that have an output."""
    text = text_of(document)
    for found in BLOCK.finditer(text):
        command, code = found["command"], found["code"]
        if command:
            program, *rest = shlex.split(command)
            if program != "python":
                raise ValueError(f"{document}: {command!r} does not start with python")
            arguments = [sys.executable, *rest]
        else:
            arguments = [sys.executable, "-c", code]
        heading = re.findall(r"^#+ (.*)$", text[: found.start()], re.MULTILINE)[-1]
        title = f"{document}: {command or heading}"
        yield Block(document, title, arguments, found["output"], found.span("output"))


def code(document: str) -> list[str]:
    """Return the Python code of a document, with an output or without."""
    return [
        code for name, code in FENCED.findall(text_of(document)) if name == "python"
    ]


def same(output: str, other: str) -> bool:
    """Compare two outputs, but for versions, addresses and line breaks."""
    return VERSION.sub("…", output).split() == VERSION.sub("…", other).split()


# ------------------------------------------------------------------------------- links


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


# ------------------------------------------------------------------------------ causes


def causes(text: str) -> str:
    """Return the page of causes, with a new list."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = "\n".join(describe(cause) for cause in CAUSES)
    return f"{before}{BEGIN}\n{parts}\n{END}{after}"


def describe(cause: Cause) -> str:
    """Describe a cause: why, what to change, and apps that have it."""
    name = f"{cause.name[0].upper()}{cause.name[1:]}"
    lines = [f"### {name}", "", cause.sentence, ""]
    lines += [f"```{language(cause.fix)}", cause.fix, "```", ""]
    if defect := cause.defect:
        page = "../SESSION_SCOPING_INVESTIGATION.md"
        [target] = [
            name for name in anchors(text_of(FIRST[2])) if _numbered(name, defect)
        ]
        lines += [f"[Finding {defect.finding}]({page}#{target}) describes it.", ""]
    if cause.link:
        lines += [f"More: <{cause.link}>", ""]
    for fix in FIXES:
        if code_of(fix) == cause.fix:
            lines += [f"From [`{fix}.py`](../session_scoping/fixes/{fix}.py).", ""]
    apps = [example for example in APPS if example.cause == cause.name]
    if apps:
        lines += [f"Broken examples: {', '.join(map(linked, apps))}", ""]
    return "\n".join(lines)


def linked(app: Example) -> str:
    name = app.target.removeprefix("tests.apps.")
    return f"[`{name}`](../{app.file.relative_to(ROOT).as_posix()})"


def _numbered(anchor: str, defect: t.Any) -> bool:
    return anchor.startswith(f"{defect.finding}-")


def language(fix: str) -> str:
    try:
        compile(fix, "fix", "exec")
    except SyntaxError:
        return "text"
    return "python"


# ----------------------------------------------------------------------------- writing


def write() -> None:
    CAUSES_PAGE.write_text(causes(text_of("docs/causes.md")), encoding="utf-8")
    for document in DOCUMENTS:
        path = ROOT / document
        text = path.read_text(encoding="utf-8")
        for block in reversed(list(blocks(document))):
            start, end = block.span
            text = text[:start] + block.run().rstrip() + "\n" + text[end:]
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tools.documents --write")
    write()
    if shutil.which("chromium"):
        screenshots.main()
    else:
        print("no chromium on the PATH: the pictures stay as they are")
