"""The drop-in in a Flask-Admin checkout, under that project's own settings.

All of it happens in a copy: the checkout stays as it is, whatever happens.
"""

import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

from packaging.utils import canonicalize_name

from session_scoping import guard
from session_scoping.environments import export
from session_scoping.environments import make
from session_scoping.environments import Pins
from session_scoping.environments import resolve_project
from session_scoping.errors import CannotTell

HOME = Path("flask_admin/tests/sqla")
TOOLS = ("mypy", "pytest", "ruff")
LEFT = shutil.ignore_patterns(".git", ".venv", "venv", ".tox", "__pycache__", ".*cache")


class Tried(t.NamedTuple):
    """What a tool said of the drop-in."""

    tool: str
    passed: bool
    said: str  # all of it
    last: str  # in a line


def check(
    path: str, overwrite: bool, progress: t.Callable[[str], object]
) -> list[Tried]:
    """Try the drop-in at its place in a checkout: pytest, ruff and mypy.

    ``overwrite``: take the place, in the copy, of a module that is there already.
    Raises ``CannotTell`` when it is no checkout, or its environment cannot be made.
    """
    checkout = Path(path).expanduser().resolve()
    refuse(checkout, overwrite)
    progress("resolving")
    pins = pins_of(checkout)
    progress("installing")
    python = make(pins, fresh="")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / checkout.name
        shutil.copytree(checkout, copy, ignore=LEFT, symlinks=True)
        shutil.copy(guard.path(), copy / HOME / guard.NAME)
        return list(_try(python, copy, progress))


def refuse(checkout: Path, overwrite: bool) -> None:
    """Say why this is no place for the drop-in, if it is none."""
    if project_name(checkout) != "flask-admin" or not (checkout / HOME).is_dir():
        raise CannotTell(
            f"{checkout} is no Flask-Admin checkout: name a folder with its "
            f"pyproject.toml and {HOME}"
        )
    there = checkout / HOME / guard.NAME
    if there.exists() and not overwrite:
        same = there.read_bytes() == guard.path().read_bytes()
        which = "the same" if same else "another one"
        raise CannotTell(
            f"{HOME / guard.NAME} is there already, and is {which}: --overwrite tries "
            "this one in its place (in a copy: the checkout stays as it is)"
        )


def project_name(checkout: Path) -> str:
    """The name in a pyproject.toml; Python 3.10 has no reader of such files."""
    try:
        settings = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return ""
    project = settings.partition("[project]")[2].partition("\n[")[0]
    found = re.search(r"""^name\s*=\s*["']([^"']+)""", project, re.MULTILINE)
    return canonicalize_name(found[1]) if found else ""


def pins_of(checkout: Path) -> Pins:
    """What the checkout pins for itself, or else what its pyproject.toml asks for."""
    if (checkout / "uv.lock").exists():
        return export(checkout, TOOLS)
    return resolve_project(checkout, TOOLS)


def _try(
    python: Path, checkout: Path, progress: t.Callable[[str], object]
) -> t.Iterator[Tried]:
    file = str(HOME / guard.NAME)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    for name in ("PYTEST_ADDOPTS", "PYTHONPATH", "VIRTUAL_ENV"):
        environment.pop(name, None)
    for tool, *command in (
        ("pytest", "pytest", "-q", "-p", "no:cacheprovider", file),
        ("ruff check", "ruff", "check", "--no-fix", "--no-cache", file),
        ("ruff format", "ruff", "format", "--check", "--no-cache", file),
        ("mypy", "mypy", "--no-pretty", "--no-error-summary", file),
    ):
        progress(tool)
        done = subprocess.run(
            [python, "-m", *command],
            cwd=checkout,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, passed = done.stdout.strip(), done.returncode == 0
        if tool == "mypy":  # of the checkout's other files it may say what it likes
            lines = [line for line in said.splitlines() if line.startswith(file)]
            said, passed = "\n".join(lines), not lines and done.returncode in (0, 1)
        last = (said or "nothing to say").splitlines()[-1].strip("= ")
        yield Tried(tool, passed, said, last)
