"""Runs the drop-in in a Flask-Admin checkout, under that project's own settings.

It works in a copy: the checkout is never changed.
"""

import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from packaging.utils import canonicalize_name

from session_scoping.compare.environments import in_a_line
from session_scoping.compare.environments import NOT_COPIED
from session_scoping.compare.environments import temporary_folder
from session_scoping.compare.environments import uv
from session_scoping.compare.progress import Progress
from session_scoping.errors import CannotTell

HERE = Path(__file__).parents[1]  # of this package
HOME = Path("flask_admin/tests/sqla")
NAME = "test_session_scoping.py"
FILE = str(HOME / NAME)
# The dependency groups of the checkout for its tests and checks.
GROUPS = ("--all-extras", "--no-default-groups", "--group=tests", "--group=typing")
TOOLS = ("mypy", "pytest", "ruff")

Done = subprocess.CompletedProcess[str]


class Tried(t.NamedTuple):
    """The result of a tool on the drop-in."""

    tool: str
    passed: bool
    said: str  # the whole output
    last: str  # the last line of the output


def check(path: str, overwrite: bool, progress: Progress) -> list[Tried]:
    """Run pytest, ruff and mypy on the drop-in, in a copy of a checkout.

    ``path`` is the checkout. ``overwrite`` replaces a module of that name in the copy.
    Raises ``CannotTell`` if ``path`` is
    no checkout, or if its environment cannot be made.
    """
    checkout = Path(path).expanduser().resolve()
    refuse(checkout, overwrite)
    with temporary_folder() as folder:
        copy = folder / checkout.name
        left_out = shutil.ignore_patterns(".git", *NOT_COPIED)
        shutil.copytree(checkout, copy, ignore=left_out, symlinks=True)
        shutil.copy(drop_in(), copy / FILE)
        return list(_try(copy, progress))


def drop_in() -> Path:
    """Return the path of the drop-in, in a package or in a clone of this repository."""
    packaged = HERE / "drop_in" / NAME
    return packaged if packaged.exists() else HERE.parent / FILE


def refuse(checkout: Path, overwrite: bool) -> None:
    """Raise ``CannotTell`` if the drop-in cannot be put into this folder."""
    if project_name(checkout) != "flask-admin" or not (checkout / HOME).is_dir():
        raise CannotTell(
            f"{checkout} is no Flask-Admin checkout: name a folder with its "
            f"pyproject.toml and {HOME}"
        )
    there = checkout / FILE
    if there.exists() and not overwrite:
        same = there.read_bytes() == drop_in().read_bytes()
        which = "the same module" if same else "another module"
        raise CannotTell(
            f"{FILE} is there already, with {which}: --overwrite replaces it "
            "in a copy, and leaves the checkout as it is"
        )


def project_name(checkout: Path) -> str:
    """Return the name in a pyproject.toml. Python 3.10 has no parser for it."""
    try:
        settings = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return ""
    project = settings.partition("[project]")[2].partition("\n[")[0]
    found = re.search(r"""^name\s*=\s*["']([^"']+)""", project, re.MULTILINE)
    return canonicalize_name(found[1]) if found else ""


def run_in(checkout: Path, *command: str, tools: t.Sequence[str] = ()) -> Done:
    """Run a command in a checkout's environment, with more tools.

    The environment is made if it does not exist.
    """
    given = [f"--with={tool}" for tool in tools]
    if (checkout / "uv.lock").exists():
        given.append("--frozen")  # with the pinned releases
    project = ("--project", str(checkout), "--python", sys.executable, *GROUPS)
    return uv(
        "run",
        "--quiet",
        *project,
        *given,
        *command,
        folder=checkout,
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH="",
    )


def _try(copy: Path, progress: Progress) -> t.Iterator[Tried]:
    progress("installing", None)
    made = run_in(copy, "python", "-c", "", tools=TOOLS)
    if made.returncode:
        raise CannotTell(f"no environment for {copy.name}: {in_a_line(made)}")
    commands = (
        ("pytest", "pytest", "-q", "-p", "no:cacheprovider", FILE),
        ("ruff check", "ruff", "check", "--no-fix", "--no-cache", FILE),
        ("ruff format", "ruff", "format", "--check", "--no-cache", FILE),
        ("mypy", "mypy", "--no-pretty", "--no-error-summary", FILE),
    )
    for number, (tool, *command) in enumerate(commands, 1):
        progress(tool, number / (len(commands) + 1))
        done = run_in(copy, "python", "-m", *command, tools=TOOLS)
        output, passed = (done.stdout + done.stderr).strip(), done.returncode == 0
        if tool == "mypy":  # errors in the checkout's other files do not count
            lines = [line for line in output.splitlines() if line.startswith(FILE)]
            output, passed = "\n".join(lines), not lines and done.returncode in (0, 1)
        last = (output or "nothing to say").splitlines()[-1].strip("= ")
        yield Tried(tool, passed, output, last)
