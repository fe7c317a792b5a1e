"""Compares two releases: which rules held before, and which hold after."""

import re
import typing as t
from concurrent.futures import FIRST_EXCEPTION
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait
from dataclasses import asdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion
from packaging.version import Version

from session_scoping.compare import environments
from session_scoping.compare.progress import Progress
from session_scoping.compare.progress import within
from session_scoping.errors import CannotTell
from session_scoping.recording import Word
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from session_scoping.rules.verdict import Verdict
from session_scoping.status import Status

OF_APP = 0.3  # the part of a side's time that an app takes


class ChangeKind(Word):
    """How an upgrade changes a cell."""

    SAME = "same"
    BROKEN = "broken"
    FIXED = "fixed"
    INCOMPARABLE = "cannot be compared"


@dataclass(frozen=True)
class Job:
    """What to drive on each side."""

    without: tuple[str, ...] = ()  # the extensions that are not installed
    app: str | None = None  # MODULE:NAME of an app to drive, too
    client: str | None = None  # MODULE:FUNCTION that makes a client for it
    skip: tuple[str, ...] = ()  # the endpoints of it that are not requested
    pre: bool = False  # are pre-releases allowed?

    def __post_init__(self) -> None:
        """Raise ``CannotTell`` if an option has no effect."""
        for package in self.without:
            if package not in environments.EXTENSIONS:
                names = " or ".join(environments.EXTENSIONS)
                raise CannotTell(f"--without {package} has no effect: name {names}")
        given = {"--client": self.client is not None, "--skip": bool(self.skip)}
        for option, is_given in given.items():
            if is_given and self.app is None:
                message = "has no effect without --app: name the app, too"
                raise CannotTell(f"{option} {message}")


@dataclass(frozen=True)
class Side:
    """What was seen on a side."""

    release: str
    stack: dict[str, str]  # package: version
    cells: list[Cell]  # of each rule with each handle, and in each view of the app
    failures: list[str]  # the requests that no rule explains

    @cached_property
    def _by_place(self) -> dict[tuple[Rule, str], Cell]:
        return {(cell.rule, cell.subject): cell for cell in self.cells}

    def cell(self, rule: Rule, subject: str) -> Cell:
        """Return a cell. It is ``not reached`` if this side does not have the view."""
        not_there = Cell(rule, subject, State.NOT_REACHED, "there is no such view")
        return self._by_place.get((rule, subject), not_there)


@dataclass(frozen=True)
class Change:
    """A cell, before and after."""

    before: Cell
    after: Cell

    @property
    def kind(self) -> ChangeKind:
        """What has changed.

        It is also ``BROKEN`` if a rule that was broken is broken for a new reason.
        """
        if not (_tried(self.before) and _tried(self.after)):
            return ChangeKind.INCOMPARABLE
        before, after = _reasons(self.before), _reasons(self.after)
        if after - before:
            return ChangeKind.BROKEN
        return ChangeKind.FIXED if before - after else ChangeKind.SAME

    @property
    def reason(self) -> Cell:
        """The cell of the side that explains the change."""
        untried = self.kind == ChangeKind.INCOMPARABLE and not _tried(self.before)
        return self.before if untried or self.kind == ChangeKind.FIXED else self.after


def _tried(cell: Cell) -> bool:
    return cell.state not in (State.NOT_TRIED, State.NOT_REACHED)


def _reasons(cell: Cell) -> set[str]:
    """Return what breaks a rule: known defects, and ``broken`` for all else."""
    return {*cell.defects, *([cell.state.value] if cell.state == State.BROKEN else [])}


@dataclass(frozen=True)
class Comparison:
    """Two sides, and what changes between them."""

    package: str
    before: Side
    after: Side

    @property
    def subjects(self) -> list[str]:
        """The handles, and then the views of the app."""
        cells = [*self.before.cells, *self.after.cells]
        return list(dict.fromkeys(cell.subject for cell in cells))

    def change(self, rule: Rule, subject: str) -> Change:
        """A cell, before and after."""
        return Change(self.before.cell(rule, subject), self.after.cell(rule, subject))

    @cached_property
    def changes(self) -> list[Change]:
        """Every cell, before and after."""
        return [
            self.change(rule, subject) for rule in Rule for subject in self.subjects
        ]

    def of(self, kind: ChangeKind) -> list[Change]:
        """Return the changes of a kind."""
        return [change for change in self.changes if change.kind == kind]

    @property
    def failures(self) -> list[str]:
        """The requests that worked before, and do not work after.

        Nothing has worked before with a handle that was not tried.
        """
        tried = {cell.subject for cell in self.before.cells if _tried(cell)}
        untried = tuple(f"{handle}, " for handle in HANDLES if handle not in tried)
        return [
            failure
            for failure in self.after.failures
            if failure not in self.before.failures and not failure.startswith(untried)
        ]

    @property
    def besides(self) -> dict[str, tuple[str, str]]:
        """The other packages that have different releases on the two sides."""
        before, after = self.before.stack, self.after.stack
        return {
            name: (before.get(name, "none"), after.get(name, "none"))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
            and canonicalize_name(name) != self.package
        }

    @property
    def status(self) -> Status:
        """The exit status: does everything that held before still hold?"""
        if self.of(ChangeKind.BROKEN):
            return Status.BROKEN
        compared = self.of(ChangeKind.SAME) or self.of(ChangeKind.FIXED)
        return Status.HOLDS if compared and not self.failures else Status.CANNOT_TELL

    def to_json(self) -> dict[str, t.Any]:
        """Return the comparison as plain data."""
        changes = [{**asdict(change), "kind": change.kind} for change in self.changes]
        added = {"status": self.status, "besides": self.besides, "changes": changes}
        return {**asdict(self), **added}


# ------------------------------------------------------------------------------- sides


def requirements(before: str, after: str, job: Job) -> tuple[str, str, str]:
    """Return the package of two sides, and what to install on each.

    A side is a requirement (``flask==3.1.2``, ``flask<3.1``), ``latest``, the path of a
    checkout, or ``git+`` and an address. Raises ``CannotTell`` if the sides do not name
    two releases of a package, if the package is not installed with this job, or if
    nothing that is driven uses it.
    """
    sides = [side for side in (before, after) if _is_requirement(side)]
    bare = [side for side in sides if _is_version(side)]
    names = {_name(side) for side in sides if side not in bare}
    if bare:
        package = next(iter(names), "flask-admin")
        raise CannotTell(f"{bare[0]} names no package: write {package}=={bare[0]}")
    if not names:
        raise CannotTell(
            "name the package on at least one side, as in flask-admin==2.2.0"
        )
    if len(names) > 1:
        raise CannotTell(
            f"{' and '.join(sorted(names))} are two packages: name two releases of the "
            "same package"
        )
    if before == after:
        raise CannotTell(f"both sides are {before}: name two releases")
    [package] = names
    if package in job.without:
        raise CannotTell(f"--without {package} cannot work: its releases are compared")
    if not job.app and package not in environments.bookshop_needs():
        raise CannotTell(
            f"the bookshop does not use {package}: compare Flask-Admin or a package "
            "that it needs, or name an app that uses it with --app"
        )
    return package, _requirement(before, package), _requirement(after, package)


def _name(side: str) -> str:
    """Return the package of a requirement. Raises ``CannotTell`` if it is none."""
    name = environments.name_of(side)
    if not name:
        raise CannotTell(
            f"{side!r} cannot be compared: name a release, as in flask-admin==2.2.0, a "
            "range, 'latest', the path of a checkout, or git+ and an address"
        )
    if Requirement(side).marker:
        raise CannotTell(f"{side!r} has a condition: leave out what follows the ';'")
    return name


def _is_version(side: str) -> bool:
    try:
        Version(side)
    except InvalidVersion:
        return False
    return True


def _is_requirement(side: str) -> bool:
    return side != "latest" and not _is_address(side) and not _is_path(side)


def _is_address(side: str) -> bool:
    return side.startswith("git+") and "://" in side


def _is_path(side: str) -> bool:
    return side.startswith((".", "/", "~")) or bool(side and Path(side).is_dir())


def _requirement(side: str, package: str) -> str:
    if side == "latest":
        return package
    if _is_address(side):
        return f"{package} @ {side}"
    if not _is_path(side):
        return side
    folder = Path(side).expanduser().resolve()
    if not folder.is_dir():
        raise CannotTell(f"there is no folder {side}: name that of a checkout")
    if not any((folder / name).exists() for name in ("pyproject.toml", "setup.py")):
        raise CannotTell(
            f"{side} is no checkout of {package}: it has no pyproject.toml"
        )
    return f"{package} @ {folder.as_uri()}"


# ------------------------------------------------------------------------- the attempts


def compare(
    before: str, after: str, job: Job, progress: t.Sequence[Progress]
) -> Comparison:
    """Drive both sides at the same time, and compare them.

    The arguments are as on the command line. ``progress`` has a function for each side.
    Raises ``CannotTell`` if a side cannot be driven.
    """
    package, *both = requirements(before, after, job)
    environments.uv_path()  # once, before two threads look for it
    with ThreadPoolExecutor(2) as pool:
        tried = [
            pool.submit(attempt, package, side, job, doing)
            for side, doing in zip(both, progress, strict=True)
        ]
        try:
            wait(tried, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            environments.stop()
            raise
        for future in tried:
            if future.done() and (error := future.exception()):
                environments.stop()  # the other side
                if environments.NO_VERSION in str(error):
                    check_releases(package, both)
                raise error
        first, second = (future.result() for future in tried)
    return Comparison(package, first, second)


def check_releases(package: str, sides: t.Iterable[str]) -> None:
    """Raise ``CannotTell`` if a side names a release that is not there.

    A release that this Python cannot install is there, and has another error.
    """
    try:
        there = environments.releases(package, pre=True)
    except CannotTell:
        return  # the index does not answer: the first error says more
    for side in sides:
        if not Requirement(side).url:
            _release(side, package, there)


def attempt(package: str, side: str, job: Job, progress: Progress) -> Side:
    """Drive the bookshop, and the user's app if there is one, with a side.

    Raises ``CannotTell`` if the side cannot be installed, or if nothing can be driven.
    """
    verdicts: dict[str, Verdict] = {}
    cells: list[Cell] = []
    stack: dict[str, str] = {}
    if job.app is not None:  # first: it takes less time, and can fail to load
        first, progress = within(progress, 0, OF_APP), within(progress, OF_APP, 1)
        recording = environments.drive(
            side, job.app, job.client, job.skip, job.pre, first
        )
        verdicts[job.app] = verdict = judge(recording)
        cells += _of_views(verdict)
        for name, version in recording.stack.items():
            if canonicalize_name(name) != package:
                stack[f"{name} of {job.app}"] = version
    survey = environments.survey(side, job.without, job.pre, progress=progress)
    installed: dict[str, str] = {
        canonicalize_name(name): version for name, version in survey.stack.items()
    }
    return Side(
        installed.get(package) or side.partition(" @ ")[2] or side,
        {**survey.stack, **stack},
        [*survey.cells, *cells],
        [*_failures({**survey.verdicts, **verdicts})],
    )


def _of_views(verdict: Verdict) -> t.Iterator[Cell]:
    for number in range(len(verdict.recording.views)):
        for rule in Rule:
            yield verdict.cell(rule, number)


def _failures(verdicts: dict[str, Verdict]) -> t.Iterator[str]:
    """Yield the requests that did not work, worded alike on each side."""
    for subject, verdict in verdicts.items():
        lines = (
            f"{subject}, {request.does}: {request.failure}"
            for request in verdict.failures
        )
        yield from dict.fromkeys(
            re.sub(r"\b0x[0-9a-f]+", "0x…", line) for line in lines
        )


# ------------------------------------------------------------------------------- bisect


@dataclass(frozen=True)
class Culprit:
    """The release that broke a rule, compared with the release before it."""

    comparison: Comparison  # of the two releases
    tried: int  # releases
    of: int
    untried: tuple[str, ...] = ()  # releases between the two that could not be driven

    @property
    def status(self) -> Status:
        """The exit status."""
        return self.comparison.status

    def to_json(self) -> dict[str, t.Any]:
        """Return the comparison as plain data, with what was tried."""
        tried = {"tried": self.tried, "of": self.of, "untried": self.untried}
        return {**self.comparison.to_json(), **tried}


def bisect(first: str, last: str, job: Job, progress: Progress) -> Culprit | Comparison:
    """Find the first release that breaks a rule which held in ``first``.

    It is a binary search. Returns the comparison of both ends if nothing is broken
    between them. Raises ``CannotTell`` if an end cannot be driven, or is no release.
    """
    package, *both = requirements(first, last, job)
    there = environments.releases(package, job.pre)
    oldest, newest = (_release(side, package, there) for side in both)
    if not oldest < newest:
        raise CannotTell(
            f"name two releases, the older one first, not {first} and {last}"
        )
    releases = [str(version) for version in there if oldest <= version <= newest]
    known: dict[int, Side] = {}
    attempts = 2 + len(releases[1:-1]).bit_length()  # both ends, and the halving

    def outcome(index: int) -> Side:
        if index not in known:
            side, done = f"{package}=={releases[index]}", len(known) + len(untried)
            step = within(progress, done / attempts, min((done + 1) / attempts, 1))
            known[index] = attempt(
                package, side, job, lambda doing, part: step(f"{side}: {doing}", part)
            )
        return known[index]

    good, bad = 0, len(releases) - 1
    untried: set[int] = set()
    whole = Comparison(package, outcome(good), outcome(bad))
    if not whole.of(ChangeKind.BROKEN):
        return whole
    while candidates := [n for n in range(good + 1, bad) if n not in untried]:
        middle = candidates[len(candidates) // 2]
        try:
            here = Comparison(package, outcome(0), outcome(middle))
        except CannotTell:
            untried.add(middle)
            continue
        if here.status == Status.BROKEN:
            bad = middle
        elif here.status == Status.CANNOT_TELL:
            untried.add(middle)
        else:
            good = middle
    comparison = Comparison(package, outcome(good), outcome(bad))
    unknown = tuple(releases[n] for n in sorted(untried) if good < n < bad)
    return Culprit(comparison, len({*known} | untried), len(releases), unknown)


def _release(side: str, package: str, there: t.Sequence[Version]) -> Version:
    """Return the newest release that a side allows. Raises ``CannotTell``."""
    wanted = Requirement(side)
    if wanted.url:
        raise CannotTell(f"{side} is no release of {package}: name two releases")
    fits = [
        version
        for version in there
        if wanted.specifier.contains(version, prereleases=True)
    ]
    if not fits:
        raise CannotTell(
            f"no release of {package} is {side}: the newest is {there[-1]}"
        )
    return fits[-1]
