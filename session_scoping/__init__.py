"""Proves that Flask-Admin keeps its SQLAlchemy sessions inside requests."""

import typing as t
from importlib import import_module

if t.TYPE_CHECKING:
    from session_scoping.crawler import record
    from session_scoping.errors import CannotTell
    from session_scoping.recorder import Recorder
    from session_scoping.recording import Recording
    from session_scoping.rules import judge
    from session_scoping.rules import Verdict

__all__ = ["CannotTell", "judge", "record", "Recorder", "Recording", "Verdict"]

HOMES = {
    "CannotTell": "errors",
    "judge": "rules",
    "record": "crawler",
    "Recorder": "recorder",
    "Recording": "recording",
    "Verdict": "rules",
}


def __getattr__(name: str) -> t.Any:
    """Import late: pytest loads the plugin for every suite, Flask or not."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
