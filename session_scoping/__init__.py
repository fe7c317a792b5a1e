"""Proves that Flask-Admin keeps its SQLAlchemy sessions inside requests."""

from session_scoping.laws import judge
from session_scoping.laws import Verdict
from session_scoping.recorder import Recorder
from session_scoping.recording import Recording

__all__ = ["judge", "Recorder", "Recording", "Verdict"]
