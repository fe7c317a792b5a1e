"""What the monitor reports of the example apps: the broken once, the fixed never."""

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.apps import APPS
from tests.apps import Example
from tests.test_apps import unsupported

# What no event of SQLAlchemy shows: rows that are kept, a handle that is replaced, two
# sessions that are closed in time. The guard finds these when it drives the app.
OTHERWISE = {
    "by_hand_on_change",
    "cached_rows",
    "closed_in_count_query",
    "context_in_request",
    "context_removes",
    "default_row",
    "inline_forms",
    "lazy_export",
    "lite_unique",
    "login",
    "removed_in_formatter",
    "replaced_handle",
    "row_cache",
    "second_handle",
    # `tests.monitored` makes the app and the requests in one call: it is still at work.
    # As a script that serves, it is reported: see below.
    "seeded_at_start",
    # No request of `tests.monitored` changes a row and gives it up.
    "teardown_commits",
}
# The line removes the session in other requests than that which is reported.
LINE_UNSEEN = {"removed_by_a_page", "teardown_skipped"}
# The pool may be empty, too: there is a connection for each call, or what is left open
# is garbage that Python has not collected yet.
SEVERAL = {"by_hand_formatter", "scope_per_call"}


def served(names: t.Iterable[str]) -> dict[str, list[dict[str, t.Any]]]:
    """Return what the monitor has found in each app."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.monitored", *names],
        env={**os.environ, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    found = (json.loads(line) for line in done.stdout.splitlines())
    return {each["name"]: each["found"] for each in found}


def mistake(example: Example, found: list[dict[str, t.Any]]) -> str:
    """Return what is wrong with a report, or nothing."""
    pair = example.name.partition(":")[0]
    if example.holds or example.writes or pair in OTHERWISE:
        return f"accused: {found}" if found else ""
    if not found:
        return "not reported"
    if len(found) > 1 and pair not in SEVERAL:
        return f"reported {len(found)} times: {found}"
    line = f"{example.file.name}:{example.line} in "
    named = [place for each in found for place in each["places"].values()]
    if example.line and not any(line in place for place in named):
        return "" if pair in LINE_UNSEEN else f"not {line}, but {named}"
    return ""


def test_a_broken_app_is_reported_once_and_a_fixed_app_never() -> None:
    """One run for all of them: each app has a process of its own."""
    examples = [example for example in APPS if not unsupported(example)]
    found = served(example.name for example in examples)
    mistakes = {
        example.name: wrong
        for example in examples
        if (wrong := mistake(example, found[example.name]))
    }
    assert not mistakes


@pytest.mark.parametrize("leaks", [True, False])
def test_the_example_names_its_leak(leaks: bool) -> None:
    """The shop in the documents is served as they say, without a socket to it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHOP],
        env={**os.environ, "PYTHONPATH": ".", "LEAK": "1" if leaks else ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("examples/monitor/shop.py:" in done.stdout) == leaks
    assert ("in report" in done.stdout) == leaks


SHOP = """
from examples.monitor.shop import create_app, monitor
app = create_app()
client = app.test_client()
for path in ("/", "/admin/product/", "/report", "/admin/session_scoping/"):
    with client.get(path) as response:
        assert response.status_code == 200
for source in monitor.findings:
    print(source.finding)
"""


@pytest.mark.parametrize("name", ["seeded_at_start_broken", "seeded_at_start_fixed"])
@pytest.mark.parametrize(
    "serve",
    ["werkzeug", "fork", pytest.param("waitress", marks=pytest.mark.server)],
)
def test_what_a_script_has_left_open_is_reported_while_it_serves(
    serve: str, name: str, tmp_path: Path
) -> None:
    """The script waits for its server: it is not at work on what it has opened."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.monitored_script", serve, name],
        env={
            **os.environ,
            "PYTHONPATH": ".",
            "DATABASE_URL": f"sqlite:///{tmp_path}/app.db",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    lines = json.loads(done.stdout)
    assert [line.endswith("in seed_and_keep") for line in lines] == (
        [True] if name.endswith("broken") else []
    )
