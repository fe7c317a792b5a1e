"""What all tests share: markers from fixtures, compiled templates, less garbage."""

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

# The marker of a test that uses a fixture.
MARKERS = {"started": "server", "chromium": "browser", "index": "releases"}

# To compile Flask-Admin's templates takes an app 0.4 s. All apps here share them.
flask.Flask.jinja_options = {"bytecode_cache": FileSystemBytecodeCache()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in MARKERS:
                item.add_marker(MARKERS[fixture])


def pytest_runtest_setup() -> None:
    gc.freeze()  # A recorder collects garbage: it skips what was there before the test.


def insist(missing: str) -> t.NoReturn:
    """Skip what cannot be tried here. In CI it has to be possible: fail there."""
    if os.environ.get("SESSION_SCOPING_CI"):
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a browser."""
    found = shutil.which("chromium")
    return found or insist("chromium is not installed: nothing to open the report with")


@pytest.fixture(scope="session")
def index() -> None:
    """A package index can be reached."""
    try:
        releases("flask-admin")
    except CannotTell as error:
        insist(str(error))


@pytest.fixture
def sdist(index: None, tmp_path: Path) -> Sdist:
    """Unpack the source distribution of a Flask-Admin: it holds tests and settings."""

    return partial(unpack, folder=tmp_path)
