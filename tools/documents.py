"""Check the documents: their code, and what it prints.

A document holds two kinds of blocks that are run:

- a fenced ``python`` block followed by ``<!-- prints -->`` and a fenced ``text`` block:
  the code, and what it prints;
- ``<!-- prints: COMMAND -->`` and a fenced ``text`` block: what a command of this
  repository prints.

``python -m tools.documents --write`` makes the pages of the rules and the causes, runs
all blocks, and writes down what they print. Where there is a Chromium it takes the
pictures, too.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor

from tools import screenshots
from tools.links import DOCUMENTS
from tools.links import FENCED
from tools.links import ROOT
from tools.links import text_of
from tools.pages import pages

BLOCK = re.compile(
    r"(?:```python\n(?P<code>(?:(?!```).)*?)```\n\n<!-- prints -->"
    r"|<!-- prints: (?P<command>[^\n]+) -->)\n```text\n(?P<output>.*?)```\n",
    re.DOTALL,
)
# Versions, addresses, and the lines of libraries, which every release moves.
VERSION = re.compile(r"\b\d+\.\d+\.\d+\b|\b0x[0-9a-f]+\b|(?<=sqla/view\.py:)\d+")
AT_ONCE = 2  # blocks
LIMIT = 900  # seconds, for a block: some make environments


class Block(t.NamedTuple):
    document: str
    title: str
    arguments: tuple[str, ...]
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


def blocks(document: str) -> t.Iterator[Block]:
    """Yield the blocks of a document that have an output."""
    text = text_of(document)
    for found in BLOCK.finditer(text):
        command, code = found["command"], found["code"]
        if command:
            program, *rest = shlex.split(command)
            if program != "python":
                raise ValueError(f"{document}: {command!r} does not start with python")
            arguments = (sys.executable, *rest)
        else:
            arguments = (sys.executable, "-c", code)
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


# ----------------------------------------------------------------------------- writing


def write() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    found = [block for document in DOCUMENTS for block in blocks(document)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outputs = dict(zip(found, pool.map(Block.run, found), strict=True))
    for block in reversed(found):  # from below: the places above stay as they are
        path, (start, end) = ROOT / block.document, block.span
        text = path.read_text(encoding="utf-8")
        output = outputs[block].rstrip()
        path.write_text(f"{text[:start]}{output}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.documents")
    parser.add_argument("--write", action="store_true", required=True)
    parser.parse_args()
    write()
    if shutil.which("chromium"):
        screenshots.main()
    else:
        print("no chromium on the PATH: the pictures stay as they are")
