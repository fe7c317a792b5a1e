"""The time that recording adds to a request; the memory of 100,000 recorded requests.

The same run with and without a recorder, by turns, in one process; the figures are
those of the medians.
"""

import gc
import statistics
import time
import typing as t
from contextlib import nullcontext
from pathlib import Path
from resource import getrusage
from resource import RUSAGE_SELF
from tempfile import TemporaryDirectory

import flask
import sqlalchemy as sa

from session_scoping.bookshop.models import Book
from session_scoping.bookshop.shop import Bookshop
from session_scoping.watch.recorder import Recorder
from tests.apps.raw_session import fixed

ROWS = 10_000
MANY = 100_000
ROUNDS = 15
# What is asked for, and how often in a round.
WORK: dict[str, tuple[str, int]] = {
    "list": ("/admin/bookview/", 40),
    "edit form": ("/admin/bookview/edit/?id=1", 40),
    "export": ("/admin/bookview/export/csv/", 1),
}


def make_library(folder: str) -> flask.Flask:
    shop = Bookshop("db", Path(folder))
    rows = [{"title": f"book {number}", "author_id": 1} for number in range(ROWS)]
    with sa.create_engine(f"sqlite:///{shop.file}").begin() as connection:
        connection.execute(sa.insert(Book), rows)
    return shop.app


def seconds(client: t.Any, path: str, times: int) -> float:
    """Return the processor time of a run, without the garbage of earlier runs."""
    gc.collect()
    began = time.process_time()
    for _ in range(times):
        response = client.get(path)
        assert response.status_code == 200
        assert response.data
    return time.process_time() - began


def time_of_requests(app: flask.Flask) -> None:
    client = app.test_client()
    for name, (path, times) in WORK.items():
        seconds(client, path, times)
        plain: list[float] = []
        recorded: list[float] = []
        for number in range(ROUNDS):
            for watched in (False, True) if number % 2 else (True, False):
                with Recorder() if watched else nullcontext():
                    taken = seconds(client, path, times)
                (recorded if watched else plain).append(taken)
        alone, watched_ = statistics.median(plain), statistics.median(recorded)
        each = alone / times * 1e3
        print(f"{name}: {each:.2f} ms, recorded {watched_ / alone:.3f} ×")


def memory_of_many(app: flask.Flask) -> None:
    """Print by how much the process grows while requests are recorded."""
    client = app.test_client()
    paths = ("/admin/product/", "/admin/product/?page=1", "/admin/product/edit/?id=1")

    def run(requests: int) -> None:
        for number in range(requests):
            client.get(paths[number % 3]).close()

    run(2_000)  # what the app itself grows by
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with Recorder() as recorder:
        run(MANY)
        used = getrusage(RUSAGE_SELF).ru_maxrss - before
    seen = len(recorder.recording.requests)
    print(
        f"{seen} requests: {used / 1024:.0f} MiB, {used * 1024 / seen:.0f} bytes each"
    )


def main() -> None:
    with TemporaryDirectory() as folder:
        time_of_requests(make_library(folder))
    memory_of_many(fixed())
