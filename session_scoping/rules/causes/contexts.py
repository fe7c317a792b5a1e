"""App contexts that are not those of a request."""

from session_scoping.fixes import code
from session_scoping.recording import Place
from session_scoping.recording import Recording
from session_scoping.rules.causes.cause import cause
from session_scoping.rules.sight import Sight
from session_scoping.rules.sight import ViolationKind

# How a request shows that its session was not the same from its beginning to its end.
SPLIT = {ViolationKind.MANY, ViolationKind.REUSED, ViolationKind.CLOSED_EARLY}


@cause(
    "a stream that was ended on another thread than it began on",
    "An app context can be left only on the thread that entered it. The context of the "
    "stream stays on its thread. Every later request there runs inside it, and all of "
    "them share one session.",
    code("ended_elsewhere"),
    "https://github.com/pallets/flask/issues/6123",
    beneath_views=True,
)
def ended_elsewhere(sight: Sight, recording: Recording) -> bool:
    request = sight.request
    if request is None or not (request.outer_context or request.ended_on):
        return False
    earlier = recording.requests[: request.number + 1]
    return any(
        previous.ended_on and previous.thread == request.thread for previous in earlier
    )


@cause(
    "an app context that was pushed while the app was built",
    "`push()` opens an app context that nothing ends. Each request on that thread runs "
    "inside it, and all of them share one session.",
    code("pushed_context"),
    "https://flask.palletsprojects.com/en/stable/appcontext/#manually-push-a-context",
    beneath_views=True,
)
def pushed_context(sight: Sight, recording: Recording) -> Place | None:
    return sight.request.pushed_at if sight.request else None


@cause(
    "an app context inside a request",
    "A request has an app context already. A second context has a session of its own, "
    "which does not see what the request has changed. What that session has loaded is "
    "detached when the second context ends.",
    code("nested_context"),
    "https://flask.palletsprojects.com/en/stable/appcontext/#lifetime-of-the-context",
)
def nested_context(sight: Sight, recording: Recording) -> Place | None:
    if sight.session is None or sight.request is None or sight.kind not in SPLIT:
        return None
    ended = [use.closed_with for use in sight.request.uses if use.closed_with]
    return sight.session.context or next(iter(ended), None)


@cause(
    "an app context around the test client",
    "Requests made inside `with app.app_context():` share that context, and with it "
    "one session. Nothing is released between them.",
    code("outer_context"),
    "https://flask.palletsprojects.com/en/stable/appcontext/",
    beneath_views=True,
)
def outer_context(sight: Sight, recording: Recording) -> bool:
    return sight.request is not None and sight.request.outer_context
