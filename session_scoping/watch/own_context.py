"""A request in a context of its own, also where the caller holds an app context.

Flask keeps its contexts in context variables. In a new ``contextvars.Context`` they are
empty, so Flask pushes an app context for the request.
"""

import typing as t
from contextvars import Context
from contextvars import ContextVar
from contextvars import Token

import flask
from flask.ctx import AppContext

PRESERVE = (
    "werkzeug.debug.preserve_context"  # in the WSGI environment, by a test client
)
Answer = t.Callable[
    [flask.Flask, dict[str, t.Any], t.Callable[..., t.Any]], t.Iterable[bytes]
]


def answer_apart(
    answer: Answer,
    app: flask.Flask,
    environ: dict[str, t.Any],
    start_response: t.Callable[..., t.Any],
) -> t.Iterable[bytes]:
    """Let ``answer`` call the app in a new context, and return the body."""
    context = Context()
    if preserve := environ.get(PRESERVE):
        environ[PRESERVE] = lambda pushed: preserve(Preserved(context, pushed))
    return Body(context, context.run(answer, app, environ, start_response))


class Body:
    """A response that is read, and closed, in the context that its request ran in.

    Flask's ``stream_with_context`` pushes contexts there, and pops them at the end.
    """

    def __init__(self, context: Context, body: t.Iterable[bytes]) -> None:
        self.context = context
        self.body = body
        self.chunks = iter(body)

    def __iter__(self) -> "Body":
        return self

    def __next__(self) -> bytes:
        return self.context.run(next, self.chunks)

    def close(self) -> None:
        close = getattr(self.body, "close", None)
        if close is not None:
            self.context.run(close)


class Preserved:
    """A context of Flask that a test client shows to the test after the request.

    Flask would push it a second time. It cannot be pushed in two contexts at once.

    It hides a context that the test holds. The test may end that before the client, as
    two fixtures do. Then it is no longer shown.
    """

    def __init__(self, context: Context, pushed: t.Any) -> None:
        self.context = context
        self.pushed = pushed
        # Flask's variables are private, and differ by release.
        self.variable: ContextVar[t.Any] = next(
            variable for variable, value in context.items() if value is pushed
        )
        self.token: Token[t.Any] | None = None
        self.hidden: t.Any = None  # the context that the test holds

    def __enter__(self) -> None:
        self.hidden = self.variable.get(None)
        self.token = self.variable.set(self.pushed)
        if self.hidden is not None:
            self.hidden.pop = self._pop_hidden

    def __exit__(self, *_: object) -> None:
        if self.variable.get(None) is self.pushed:
            self._hide()
        vars(self.pushed).pop("pop", None)  # of another client, which hides this one
        if isinstance(self.pushed, AppContext):
            self.context.run(self._tear_down)

    def _pop_hidden(self, *error: t.Any) -> None:
        """Show the context that the test holds again, and pop it."""
        self._hide()
        self.hidden.pop(*error)

    def _hide(self) -> None:
        if self.hidden is not None:
            vars(self.hidden).pop("pop", None)
        if self.token is not None:
            self.variable.reset(self.token)
            self.token = None

    def _tear_down(self) -> None:
        """Let the app's teardowns end what the test has used in the context."""
        with self.pushed:
            pass
