"""What the monitor costs a request, and how much memory it takes.

One process serves the same requests with the monitor and without, in turns. It measures
its own processor time. For the memory, one process has a monitor, and another has not
even imported it.
"""

import gc
import logging
import multiprocessing
import os
import statistics
import time
import typing as t
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import flask
from sqlalchemy import event
from werkzeug.test import EnvironBuilder

from tools import library

SECONDS = 5.0  # of processor time for each kind of request
TURN = 0.01  # the same for a turn: short, as other programs disturb long ones
ROWS = 10_000
MILESTONES = (1_000, 10_000, 100_000)  # requests after which the memory is measured
SMALL = "/small"
WORK = {
    "1 small query": SMALL,
    "no database": "/nothing",
    "edit form": "/admin/book/edit/?id=1",
    "list": "/admin/book/",
    "100 small queries": "/hundred",
    "export of 10,000 rows": "/admin/book/export/csv/",
}


def make_app(url: str) -> flask.Flask:
    """Return the library with pages that run no small query, one and a hundred."""
    os.environ["LIBRARY_URL"] = url
    app = library.create_app()
    db = library.db

    def queries(count: int) -> str:
        for number in range(1, count + 1):
            found = db.select(library.Book).where(library.Book.id == number)
            db.session.scalars(found).first()
        return "done"

    for path, count in (("/nothing", 0), (SMALL, 1), ("/hundred", 100)):
        app.add_url_rule(path, path, queries, defaults={"count": count})
    return app


def get(app: flask.Flask, path: str, times: int) -> float:
    """Request a page so many times. Returns the processor time of each."""
    page, _, query = path.partition("?")
    environ = EnvironBuilder(path=page, query_string=query).get_environ()
    statuses: list[str] = []

    def start(status: str, *_: object) -> t.Any:
        statuses.append(status)

    began = time.process_time()
    for _ in range(times):
        body = app({**environ}, start)
        for _chunk in body:
            pass
        body.close()  # type: ignore[attr-defined]
    took = time.process_time() - began
    assert statuses == ["200 OK"] * times
    return took / times


class Switch:
    """Takes a monitor out of an app and out of the process, and puts it back.

    ``Session.__init__`` stays replaced, and notifies nobody. With each change of
    the class Python would forget what it has learned of it, and be slower.
    """

    METHODS = ("wsgi_app", "process_response")

    def __init__(self, app: flask.Flask) -> None:
        from session_scoping import Monitor

        self.app = app
        self.plain = self._methods()
        self.monitor = Monitor(app)
        self.watched = self._methods()
        self.on = True

    def _methods(self) -> dict[str, t.Any]:
        return {name: getattr(self.app, name) for name in self.METHODS}

    def set(self, on: bool) -> None:
        if on == self.on:
            return
        from session_scoping.monitor import extension
        from session_scoping.monitor import sessions
        from session_scoping.watch import hooks

        self.on = on
        for name, method in (self.watched if on else self.plain).items():
            setattr(self.app, name, method)
        for listener in extension.LISTENERS:
            (event.listen if on else event.remove)(*listener)
        if on:
            hooks.births.append(sessions.on_birth)
        else:
            hooks.births.remove(sessions.on_birth)


def serve(url: str, monitored: bool, answers: Connection) -> None:
    """Make many small requests. Send the memory, and at the end what was found."""
    app = make_app(url)
    switch = Switch(app) if monitored else None
    served = 0
    for milestone in MILESTONES:
        while served < milestone:
            get(app, SMALL, 100)
            served += 100
        answers.send(resident())
    answers.send(switch.monitor.findings if switch else [])


def resident() -> int:
    """Return the memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure_cost(url: str) -> None:
    app = make_app(url)
    switch = Switch(app)
    for name, path in WORK.items():
        once = min(get(app, path, 1) for _ in range(3))
        times = max(1, round(TURN / once))
        taken: dict[bool, list[float]] = {False: [], True: []}
        for number in range(max(30, round(SECONDS / 2 / (times + 1) / once))):
            for monitored in (False, True) if number % 2 else (True, False):
                switch.set(monitored)
                get(app, path, 1)  # the first after a switch
                gc.collect()  # or a turn meets the garbage of the one before
                taken[monitored].append(get(app, path, times))
        alone, watched = (statistics.median(taken[on]) for on in (False, True))
        print(
            f"{name}: {alone * 1e3:.3f} ms, {(watched - alone) * 1e6:+.0f} µs with the "
            f"monitor: {watched / alone:.3f} ×",
            flush=True,
        )
    switch.set(True)
    print(f"findings: {len(switch.monitor.findings)}")


def measure_memory(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    memory: dict[bool, list[int]] = {}
    found: list[object] = []
    for monitored in (False, True):
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(url, monitored, theirs))
        process.start()
        memory[monitored] = [ours.recv() for _ in MILESTONES]
        found = ours.recv()
        process.join()
    for number, milestone in enumerate(MILESTONES):
        alone, watched = (memory[on][number] / 2**20 for on in (False, True))
        print(
            f"{milestone:,} requests: {watched:.1f} MiB, "
            f"{watched - alone:.1f} more than without the monitor"
        )
    print(f"findings: {len(found)}")


def main() -> None:
    logging.getLogger("session_scoping").addHandler(logging.StreamHandler())
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'library.db'}"
        library.ROWS = ROWS
        library.prepare(url)
        measure_cost(url)
        measure_memory(url)
