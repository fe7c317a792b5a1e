"""One release against another: which rules held before, and which hold after."""

import json
import subprocess
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement
from packaging.version import Version

from session_scoping.environments import APP_GUARD
from session_scoping.environments import GUARD
from session_scoping.environments import guards_on_the_path
from session_scoping.environments import installed_here
from session_scoping.environments import make
from session_scoping.environments import name_of
from session_scoping.environments import release_of
from session_scoping.environments import releases_between
from session_scoping.environments import resolve
from session_scoping.environments import resolve_near
from session_scoping.environments import uv_path
from session_scoping.errors import CannotTell
from session_scoping.guard import BREAKS
from session_scoping.guard import Cell
from session_scoping.guard import GuardRun
from session_scoping.guard import HOLDS
from session_scoping.guard import UNKNOWN
from session_scoping.recording import Recording
from session_scoping.reports.terminal import label
from session_scoping.rules import judge
from session_scoping.rules import NAMES
from session_scoping.rules import Verdict

STEPS = ("resolving", "installing", "running the guard", "driving the app")
Progress = t.Callable[[str, int], object]  # what is being done, and which step it is

SAME, BROKE, MENDED, INCOMPARABLE = "same", "broke", "mended", "cannot be compared"


@dataclass(frozen=True)
class Job:
    """What is tried on each side."""

    without: tuple[str, ...] = ()  # packages that are not to be there
    app: str = ""  # MODULE:NAME of an app to drive, too
    client: str = ""  # MODULE:FUNCTION that makes a client for it
    pre: bool = False  # may it be a pre-release?


@dataclass
class Tried:
    """What became of one side."""

    side: str
    release: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    run: GuardRun = field(default_factory=GuardRun)
    app: list[Cell] = field(default_factory=list)  # a view stands for the handle
    trouble: str = ""  # why nothing is known

    @property
    def name(self) -> str:
        return self.release or self.side.partition(" @ ")[2] or self.side

    @property
    def cells(self) -> list[Cell]:
        return [*self.run.cells, *self.app]

    def cell(self, rule: str, handle: str) -> Cell:
        for one in self.cells:
            if (one.rule, one.handle) == (rule, handle):
                return one
        if self.trouble:
            return Cell(rule, handle, UNKNOWN, self.trouble)
        return self.run.cell(rule, handle)


@dataclass(frozen=True)
class Change:
    """A rule with a handle, or in a view of the app, before and after."""

    rule: str
    handle: str
    before: Cell
    after: Cell

    @property
    def kind(self) -> str:
        if UNKNOWN in (self.before.state, self.after.state):
            return INCOMPARABLE
        held, holds = self.before.state == HOLDS, self.after.state == HOLDS
        if held == holds:
            return SAME
        return MENDED if holds else BROKE


@dataclass(frozen=True)
class Comparison:
    """What an upgrade does."""

    package: str
    before: Tried
    after: Tried

    @property
    def handles(self) -> list[str]:
        cells = [*self.before.cells, *self.after.cells]
        return list(dict.fromkeys(one.handle for one in cells))

    @property
    def changes(self) -> list[Change]:
        return [
            Change(rule, one, self.before.cell(rule, one), self.after.cell(rule, one))
            for rule in NAMES
            for one in self.handles
        ]

    def of(self, kind: str) -> list[Change]:
        return [one for one in self.changes if one.kind == kind]

    @property
    def failures(self) -> list[str]:
        """What the guard complains of on the new side only, and that is no rule."""
        if self.after.run.does_not_import:
            return []  # which every cell tells
        cells = [one.said for one in self.after.run.cells]
        before = {_title(one) for one in self.before.run.failures}
        return [
            one
            for one in self.after.run.failures
            if _title(one) not in before
            and not any(said and said in one for said in cells)
        ]

    @property
    def besides(self) -> dict[str, tuple[str, str]]:
        """The other packages that are not of one release on both sides."""
        before, after = self.before.versions, self.after.versions
        return {
            name: (before.get(name, "none"), after.get(name, "none"))
            for name in sorted({*before, *after} - {self.package})
            if before.get(name) != after.get(name)
        }

    @property
    def status(self) -> int:
        """0: nothing that held is broken; 1: something is; 2: it could not tell."""
        if self.of(BROKE):
            return 1
        compared = self.of(SAME) + self.of(MENDED)
        return 0 if compared and not self.failures else 2

    def to_json(self) -> dict[str, t.Any]:
        return {
            "package": self.package,
            "status": self.status,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "besides": self.besides,
            "changes": [{**asdict(one), "kind": one.kind} for one in self.changes],
        }


def _title(failure: str) -> str:
    return failure.partition("\n")[0]


# ------------------------------------------------------------------------------- sides


def requirements(before: str, after: str) -> tuple[str, str, str]:
    """The package that two sides are of, and what to install on each.

    A side is a requirement (``flask==3.1.2``, ``flask<3.1``), ``latest``, the path of a
    checkout, or ``git+`` an address. Raises ``CannotTell``.
    """
    names = {name_of(one) for one in (before, after) if _is_requirement(one)}
    if not names:
        raise CannotTell(
            "name the package on one side at least, as in flask-admin==2.2.0"
        )
    if len(names) > 1:
        raise CannotTell(
            f"{' and '.join(sorted(names))} are two packages: name two releases of one"
        )
    [package] = names
    return package, _requirement(before, package), _requirement(after, package)


def _is_requirement(side: str) -> bool:
    return side != "latest" and not side.startswith("git+") and not _is_path(side)


def _is_path(side: str) -> bool:
    return side.startswith((".", "/", "~")) or Path(side).is_dir()


def _requirement(side: str, package: str) -> str:
    if side == "latest":
        return package
    if side.startswith("git+"):
        return f"{package} @ {side}"
    if _is_path(side):
        folder = Path(side).expanduser().resolve()
        if (
            not (folder / "pyproject.toml").exists()
            and not (folder / "setup.py").exists()
        ):
            raise CannotTell(
                f"{side} is no checkout of {package}: it has no pyproject.toml"
            )
        return f"{package} @ {folder.as_uri()}"
    try:
        Requirement(side)
    except InvalidRequirement as error:
        raise CannotTell(
            f"{side!r} is no side: name a release, as in {package}==1.2.3, a range, "
            "'latest', the path of a checkout or git+ an address"
        ) from error
    return side


# -------------------------------------------------------------------------- trying them


def compare(
    before: str, after: str, job: Job, progress: t.Sequence[Progress]
) -> Comparison:
    """Try both sides, at the same time, and compare what the guard says of them."""
    package, *both = requirements(before, after)
    uv_path()  # once, before two threads look for it
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(
            lambda side, tell: attempt(package, side, job, tell), both, progress
        )
    return Comparison(package, first, second)


def attempt(package: str, side: str, job: Job, progress: Progress) -> Tried:
    """Build the environment of a side, and run the guards in it.

    Raises ``CannotTell`` when a release is not there; what does not install or run is
    an outcome.
    """
    tried = Tried(side)
    progress(STEPS[0], 0)
    wanted = [
        side,
        *(one for one in GUARD if name_of(one) not in {package, *job.without}),
    ]
    if package != "flask-admin":
        wanted.append("flask-admin")
    pins = resolve(wanted, job.pre)
    tried.versions = pins.versions
    tried.release = pins.versions.get(package, "")
    with guards_on_the_path() as environment:
        try:
            progress(STEPS[1], 1)
            python = make(pins, fresh=package)
            progress(STEPS[2], 2)
            tried.run = _run_guard(python, environment)
        except CannotTell as error:
            tried.trouble = f"does not install: {error}"
        if job.app:
            progress(STEPS[3], 3)
            tried.app = _drive_app(package, side, job, environment)
    progress("", len(STEPS))
    return tried


def _run_guard(python: Path, environment: dict[str, str]) -> GuardRun:
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "run.json"
        done = subprocess.run(
            [python, "-m", "session_scoping.guard", seen],
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
        )
        if not seen.exists():
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise CannotTell(f"the guard does not run: {said}")
        return GuardRun.from_json(json.loads(seen.read_text(encoding="utf-8")))


def _drive_app(
    package: str, side: str, job: Job, environment: dict[str, str]
) -> list[Cell]:
    """Drive the user's app in the environment that it runs in, but for one package.

    Raises ``CannotTell`` with what the guard for one's own app says.
    """
    pins = resolve_near([side, *APP_GUARD], installed_here(package), job.pre)
    python = make(pins, fresh=package)
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder) / "seen.json"
        command = [str(python), "-m", "session_scoping", "--app", job.app]
        command += ["--json", str(seen)]
        if job.client:
            command += ["--client", job.client]
        done = subprocess.run(command, env=environment, text=True, capture_output=True)
        if not seen.exists():
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise CannotTell(
                f"{job.app} with {side}: {said.removeprefix('session-scoping: ')}"
            )
        return list(_cells(judge(Recording.load(seen))))


def _cells(verdict: Verdict) -> t.Iterator[Cell]:
    states = {"broken": BREAKS, "holds": HOLDS}
    for number in range(len(verdict.recording.views)):
        for rule in NAMES:
            state = verdict.cell(number, rule)
            said = [
                f"- {one.what}{f' ({one.own or one.place})' if one.place else ''}"
                for one in verdict.violations
                if one.view == number and one.rule == rule
            ]
            known = states.get(state, UNKNOWN)
            why = state if known == UNKNOWN else ""
            yield Cell(rule, label(verdict, number), known, why, "\n".join(said))


# ------------------------------------------------------------------------------- bisect


@dataclass(frozen=True)
class Culprit:
    """The release that broke a rule, beside the one before it."""

    comparison: Comparison  # of the two
    tried: int  # releases
    of: int
    untried: tuple[str, ...] = ()  # between the two: nothing could be told of them


def bisect(first: str, last: str, job: Job, progress: Progress) -> Culprit | Comparison:
    """The first release in a range that breaks what the first one kept.

    Tries as many as the logarithm of their number; a comparison of both ends when
    nothing broke between them. Raises ``CannotTell``.
    """
    package, *both = requirements(first, last)
    oldest, newest = (_exact(one, package, job.pre) for one in both)
    between = releases_between(package, oldest, newest, job.pre)
    releases = [str(one) for one in between]
    if releases != sorted({*releases}, key=Version):
        raise CannotTell(
            f"name two releases, the older one first, not {first} and {last}"
        )
    known: dict[int, Tried] = {}

    def outcome(index: int) -> Tried:
        if index not in known:

            def tell(name: str, step: int) -> None:
                progress(f"{package} {releases[index]}: {name}", len(known))

            known[index] = attempt(package, f"{package}=={releases[index]}", job, tell)
        return known[index]

    good, bad = 0, len(releases) - 1
    whole = Comparison(package, outcome(good), outcome(bad))
    if not whole.of(BROKE):
        return whole
    untried: set[int] = set()
    while candidates := [n for n in range(good + 1, bad) if n not in untried]:
        middle = candidates[len(candidates) // 2]
        here = Comparison(package, outcome(0), outcome(middle))
        if here.of(BROKE):
            bad = middle
        elif here.status == 2:
            untried.add(middle)
        else:
            good = middle
    comparison = Comparison(package, outcome(good), outcome(bad))
    unknown = tuple(releases[n] for n in sorted(untried) if good < n < bad)
    return Culprit(comparison, len(known), len(releases), unknown)


def _exact(side: str, package: str, pre: bool) -> str:
    release = release_of(side, pre)
    if not release:
        raise CannotTell(f"{side} is no release of {package}: there is nothing between")
    return release
