"""How far a command is. A child process prints it in lines that its parent reads."""

import typing as t

# Takes what is being done, and which part of all is done: from 0 to 1, or ``None`` if
# that is not known yet.
Progress = t.Callable[[str, float | None], object]

ASKED = "SESSION_SCOPING_PROGRESS"  # the variable with which a parent asks for it
MARK = "session-scoping is at "


def send(part: float) -> None:
    """Print to a parent process which part is done."""
    print(f"{MARK}{part:.4f}", flush=True)


def received(line: str) -> float | None:
    """Return the part that a line of a child process says, if it says one."""
    return float(line[len(MARK) :]) if line.startswith(MARK) else None


def within(progress: Progress, start: float, end: float) -> Progress:
    """Return what takes the progress of a step, which goes from one part to another."""
    return lambda doing, part: progress(doing, start + (part or 0) * (end - start))
