"""The exit statuses of every command."""

from enum import IntEnum


class Status(IntEnum):
    """How a command ends."""

    HOLDS = 0  # what was asked holds
    BROKEN = 1  # a rule is broken
    CANNOT_TELL = 2  # no verdict is possible
    INTERRUPTED = 130  # by Ctrl-C, as a shell has it
