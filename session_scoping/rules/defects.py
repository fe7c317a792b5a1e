"""The known defects of released packages.

Each defect is defined here, and only here. The causes, the reports, the table of all
releases and the tests read it. A new defect needs a function in ``causes`` that
recognises it, a finding in ``SESSION_SCOPING_INVESTIGATION.md``, and a strict ``xfail``
in the drop-in. A new release needs a look at the limits in ``releases``.
"""

import typing as t
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from session_scoping.fixes import code
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule

FLASK = "https://github.com/pallets/flask"
FLASK_ADMIN = "https://github.com/pallets-eco/flask-admin"
SQLA = f"{FLASK_ADMIN}/blob/v2.2.1/flask_admin/contrib/sqla"


@dataclass(frozen=True)
class Defect:
    """Something that some releases of a package break."""

    id: str
    sentence: str
    package: str
    releases: str  # that have it, as a specifier
    handles: tuple[str, ...]  # of the bookshop; none: the bookshop works around it
    rules: tuple[Rule, ...]  # none: Flask-Admin does not import
    link: str  # upstream
    workaround: str  # code, or what to install
    finding: int  # in the investigation
    fixed_in: str = ""  # the first release without it; empty: no release yet
    without: str = ""  # it shows only where this package is not installed

    @property
    def explanation(self) -> str:
        """What it is, and the release that fixes it."""
        fixed = f" Fixed in {self.package} {self.fixed_in}." if self.fixed_in else ""
        return f"{self.sentence}{fixed}"

    def is_in(self, release: str) -> bool:
        """Does a release of the package have the defect?"""
        there = SpecifierSet(self.releases)
        return bool(release) and there.contains(release, prereleases=True)

    def shows_in(self, versions: t.Mapping[str, str]) -> bool:
        """Does an environment with these versions, by package, show the defect?"""
        there = self.is_in(versions.get(self.package, ""))
        return there and not (self.without and self.without in versions)


DEFECTS = (
    Defect(
        "streams-too-late",
        "Flask 3.1.2 and newer end the app context, and with it the session, before "
        "they stream a response. A column that loads lazily then fails.",
        "Flask",
        ">=3.1.2,<3.2.0.dev0",  # not on its main branch, since issue 5639
        HANDLES,
        (Rule.ALIVE,),
        f"{FLASK}/pull/5799",
        code("streams_too_late"),
        1,
    ),
    Defect(
        "does-not-import",
        "Flask-Admin 2.2.1 does not import without Flask-SQLAlchemy.",
        "Flask-Admin",
        "==2.2.1",
        HANDLES,
        (),
        f"{SQLA}/_types.py",
        "pip install flask-sqlalchemy",
        2,
        without="Flask-SQLAlchemy",
    ),
    Defect(
        "unique-keeps-session",
        "With Flask-SQLAlchemy-Lite the form's `Unique` validator keeps the session "
        "that was open when the view was built, and uses it in every request.",
        "Flask-Admin",
        ">=2.1,<2.2.1",
        ("lite",),
        (Rule.SINGLE, Rule.FRESH, Rule.ISOLATED, Rule.RELEASED),
        f"{FLASK_ADMIN}/pull/2953",
        'pip install "flask-admin>=2.2.1"',
        4,
        fixed_in="2.2.1",
    ),
    Defect(
        "mass-delete-not-rolled-back",
        "Flask-Admin's delete action does not roll back when its commit fails. The "
        "next request on that connection sees the delete that was not committed.",
        "Flask-Admin",
        "<=2.2.1",
        HANDLES,
        (Rule.RECOVERS,),
        f"{SQLA}/view.py",
        code("mass_delete_not_rolled_back"),
        8,
    ),
    Defect(
        "close-fails-and-is-kept",
        "`scoped_session.remove()` first closes the session, and then takes it out of "
        "the registry. If the connection is lost, closing fails. The session stays in "
        "the registry, and a later request may get it.",
        "SQLAlchemy",
        "<=2.1.9",
        (),
        (Rule.RECOVERS,),
        "https://docs.sqlalchemy.org/en/20/orm/contextual.html#sqlalchemy.orm.scoped_session.remove",
        code("close_fails_and_is_kept"),
        9,
    ),
)
BY_ID = {defect.id: defect for defect in DEFECTS}


def expected(rule: Rule, handle: str, versions: t.Mapping[str, str]) -> list[Defect]:
    """Return the known defects that break a rule with a handle of the bookshop.

    ``versions``: the releases that are installed, by package.
    """
    return [
        defect
        for defect in DEFECTS
        if rule in defect.rules
        and handle in defect.handles
        and defect.shows_in(versions)
    ]


def not_importing(versions: t.Mapping[str, str]) -> list[Defect]:
    """Return the known defects that keep Flask-Admin from being imported."""
    return [
        defect for defect in DEFECTS if not defect.rules and defect.shows_in(versions)
    ]


def of_import(error: ImportError) -> str:
    """Return what to do about a package that this package needs."""
    fix = "install it, or releases that go together"
    if "T_SESSION" in str(error):
        defect = BY_ID["does-not-import"]
        fix = f"{defect.workaround} ({defect.sentence})"
    return f"what it needs does not import: {error}: {fix}"


def word(cell: Cell) -> str:
    """Return the state of a cell as every report prints it: ``known broken [1, 8]``."""
    state = str(cell.state)
    return f"{state} {numbers(cell)}" if cell.state == State.KNOWN else state


def numbers(cell: Cell) -> str:
    """Return the numbers of the findings behind a cell, as ``[1, 8]``.

    The string is empty if there are none, or if something else breaks the cell, too.
    """
    if cell.state == State.BROKEN or not cell.defects:
        return ""
    found = sorted(BY_ID[identifier].finding for identifier in cell.defects)
    return f"[{', '.join(map(str, found))}]"


def notes(cells: t.Iterable[Cell]) -> list[str]:
    """Explain the numbers in these cells: a line for each known defect."""
    found = {
        identifier for cell in cells if numbers(cell) for identifier in cell.defects
    }
    return [
        f"[{defect.finding}] {defect.explanation} {defect.link}"
        for defect in DEFECTS
        if defect.id in found
    ]
