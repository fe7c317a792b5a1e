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
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import requires
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name
from packaging.version import Version

from session_scoping.compare.progress import Progress
from session_scoping.compare.progress import received
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

# What uv says before it gives the reason, and what we say.
NOT_RESOLVED = re.compile("No solution found when resolving [^:]*(?: cause)?: ")
DOES_NOT_INSTALL = "does not install"
NO_VERSION = "there is no version of"  # uv's words
INSTALLED = 0.1  # the part of the time that is over when an environment is made
Heard = t.Callable[[str], object]  # takes a line of output
RUNNING: set["subprocess.Popen[str]"] = set()


def unheard(line: str) -> None:
    """Take a line of output that nobody waits for."""


def quietly(doing: str, part: float | None) -> None:
    """Take progress that nobody sees."""


@cache
def uv_path() -> str:
    """Return the path of ``uv``. Raises ``CannotTell`` if it is not installed."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise CannotTell("uv is not installed: pip install uv") from error


def uv(
    *arguments: str,
    folder: Path | None = None,
    heard: Heard = unheard,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run ``uv`` in a folder, with these environment variables added.

    ``heard`` is called with each line of its output when it is printed.
    """
    environment = {k: v for k, v in os.environ.items() if not is_foreign(k)}
    environment |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1", "PYTHONWARNINGS": "ignore"}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(
            [uv_path(), *arguments],
            cwd=folder,
            env={**environment, **variables},
            encoding="utf-8",
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=said,
        ) as process,
    ):
        RUNNING.add(process)
        out = []
        for line in process.stdout or ():
            out.append(line)
            heard(line)
        process.wait()
        RUNNING.discard(process)
        said.seek(0)
        error = said.read()
    return subprocess.CompletedProcess(
        arguments, process.returncode, "".join(out), error
    )


def stop() -> None:
    """End all running processes: their results are not needed any more."""
    for process in [*RUNNING]:
        process.terminate()


def run_with(
    requirements: t.Iterable[str],
    *command: str,
    folder: Path,
    pre: bool = False,
    heard: Heard = unheard,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment that has these requirements and nothing else."""
    run = _run("--isolated", *_with(requirements, pre))
    return uv(*run, *command, folder=folder, heard=heard, **variables)


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
    message = NOT_RESOLVED.sub(f"{DOES_NOT_INSTALL}: ", message)
    return message or f"it ended with status {done.returncode} and said nothing"


def bookshop_needs() -> set[str]:
    """Return the packages that the bookshop needs, and all that those need.

    It asks the packages that are installed here: other releases need nearly the same.
    """
    found: set[str] = set()
    wanted = [Requirement(package) for package in (*BOOKSHOP, *OLD_STACK)]
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if name in found and extras == {""}:
            continue
        found.add(name)
        with suppress(PackageNotFoundError):
            wanted += [
                need
                for need in map(Requirement, requires(name) or ())
                if not need.marker
                or any(need.marker.evaluate({"extra": extra}) for extra in extras)
            ]
    return found


def survey(
    side: str,
    without: t.Container[str] = (),
    pre: bool = False,
    beside: t.Sequence[str] = (),
    progress: Progress = quietly,
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
        heard = listener(progress, "the bookshop")
        done = run_with(
            wanted, *command, folder=folder, pre=pre, heard=heard, PYTHONPATH=path
        )
        file = folder / "survey.json"
        if not file.exists():
            raise CannotTell(f"{side}: {in_a_line(done)}")
        return Survey.from_json(json.loads(file.read_text(encoding="utf-8")))


def listener(progress: Progress, name: str) -> Heard:
    """Return what hears how far a new environment is, in which ``name`` is driven."""
    progress("installing", None)

    def heard(line: str) -> None:
        part = received(line)
        if part is not None:
            progress(f"driving {name}", INSTALLED + part * (1 - INSTALLED))

    return heard


def drive(
    side: str,
    app: str,
    client: str | None,
    skip: t.Iterable[str] = (),
    pre: bool = False,
    progress: Progress = quietly,
) -> Recording:
    """Drive the user's app, and return the recording.

    The environment is that of this process, with the release that ``side`` names and
    its requirements. ``app``, ``client`` and ``skip`` are as on the command line.
    Raises ``CannotTell`` with the message of the command, if it makes no recording.
    """
    with fresh_copy(side) as it, temporary_folder() as folder:
        file = folder / "seen.json"
        command = ["python", "-m", "session_scoping", "--app", app, "--json", str(file)]
        if client is not None:
            command += ["--client", client]
        for pattern in skip:
            command += ["--skip", pattern]
        heard = listener(progress, app)
        done = uv(
            *_run(*_with([it], pre)),
            *command,
            heard=heard,
            SESSION_SCOPING_PROGRESS="1",
        )
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
        left_out = shutil.ignore_patterns("__pycache__", "docs", "drop_in")
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
