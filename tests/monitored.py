"""Serve the example apps with the monitor, each in a process of its own.

``python -m tests.monitored NAME …`` makes the requests of a person in each app, and
prints what the monitor has found, as a line of JSON for each app.
"""

import contextlib
import json
import logging
import os
import sys
import tempfile
import typing as t
from importlib import import_module
from time import monotonic

import flask
from jinja2 import FileSystemBytecodeCache
from sqlalchemy.pool import QueuePool

from session_scoping import Monitor
from session_scoping.monitor import state
from tests.apps import APPS
from tests.apps import Example

FORM = {"name": "zed", "title": "zed", "customer": "zed", "text": "zed", "age": 3}
ROUNDS = 3


class Clock:
    """A clock that is moved by hand: no test waits."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return monotonic() + self.ahead


def watch_each_app() -> list[Monitor]:
    """Give each app that is made from now on a monitor. Returns the monitors."""
    monitors: list[Monitor] = []
    init = flask.Flask.__init__

    def make(app: flask.Flask, *args: t.Any, **named: t.Any) -> None:
        init(app, *args, **named)
        app.config["PROPAGATE_EXCEPTIONS"] = False
        monitors.append(Monitor(app))

    flask.Flask.__init__ = make  # type: ignore[method-assign, assignment]
    return monitors


def wait_for_no_connection() -> None:
    """Let a pool that is empty raise at once, unless the app says otherwise."""
    init = QueuePool.__init__

    def make(pool: QueuePool, *args: t.Any, **named: t.Any) -> None:
        init(pool, *args, **{"timeout": 0.0, **named})

    QueuePool.__init__ = make  # type: ignore[method-assign, assignment]


def load(target: str) -> t.Any:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def pages(app: flask.Flask) -> t.Iterator[str]:
    """Yield the pages that a person opens."""
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.arguments or "static" in rule.rule:
            continue
        yield rule.rule
        if rule.rule.endswith(("/edit/", "/details/")):
            yield f"{rule.rule}?id=1"
        if rule.rule.endswith("/ajax/lookup/"):
            yield f"{rule.rule}?name=user&query=A"
        if rule.endpoint.endswith(".index_view"):
            yield f"{rule.rule}?search=a"
            yield f"{rule.rule.rstrip('/')}/export/csv/"


def use(app: flask.Flask, client: t.Any, clock: Clock) -> None:
    """Read and write as a person does. What fails by the app's mistake goes on."""
    for _ in range(ROUNDS):
        for page in pages(app):
            with contextlib.suppress(Exception):  # of a stream
                response = client.get(page)
                response.close()
        clock.ahead += 10
    for admin in app.extensions.get("admin", []):
        for view in admin._views:
            if hasattr(view, "model"):
                client.post(f"{view.url}/new/", data=FORM).close()
                client.post(f"{view.url}/edit/?id=1", data=FORM).close()
                update = {"list_form_pk": 1, "name": "Q"}
                client.post(f"{view.url}/ajax/update/", data=update).close()
                client.post(f"{view.url}/delete/", data={"id": 3}).close()
                client.get(f"{view.url}/").close()


def found_in(example: Example) -> dict[str, t.Any]:
    """Serve an app, and return what the monitor has found."""
    clock = state.clock = Clock()
    wait_for_no_connection()
    monitors = watch_each_app()
    app = load(example.target)
    app = app if isinstance(app, flask.Flask) else app()
    client = load(example.client)(app) if example.client else app.test_client()
    use(app, client, clock)
    return {
        "name": example.name,
        "found": [
            {"count": source.count, **source.finding.to_json()}
            for monitor in monitors
            for source in monitor.findings
        ],
    }


def main(names: list[str]) -> None:
    logging.disable()
    flask.Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}
    for example in APPS:
        if example.name in names:
            with tempfile.TemporaryDirectory() as folder:
                if os.fork() == 0:
                    os.environ["DATABASE_URL"] = f"sqlite:///{folder}/app.db"
                    os.environ["SQLALCHEMY_SILENCE_UBER_WARNING"] = "1"
                    print(json.dumps(found_in(example)), flush=True)
                    os._exit(0)
                os.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
