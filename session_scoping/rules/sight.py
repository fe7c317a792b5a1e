"""What a rule yields: a sight of how it is broken."""

import typing as t

from session_scoping.recording import NOBODY
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.recording import Session

UNASKED = "unasked"  # the kind of what Flask-Admin does by itself


class Sight(t.NamedTuple):
    """One sight of a broken rule."""

    kind: str  # sights of one kind are told as one
    what: str  # was seen, in a line
    request: Request | None = None
    session: Session | None = None
    view: int = NOBODY
    place: Place | None = None
    own: Place | None = None
    kept_by: t.Sequence[str] = ()
