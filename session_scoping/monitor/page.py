"""The page of the monitor in the user's own Flask-Admin."""

import os
import typing as t
from importlib.resources import files

import flask

from flask_admin import BaseView
from flask_admin import expose
from session_scoping.monitor import connections
from session_scoping.monitor.state import App
from session_scoping.monitor.state import Request
from session_scoping.monitor.state import Span

REFRESH = 5  # seconds
WIDTH, ROW, HEAD = 1000, 14, 16  # of the drawing
MOST_ROWS = 80
SOURCE = files(__package__).joinpath("page.html").read_text(encoding="utf-8")


class Bar(t.NamedTuple):
    """A session or a connection in the drawing."""

    x: float
    y: float
    width: float
    title: str
    open: bool  # is it still open?


def bars(requests: t.Sequence[Request]) -> list[Bar]:
    """Return a bar for each connection of the last requests: a staircase.

    Each request is a column. What its request has not ended is a bar to the right edge.
    """
    spans = [
        (column, request, span)
        for column, request in enumerate(requests)
        for span in request.spans
    ][-MOST_ROWS:]
    width = WIDTH / max(len(requests), 1)
    return [
        _bar(row, column * width, width, request, span)
        for row, (column, request, span) in enumerate(spans)
    ]


def _bar(row: int, x: float, width: float, request: Request, span: Span) -> Bar:
    open_now = span.ended is None
    took = "still open" if span.ended is None else f"{span.ended - span.began:.3f} s"
    where = f": {span.place}" if span.place else ""
    title = f"{request.name}, {request.status}: a {span.kind}, {took}{where}"
    long = WIDTH - x if open_now else max(width - 1, 1)
    return Bar(x, HEAD + row * ROW, long, title, open_now)


def view(apps: t.Iterable[App], base: type[BaseView], **named: t.Any) -> BaseView:
    """Return a page for an admin. ``base`` is a class of view with the access rules."""

    class MonitorView(base):  # type: ignore[misc, valid-type]
        def is_accessible(self) -> bool:
            """Allow the page only to a user whom the index of the admin allows, too."""
            index = self.admin.index_view
            return bool(super().is_accessible() and index.is_accessible())

        @expose("/")
        def index(self) -> flask.Response:
            last = sorted(
                (request for app in apps for request in list(app.recent)),
                key=lambda request: request.began,
            )
            drawn = bars(last)
            page = self.render(
                flask.current_app.jinja_env.from_string(SOURCE),
                process=os.getpid(),
                sources=[source for app in apps for source in app.findings.sources],
                holding=connections.holding(),
                requests=last,
                bars=drawn,
                width=WIDTH,
                height=HEAD + ROW * (len(drawn) + 1),
                row=ROW,
                refresh=REFRESH,
            )
            response = flask.make_response(page)
            response.headers["Cache-Control"] = "no-store"
            if flask.request.args.get("refresh"):
                response.headers["Refresh"] = str(REFRESH)
            return response

    named.setdefault("name", "Sessions")
    named.setdefault("endpoint", "session_scoping")
    return t.cast(BaseView, MonitorView(**named))
