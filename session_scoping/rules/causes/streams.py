"""Streamed responses, and what is gone when they are sent."""

import re

from session_scoping.fixes import code
from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.causes.cause import documented
from session_scoping.rules.causes.cause import maker
from session_scoping.rules.defects import BY_ID
from session_scoping.rules.defects import FLASK
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

STREAMED = BY_ID["streams-too-late"]
EXPORT = re.compile(r"/export/\w+/?(\?|$)")  # Flask-Admin's own


@documented("Flask 3.1.2 and newer: a streamed export outlives its session", STREAMED)
def streamed_export(sight: Sight, recording: Recording) -> bool:
    return (
        _streams_too_long(sight)
        and sight.request is not None
        and EXPORT.search(sight.request.path) is not None
        and STREAMED.is_in(recording.stack.get(STREAMED.package, ""))
    )


@cause(
    "a stream that uses rows or the session after the view has answered",
    "The session ends with the app context, before the response is streamed. Since "
    "Flask 3.1.2 that is so with `stream_with_context`, too. Rows are detached then.",
    code("own_stream"),
    f"{FLASK}/pull/5799",
)
def streamed_rows(sight: Sight, recording: Recording) -> bool | Place | None:
    if not _streams_too_long(sight) or sight.request is None:
        return False
    return sight.request.raised_at or True


def _streams_too_long(sight: Sight) -> bool:
    request = sight.request
    kinds = {ViolationKind.STREAM, ViolationKind.REUSED, ViolationKind.OPEN}
    return (
        request is not None
        and request.streamed
        and sight.kind in kinds
        and (
            "DetachedInstanceError" in request.stream_exception
            or any(use.used_after_close for use in request.uses)
        )
    )


@cause(
    "a session made by hand in a stream",
    "The session of the request is gone by then, so that a stream may make its own. "
    "But nothing closes this session where the client leaves before the end.",
    code("stream_session"),
    f"{FLASK}/issues/5774",
)
def session_in_stream(sight: Sight, recording: Recording) -> bool:
    return (
        maker(sight) == Maker.HAND
        and sight.kind in {ViolationKind.OPEN, ViolationKind.KEPT}
        and sight.session is not None
        and sight.session.in_stream
        and not sight.kept_by
    )
