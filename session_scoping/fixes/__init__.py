"""The fixes that reports print. Each is a file, which a fixed example app imports.

A report prints the lines between ``# begin`` and ``# end``. So a user pastes what the
example runs. Around these lines most files have a function, so that an app can import
the fix. Its parameters are what an app calls ``app``, ``db``, ``User`` and so on.
"""

from pathlib import Path
from textwrap import dedent


def code(name: str) -> str:
    """Return the lines of a fix that the reports print. ``name`` is that of its file.

    The file is read, not imported: it may need packages that are not installed.
    """
    text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    printed = text.partition("# begin\n")[2].partition("# end\n")[0]
    return dedent(printed).strip()
