"""What a rule yields: each time that it is seen to be broken."""

import typing as t

from session_scoping.recording import NOBODY
from session_scoping.recording import Place
from session_scoping.recording import Request
from session_scoping.recording import Session

UNSOLICITED = "unsolicited"  # the kind of Flask-Admin's unsolicited work


class Sight(t.NamedTuple):
    """One sight of a broken rule."""

    kind: str  # sights of a kind become one violation
    what: str  # what was seen, in a line
    request: Request | None = None
    session: Session | None = None
    view: int = NOBODY
    place: Place | None = None
    own: Place | None = None
    kept_by: t.Sequence[str] = ()
