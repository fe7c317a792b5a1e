"""What tests that need the package index, or a program of the machine, share."""

import os
import shutil
import typing as t
from functools import partial
from pathlib import Path

import pytest

from session_scoping.compare.environments import releases
from session_scoping.errors import CannotTell
from tools.sdist import unpack

Sdist = t.Callable[[str], Path]


def insist(missing: str) -> t.NoReturn:
    """Skip what cannot be tried here; where CI runs, it has to be possible."""
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
