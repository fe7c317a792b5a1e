"""The fixes that reports print. Each is a file, which a fixed example app imports.

A report prints what stands between ``# begin`` and ``# end``, so what a user pastes is
what the example runs. The rest of a file makes it importable: a function, whose
parameters are what an app calls ``app``, ``db``, ``User`` and so on.
"""

from pathlib import Path
from textwrap import dedent


def code(name: str) -> str:
    """Return what the reports print of a fix.

    The file is read and not imported: it may need packages that are not installed.
    """
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    printed = text.partition("# begin\n")[2].partition("# end\n")[0]
    return dedent(printed).strip()
