"""The errors of this package."""


class CannotTell(Exception):
    """No verdict is possible. The message says, in a line, why, and what to do."""


class RulesBroken(AssertionError):
    """An app breaks a rule. The message names the rules, the lines and the fixes."""
