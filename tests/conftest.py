"""Fixtures and markers that all tests share; templates are compiled once."""

import gc
import os
import shutil
import typing as t
from functools import partial
from pathlib import Path

import flask
import pytest
from jinja2 import FileSystemBytecodeCache

from session_scoping.compare.environments import releases
from session_scoping.errors import CannotTell
from tools.sdist import unpack

Sdist = t.Callable[[str], Path]

# A test that uses a fixture gets a marker.
MARKERS = {"started": "server", "chromium": "browser", "index": "releases"}

# An app takes 0.4 s to compile Flask-Admin's templates. All apps share the result.
flask.Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKERS:
                item.add_marker(MARKERS[fixture])


@pytest.fixture(autouse=True)
def no_annotations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print the same on GitHub as elsewhere."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)


def pytest_runtest_setup() -> None:
    gc.freeze()  # a recorder collects garbage: objects of other tests are skipped


def skip_or_fail(missing: str) -> t.NoReturn:
    """Skip a test that cannot run here.  In CI it fails."""
    if os.environ.get("SESSION_SCOPING_CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of a browser."""
    found = shutil.which("chromium")
    return found or skip_or_fail(
        "chromium is not installed: nothing to open the report with"
    )


@pytest.fixture(scope="session")
def index() -> None:
    """Skip a test when no package index can be reached."""
    try:
        releases("flask-admin")
    except CannotTell as error:
        skip_or_fail(str(error))


@pytest.fixture
def sdist(index: None, tmp_path: Path) -> Sdist:
    """Return a function that unpacks the source distribution of a Flask-Admin."""
    return partial(unpack, folder=tmp_path)
