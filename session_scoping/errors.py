"""The error that means: no verdict is possible."""


class CannotTell(Exception):
    """No verdict is possible. The message says, in a line, why, and what to do."""
