"""Serve the library from an open socket, with a monitor inside.

It takes the same arguments as ``tests.fire.serve``, and saves what the monitor has
found and logged. ``LEAK=1`` adds a page that leaves its session open.
"""
# mypy: allow-subclassing-any

import json
import logging
import os
import sys
import typing as t
from pathlib import Path

import flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from flask_admin import BaseView
from flask_admin import expose
from session_scoping import Monitor
from tests.fire.serve import serve
from tools import library

monitor = Monitor()
logged: list[str] = []
kept: list[Session] = []


class LeakView(BaseView):
    @expose("/")
    def index(self) -> str:
        session = Session(library.db.engine)
        kept.append(session)
        return str(session.execute(text("select 1")).scalar())  # leaks


class Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logged.append(record.getMessage())


def create_app() -> flask.Flask:
    app = library.create_app()
    if os.environ.get("LEAK"):
        app.extensions["admin"][0].add_view(LeakView(name="Leak", endpoint="leak"))
    app.config["SESSION_SCOPING_SOCKET"] = os.path.join(
        os.environ["SERVE_FOLDER"], "holding"
    )
    monitor.init_app(app)
    logging.getLogger("session_scoping").addHandler(Keep())
    return app


def save(folder: str) -> None:
    """Save what the monitor of this process has found."""
    found = [
        {"count": source.count, **source.finding.to_json()}
        for source in monitor.findings
    ]
    data = {"found": found, "logged": logged}
    (Path(folder) / f"{os.getpid()}.json").write_text(json.dumps(data))


def worker_exit(server: object, worker: t.Any) -> None:
    """Is a hook of gunicorn, for which this module is the configuration."""
    save(os.environ["SERVE_FOLDER"])


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), create_app())
    save(sys.argv[3])
