"""The check of each rule: a pure function of a recording."""

import typing as t

from session_scoping.recording import Recording
from session_scoping.rules.checks.failures import recovers
from session_scoping.rules.checks.handles import handle
from session_scoping.rules.checks.handles import single
from session_scoping.rules.checks.life import alive
from session_scoping.rules.checks.life import released
from session_scoping.rules.checks.sharing import fresh
from session_scoping.rules.checks.sharing import isolated
from session_scoping.rules.rules import Rule
from session_scoping.rules.sight import Sight

CHECKS: dict[Rule, t.Callable[[Recording], t.Iterator[Sight]]] = {
    Rule.HANDLE: handle,
    Rule.SINGLE: single,
    Rule.FRESH: fresh,
    Rule.ISOLATED: isolated,
    Rule.ALIVE: alive,
    Rule.RELEASED: released,
    Rule.RECOVERS: recovers,
}
