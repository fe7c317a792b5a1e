"""The code in the documents, and what it printed when it was last run.

A document holds two kinds of living blocks:

- a fenced ``python`` block followed by ``<!-- prints -->`` and a fenced ``text`` block:
  the code, and what it prints;
- ``<!-- prints: COMMAND -->`` and a fenced ``text`` block: what a command of this
  repository prints.

``python -m tests.documents --write`` runs them all and writes down what they print.
"""

import os
import re
import shlex
import subprocess
import sys
import typing as t
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "SUMMARY.md", "SESSION_SCOPING_INVESTIGATION.md")
BLOCK = re.compile(
    r"(?:```python\n(?P<code>(?:(?!```).)*?)```\n\n<!-- prints -->"
    r"|<!-- prints: (?P<command>[^\n]+) -->)\n```text\n(?P<output>.*?)```\n",
    re.DOTALL,
)
# Versions, addresses, and the lines of libraries, which every release moves.
VERSION = re.compile(r"\b\d+\.\d+\.\d+\b|\b0x[0-9a-f]+\b|(?<=sqla/view\.py:)\d+")


class Block(t.NamedTuple):
    document: str
    title: str
    arguments: list[str]
    output: str
    span: tuple[int, int]  # where the output stands

    def run(self) -> str:
        """What the block prints now, on both streams."""
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            self.arguments,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.stdout


def blocks(document: str) -> t.Iterator[Block]:
    """Every block of a document that has an output."""
    text = (ROOT / document).read_text(encoding="utf-8")
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


def same(one: str, other: str) -> bool:
    """Whether two outputs differ in nothing but versions and addresses."""
    return VERSION.sub("…", one).rstrip() == VERSION.sub("…", other).rstrip()


def write() -> None:
    for document in DOCUMENTS:
        path = ROOT / document
        text = path.read_text(encoding="utf-8")
        for block in reversed(list(blocks(document))):
            start, end = block.span
            text = text[:start] + block.run().rstrip() + "\n" + text[end:]
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.documents --write")
    write()
