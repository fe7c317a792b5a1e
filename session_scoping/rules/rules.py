"""The seven rules."""

from session_scoping.recording import Word


class Rule(Word):
    """A rule. Its sentence says what is right."""

    HANDLE = "handle"
    SINGLE = "single"
    FRESH = "fresh"
    ISOLATED = "isolated"
    ALIVE = "alive"
    RELEASED = "released"
    RECOVERS = "recovers"

    @property
    def sentence(self) -> str:
        """What is right."""
        return SENTENCES[self]


SENTENCES = {
    Rule.HANDLE: "A view keeps the handle it was given, and never a session.",
    Rule.SINGLE: "A request uses one session for each database: the session that the "
    "handle gives.",
    Rule.FRESH: "No session serves two requests, building the app leaves no session "
    "open, and a request shows what was committed before it.",
    Rule.ISOLATED: "A change that a request has not committed is seen by no other "
    "request, and is never saved.",
    Rule.ALIVE: "The session lives until the response is complete, also when it is "
    "streamed.",
    Rule.RELEASED: "After the response the session is gone: it is closed, its "
    "connection is back in the pool, and nothing refers to it or to a row it loaded.",
    Rule.RECOVERS: "After any error in a request the other rules still hold, and the "
    "next request works.",
}
