"""What recording costs: the time of a request and the memory of many.

The same run with and without a recorder, by turns, in one process each; the figures
are those of the medians.
"""

import gc
import statistics
import sys
import time
import tracemalloc
import typing as t

import flask

from session_scoping.recorder import Recorder
from tests.apps.raw_session import healthy

ROUNDS = 15
REQUESTS = 200
MANY = 100_000


def run(client: t.Any, requests: int) -> float:
    """The processor time of reading a list, a page and a form by turns."""
    paths = ("/admin/product/", "/admin/product/?page=1", "/admin/product/edit/?id=1")
    began = time.process_time()
    for number in range(requests):
        client.get(paths[number % 3]).close()
    return time.process_time() - began


def time_of_a_request(app: flask.Flask) -> None:
    client = app.test_client()
    run(client, 100)
    plain, recorded = [], []
    for _ in range(ROUNDS):
        plain.append(run(client, REQUESTS))
        with Recorder():
            recorded.append(run(client, REQUESTS))
    ratios = [one / other for one, other in zip(recorded, plain, strict=True)]
    print(f"a request: {statistics.median(plain) / REQUESTS * 1e3:.2f} ms")
    print(f"recording adds: {(statistics.median(ratios) - 1) * 100:.1f} %")


def memory_of_many(app: flask.Flask, requests: int) -> None:
    client = app.test_client()
    run(client, 100)
    with Recorder() as recorder:
        gc.collect()
        tracemalloc.start()
        run(client, requests)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    seen = len(recorder.recording.requests)
    print(f"{seen} requests: {used / 2**20:.1f} MiB, {used / seen:.0f} bytes each")


if __name__ == "__main__":
    app = healthy()
    time_of_a_request(app)
    memory_of_many(app, int(sys.argv[1]) if len(sys.argv) > 1 else MANY)
