"""Proves that Flask-Admin keeps its SQLAlchemy sessions inside requests."""

import typing as t
from importlib import import_module

if t.TYPE_CHECKING:
    from session_scoping.drive.record import record
    from session_scoping.errors import CannotTell
    from session_scoping.errors import RulesBroken
    from session_scoping.monitor.extension import Monitor
    from session_scoping.recording import Recording
    from session_scoping.rules.judge import judge
    from session_scoping.rules.verdict import Verdict
    from session_scoping.watch.recorder import Recorder

    __version__: str

__all__ = [
    "CannotTell",
    "judge",
    "Monitor",
    "record",
    "Recorder",
    "Recording",
    "RulesBroken",
    "Verdict",
]

HOMES = {
    "CannotTell": "errors",
    "judge": "rules.judge",
    "Monitor": "monitor.extension",
    "record": "drive.record",
    "Recorder": "watch.recorder",
    "Recording": "recording",
    "RulesBroken": "errors",
    "Verdict": "rules.verdict",
}


def __getattr__(name: str) -> t.Any:
    """Import a public name when it is first used.

    pytest loads the plugin for every suite, with Flask or without.
    """
    if name == "__version__":
        return import_module("importlib.metadata").version(
            "flask-admin-session-scoping"
        )
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
