"""Isolated environments, each made of exact releases and kept for the next time.

Everything that is installed or looked up goes through ``uv``, and so through whatever
index a user has configured for it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from session_scoping import guard
from session_scoping.errors import CannotTell

# What the guard needs, and the extensions whose handles it tries.
GUARD = (
    "pytest",
    "tablib",
    "flask[async]",
    "flask-sqlalchemy",
    "flask-sqlalchemy-lite",
)
# What the guard for one's own app needs beside the app.
APP_GUARD = ("blinker", "packaging", "rich")


class Support(t.NamedTuple):
    """What a release works with, where its own metadata promise more."""

    package: str
    releases: SpecifierSet
    constraints: tuple[str, ...]
    without: tuple[str, ...] = ()  # extensions that it cannot be installed with


SUPPORT = (
    Support(
        "flask-admin",
        SpecifierSet("<2"),
        ("sqlalchemy<2", "flask<2.3", "werkzeug<2.3", "wtforms<3.1", "setuptools<80"),
        ("flask-sqlalchemy-lite",),
    ),
)


@dataclass(frozen=True)
class Pins:
    """The exact contents of an environment, as ``uv pip compile`` writes them down."""

    text: str

    @property
    def versions(self) -> dict[str, str]:
        """Package: version, of those that come from an index."""
        found = re.findall(r"^([\w.-]+)==([^\s;]+)", self.text, re.MULTILINE)
        return {canonicalize_name(name): release for name, release in found}

    @property
    def folder(self) -> Path:
        contents = f"{sys.version}\n{sys.base_prefix}\n{self.text}"
        return kept_in() / hashlib.sha256(contents.encode()).hexdigest()[:20]


def kept_in() -> Path:
    """Where environments are kept."""
    from platformdirs import user_cache_path

    return user_cache_path("session-scoping", appauthor=False)


@cache
def uv_path() -> str:
    """Where ``uv`` is. Raises ``CannotTell`` when it is not installed."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise CannotTell(
            "uv is not installed: pip install 'flask-admin-session-scoping[upgrade]'"
        ) from error


def uv(*arguments: str, stdin: str = "", folder: Path | None = None) -> str:
    """What a ``uv`` command prints. Raises ``CannotTell`` with what it complains of."""
    environment = {**os.environ, "NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        [uv_path(), *arguments],
        input=stdin,
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
    )
    if done.returncode:
        raise CannotTell(complaint(done.stderr))
    return done.stdout


def complaint(stderr: str) -> str:
    """What ``uv`` says in several lines, with an error and its causes, in one."""
    lines = [line.strip(" \t×╰─▶│") for line in stderr.splitlines()]
    said = [re.sub(r"^(error|cause|Caused by):\s*", "", line) for line in lines if line]
    if re.search("failed to connect|client error|dns error|timed out", stderr, re.I):
        return f"the package index cannot be reached: {said[-1]}"
    if "network was disabled" in stderr:
        return "the package index cannot be reached: uv is offline"
    why = [line for line in said if line.startswith(("Because", "you require"))]
    return " ".join(why or said)[:500]


def resolve(requirements: t.Sequence[str], pre: bool = False) -> Pins:
    """The newest releases that fit together, and that are known to work together.

    Raises ``CannotTell`` when nothing fits.
    """
    wanted = list(requirements)
    constraints: list[str] = []
    for _ in range(len(SUPPORT) + 1):
        pins = _compile([*wanted, *constraints], pre)
        more, without = _support(pins)
        if {*more} <= {*constraints}:
            return pins
        constraints += more
        wanted = [one for one in wanted if name_of(one) not in without]
    return pins


def resolve_near(requirements: t.Sequence[str], installed: Pins, pre: bool) -> Pins:
    """The requirements, and what is installed: of that, as little as may be changes.

    Raises ``CannotTell`` when they do not fit together.
    """
    ours = {name_of(one) for one in requirements}
    others = [
        re.sub("==.*", "", line)
        for line in installed.text.splitlines()
        if name_of(line) not in ours
    ]
    return _compile([*requirements, *others], pre, near=installed)


def resolve_project(folder: Path, tools: t.Sequence[str]) -> Pins:
    """What a project and its tests ask for in its pyproject.toml, and some tools."""
    groups = ("--extra", "all", "--group", "tests", "--group", "typing")
    command = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", *groups)
    wanted = uv(*command, "--python", sys.executable, "pyproject.toml", folder=folder)
    return _without_project(wanted, folder, tools)


def export(folder: Path, tools: t.Sequence[str]) -> Pins:
    """What a project has pinned in its uv.lock, and some tools."""
    groups = ("--all-extras", "--group", "tests", "--group", "typing")
    options = ("--quiet", "--frozen", "--no-hashes", "--no-annotate", "--no-header")
    wanted = uv("export", *options, "--no-emit-project", *groups, folder=folder)
    return _without_project(wanted, folder, tools)


def _without_project(wanted: str, folder: Path, tools: t.Sequence[str]) -> Pins:
    """The project itself is run from its folder."""
    lines = [
        line
        for line in wanted.splitlines()
        if name_of(line) != "flask-admin"
        and not line.startswith(("-e ", "./", "file:"))
    ]
    return _compile([*lines, *tools], pre=False)


def _compile(
    requirements: t.Sequence[str], pre: bool, *options: str, near: Pins = Pins("")
) -> Pins:
    command = ["pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    command += ["--python", sys.executable, *options]
    command += ["--prerelease", "allow" if pre else "if-necessary-or-explicit"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(near.text, encoding="utf-8")
        wanted = "\n".join(requirements)
        uv(*command, "--output-file", str(file), "-", stdin=wanted)
        return Pins(file.read_text(encoding="utf-8"))


def installed_here(without: str) -> Pins:
    """What is in the environment of this process, but for this package, for one to be
    replaced, and for what belongs to no app."""
    left_out = {without, "flask-admin-session-scoping", "pip", "uv"}
    lines = []
    for one in distributions():
        name = canonicalize_name(one.metadata["Name"])
        if name not in left_out:
            lines.append(
                f"{name} @ {url}"
                if (url := _address(one))
                else f"{name}=={one.version}"
            )
    return Pins("\n".join(sorted({*lines})) + "\n")


def _address(distribution: Distribution) -> str:
    """Where a package comes from that no index holds: a folder, or Git."""
    text = distribution.read_text("direct_url.json")
    if text is None:
        return ""
    origin = json.loads(text)
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return f"{vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    return str(origin["url"])


def _support(pins: Pins) -> tuple[list[str], set[str]]:
    constraints: list[str] = []
    without: set[str] = set()
    for one in SUPPORT:
        release = pins.versions.get(one.package)
        if release and one.releases.contains(release, prereleases=True):
            constraints += one.constraints
            without |= {*one.without}
    return constraints, without


def release_of(requirement: str, pre: bool = False) -> str:
    """The release that a requirement means today; empty for a path and for Git."""
    pins = _compile([requirement], pre, "--no-deps")
    return next(iter(pins.versions.values()), "")


def releases_between(package: str, first: str, last: str, pre: bool) -> list[Version]:
    """Every release of a package from one to another, both included, in order."""
    found = [Version(last)]
    while True:
        below = f"{package}>{first},<{found[-1]}"
        try:
            release = release_of(below, pre)
        except CannotTell:
            break
        found.append(Version(release))
    return [Version(first), *reversed(found)]


def name_of(requirement: str) -> str:
    """The package that a requirement names; empty for a path or an address."""
    found = re.match(
        r"([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*($|[=<>!~;@\s])", requirement
    )
    return canonicalize_name(found[1]) if found else ""


@contextmanager
def guards_on_the_path() -> t.Iterator[dict[str, str]]:
    """Variables with which an environment finds this package, and nothing else of
    the environment that it is installed in."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "session_scoping"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(guard.HERE, here, ignore=ignore)
        (here / "drop_in").mkdir(exist_ok=True)
        shutil.copy(guard.path(), here / "drop_in")
        mine = {"PYTHONPATH": folder, "PYTHONWARNINGS": "ignore"}
        yield {**{k: v for k, v in os.environ.items() if not foreign(k)}, **mine}


def foreign(variable: str) -> bool:
    """Is it about this environment or this run of pytest, and not about the other?"""
    return variable.startswith("PYTEST_") or variable in {"VIRTUAL_ENV", "PYTHONHOME"}


def make(pins: Pins, fresh: str) -> Path:
    """The Python of an environment with these contents, made when there is none.

    ``fresh``: a package to install anew if it comes from a folder, which may be another
    one by now. Raises ``CannotTell`` when something cannot be installed.
    """
    python = pins.folder / "bin" / "python"
    if os.name == "nt":
        python = pins.folder / "Scripts" / "python.exe"
    if python.exists():
        if f"{fresh} @ file:" in pins.text:
            _sync(python, pins, "--reinstall-package", fresh)
        return python
    pins.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=pins.folder.parent))
    try:
        uv("venv", "--quiet", "--clear", "--python", sys.executable, str(unfinished))
        _sync(unfinished / python.relative_to(pins.folder), pins)
        try:
            unfinished.rename(pins.folder)
        except OSError:
            pass  # somebody else was faster
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return python


def _sync(python: Path, pins: Pins, *options: str) -> None:
    options += ("--quiet", "--compile-bytecode", "--python", str(python))
    uv("pip", "sync", *options, "-", stdin=pins.text)
