"""Check that an example runs all the code of a fix."""

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
    """Return the lines of all functions in a code object."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    found = {line for _, _, line in code.co_lines() if line}
    if not code.co_flags & CO_OPTIMIZED:  # a module or class: importing it runs these
        found = set()
    return found.union(*map(lines, inner))


@contextmanager
def all_lines_run(fix: str) -> t.Iterator[None]:
    """Check that the block runs all lines of a fix; without a name, check nothing."""
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
