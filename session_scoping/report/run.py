"""The run that a report is about: its command line, its date and this package."""

import re
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from datetime import timezone
from importlib.metadata import version
from pathlib import Path

PACKAGE = "flask-admin-session-scoping"
PASSWORD = re.compile(r"(://[^:/@\s]*:)\S+@")


@dataclass(frozen=True)
class Run:
    """What made a report, and when."""

    command: str
    date: datetime
    version: str  # of this package

    @classmethod
    def now(cls) -> "Run":
        """Return the run of this process."""
        return cls(command_line(sys.argv), datetime.now(timezone.utc), version(PACKAGE))

    @property
    def day(self) -> str:
        """The date and the time, as people write it."""
        return f"{self.date.day} {self.date:%B %Y, %H:%M %Z}"


def command_line(arguments: list[str]) -> str:
    """Return a command line as it was typed, without the passwords in its URLs."""
    program = Path(arguments[0])
    typed = [program.name]
    if program.name == "__main__.py":
        typed = ["python", "-m", program.parent.name]
    return PASSWORD.sub(r"\1***@", shlex.join([*typed, *arguments[1:]]))
