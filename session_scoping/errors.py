"""What the guard says when it cannot tell."""


class CannotTell(Exception):
    """In one line: what is wrong, and what to do."""
