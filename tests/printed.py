"""Whether an example runs all the code of a fix that a report prints."""

import sys
import threading
import typing as t
from contextlib import contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType
from types import FrameType

from session_scoping import fixes

FOLDER = Path(fixes.__file__).parent
FIXES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def lines(code: CodeType) -> set[int]:
    """Return the lines of all functions in a piece of code."""
    found = {line for _, _, line in code.co_lines() if line}
    if (
        not code.co_flags & CO_OPTIMIZED
    ):  # of a module or class: importing it runs these
        found = set()
    inner = [lines(inner) for inner in code.co_consts if isinstance(inner, CodeType)]
    return found.union(*inner)


@contextmanager
def runs(fix: str) -> t.Iterator[None]:
    """Check that all lines of a fix are run inside the block; with no name, nothing."""
    if not fix:
        yield
        return
    path = FOLDER / f"{fix}.py"
    run: set[int] = set()

    def trace(frame: FrameType, event: str, _: object) -> t.Any:
        if frame.f_code.co_filename != str(path):
            return None
        run.update({frame.f_code.co_firstlineno, frame.f_lineno})
        return trace

    before = sys.gettrace()
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)
    missed = lines(compile(path.read_text(), str(path), "exec")) - run
    assert not missed, f"{path.name}: nothing runs lines {sorted(missed)}"
