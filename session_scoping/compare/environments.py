"""Environments of exact releases, and programs that run in them.

A single call of ``uv`` resolves, installs and runs. It uses the package index that the
user has configured, and caches what it installs. ``uv`` also runs ``pip``, which lists
the releases of a package.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

from session_scoping.compare.survey import Survey
from session_scoping.errors import CannotTell
from session_scoping.recording import Recording

HERE = Path(__file__).parents[1]  # of this package
NEEDS = ("blinker", "packaging", "rich")  # of this package, beside Flask-Admin
EXTENSIONS = ("flask-sqlalchemy", "flask-sqlalchemy-lite")  # that the handles need
BOOKSHOP = (*NEEDS, *EXTENSIONS, "flask-admin", "flask[async]", "tablib")

# What is not copied with a checkout.
NOT_COPIED = (".venv", "venv", ".tox", "__pycache__", ".*cache")

# Flask-Admin 1 works only with these releases. Its metadata allow newer ones.
FIRST_NEW = Version("2")
NOT_BESIDE_OLD = ("flask-sqlalchemy-lite",)
OLD_STACK = (
    "sqlalchemy<2",
    "flask<2.3",
    "werkzeug<2.3",
    "wtforms<3.1",
    "setuptools<80",
)

RUNNING: set["subprocess.Popen[str]"] = set()


@cache
def uv_path() -> str:
    """Return the path of ``uv``. Raises ``CannotTell`` if it is not installed."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise CannotTell("uv is not installed: pip install uv") from error


def uv(
    *arguments: str, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run ``uv`` in a folder, with these environment variables added."""
    environment = {k: v for k, v in os.environ.items() if not is_foreign(k)}
    environment |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(
        [uv_path(), *arguments],
        cwd=folder,
        env={**environment, **variables},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        RUNNING.add(process)
        out, error = process.communicate()
        RUNNING.discard(process)
    return subprocess.CompletedProcess(arguments, process.returncode, out, error)


def stop() -> None:
    """End all running processes: their results are not needed any more."""
    for process in [*RUNNING]:
        process.terminate()


def run_with(
    requirements: t.Iterable[str],
    *command: str,
    folder: Path,
    pre: bool = False,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that has these requirements and nothing else."""
    run = _run("--isolated", *_with(requirements, pre))
    return uv(*run, *command, folder=folder, **variables)


def _run(*options: str) -> list[str]:
    return ["run", "--quiet", "--no-project", "--python", sys.executable, *options]


def _with(requirements: t.Iterable[str], pre: bool) -> t.Iterator[str]:
    for requirement in requirements:
        yield from ("--with", requirement)
    yield from ("--prerelease", "allow" if pre else "if-necessary-or-explicit")


def is_foreign(variable: str) -> bool:
    """Is a variable only for this environment, or for this run of pytest?"""
    return variable.startswith("PYTEST_") or variable in {"VIRTUAL_ENV", "PYTHONHOME"}


def in_a_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error of a command: the end of a traceback, or all of it."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in lines):
        return lines[-1]
    message = " ".join(" ".join(lines).split()).removeprefix("error: ")
    return message or f"it ended with status {done.returncode} and said nothing"


def survey(
    side: str,
    without: t.Container[str] = (),
    pre: bool = False,
    beside: t.Sequence[str] = (),
) -> Survey:
    """Drive the bookshop in a new environment, and return the survey.

    ``side`` is a requirement. Every other package is the newest release that works with
    it. ``without`` names the extensions to leave out. ``beside`` holds further
    requirements. Raises ``CannotTell`` if the environment cannot be made, or if the
    bookshop does not run.
    """
    old = name_of(side) == "flask-admin" and only_before(side, FIRST_NEW)
    left_out = NOT_BESIDE_OLD if old else ()
    stack = [
        package
        for package in BOOKSHOP
        if package not in left_out and package not in without
    ]
    stack += [*beside, *(OLD_STACK if old else ())]
    command = ("python", "-m", "session_scoping.compare.survey", "survey.json")
    with fresh_copy(side) as it, package_alone() as path, temporary_folder() as folder:
        wanted = [it, *stack]
        done = run_with(wanted, *command, folder=folder, pre=pre, PYTHONPATH=path)
        file = folder / "survey.json"
        if not file.exists():
            raise CannotTell(f"{side}: {in_a_line(done)}")
        return Survey.from_json(json.loads(file.read_text(encoding="utf-8")))


def drive(side: str, app: str, client: str, pre: bool = False) -> Recording:
    """Drive the user's app, and return the recording.

    The environment is that of this process, with the release that ``side`` names and
    its requirements. ``app`` and ``client`` are as on the command line. Raises
    ``CannotTell`` with the message of the command, if it makes no recording.
    """
    with fresh_copy(side) as it, temporary_folder() as folder:
        file = folder / "seen.json"
        command = ["python", "-m", "session_scoping", "--app", app, "--json", str(file)]
        if client:
            command += ["--client", client]
        done = uv(*_run(*_with([it], pre)), *command)
        if not file.exists():
            message = in_a_line(done).removeprefix("session-scoping: ")
            raise CannotTell(f"{app} with {side}: {message}")
        return Recording.load(file)


def releases(package: str, pre: bool = False) -> list[Version]:
    """Return all releases of a package, oldest first.

    Raises ``CannotTell`` if the index cannot list them.
    """
    question = ("index", "versions", package, "--json", *(["--pre"] if pre else []))
    pip = ("tool", "run", "--quiet", "--python", sys.executable, "pip", "--no-input")
    done = uv(*pip, *question)
    if done.returncode:
        done.stderr = re.sub("(?m)^WARNING: .*$", "", done.stderr)
        raise CannotTell(in_a_line(done))
    return sorted(map(Version, json.loads(done.stdout)["versions"]))


@contextmanager
def package_alone() -> t.Iterator[str]:
    """Yield a folder with a copy of this package, and nothing else."""
    with temporary_folder() as folder:
        left_out = shutil.ignore_patterns("__pycache__", "drop_in")
        shutil.copytree(HERE, folder / HERE.name, ignore=left_out)
        yield str(folder)


@contextmanager
def fresh_copy(side: str) -> t.Iterator[str]:
    """Yield a requirement for a side. A checkout is copied: ``uv`` caches builds."""
    name, _, address = side.partition(" @ ")
    if not address.startswith("file:"):
        yield side
        return
    with temporary_folder() as folder:
        left_out = shutil.ignore_patterns(*NOT_COPIED)
        checkout = Path(url2pathname(urlsplit(address).path))
        copy = folder / checkout.name
        shutil.copytree(checkout, copy, ignore=left_out, symlinks=True)
        yield f"{name} @ {copy.as_uri()}"


@contextmanager
def temporary_folder() -> t.Iterator[Path]:
    """Yield a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def name_of(requirement: str) -> str:
    """Return the package of a requirement, or an empty string for a path or address."""
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return ""


def only_before(requirement: str, version: Version) -> bool:
    """Does a requirement allow only releases that are older than a version?"""
    return any(_bound(clause, version) for clause in Requirement(requirement).specifier)


def _bound(clause: Specifier, version: Version) -> bool:
    if clause.operator == "<":
        return Version(clause.version) <= version
    exact = clause.operator in {"==", "<=", "~="}
    return exact and Version(clause.version.removesuffix(".*")) < version
