"""What recording costs: the time of a request and the memory of many.

The same run with and without a recorder, by turns, in one process each; the figures
are those of the medians.
"""

import gc
import statistics
import sys
import time
import typing as t
from contextlib import nullcontext
from resource import getrusage
from resource import RUSAGE_SELF

import flask

from session_scoping.recorder import Recorder
from tests.apps.raw_session import healthy

ROUNDS = 20
REQUESTS = 200
MANY = 100_000


def run(client: t.Any, requests: int) -> float:
    """The processor time of reading a list, a page and a form by turns."""
    paths = ("/admin/product/", "/admin/product/?page=1", "/admin/product/edit/?id=1")
    began = time.process_time()
    for number in range(requests):
        client.get(paths[number % 3]).close()
    return time.process_time() - began


def measured(client: t.Any, watched: bool) -> float:
    """One run. What an earlier one has left to collect is not its cost."""
    gc.collect()
    with Recorder() if watched else nullcontext():
        return run(client, REQUESTS)


def time_of_a_request(app: flask.Flask) -> None:
    client = app.test_client()
    run(client, REQUESTS)
    plain: list[float] = []
    recorded: list[float] = []
    for number in range(ROUNDS):
        for watched in (False, True) if number % 2 else (True, False):
            (recorded if watched else plain).append(measured(client, watched))
    both = statistics.median(recorded), statistics.median(plain)
    print(f"a request: {both[1] / REQUESTS * 1e3:.2f} ms")
    print(f"recording adds: {(both[0] / both[1] - 1) * 100:.1f} %")


def memory_of_many(app: flask.Flask, requests: int) -> None:
    """By how much the process grows over one that has made as many unwatched."""
    client = app.test_client()
    run(client, requests)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    with Recorder() as recorder:
        run(client, requests)
        used = getrusage(RUSAGE_SELF).ru_maxrss - before
    seen = len(recorder.recording.requests)
    print(
        f"{seen} requests: {used / 1024:.0f} MiB, {used * 1024 / seen:.0f} bytes each"
    )


if __name__ == "__main__":
    app = healthy()
    time_of_a_request(app)
    memory_of_many(app, int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
