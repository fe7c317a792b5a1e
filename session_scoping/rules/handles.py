"""The handles that the bookshop is driven with, and the packages that each needs."""

import typing as t

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NEEDS = {
    "db": ("Flask-SQLAlchemy", "Flask-Admin>=2.1"),
    "db.session": ("Flask-SQLAlchemy",),
    "lite": ("Flask-SQLAlchemy-Lite", "Flask-Admin>=2.1"),
    "scoped_session": (),
}
HANDLES = tuple(NEEDS)


def missing(handle: str, versions: t.Mapping[str, str]) -> str:
    """Return the first need of a handle that an environment does not meet.

    ``versions``: the releases that are installed, by package. Returns an empty string
    if nothing is missing.
    """
    installed = {canonicalize_name(name): version for name, version in versions.items()}
    for need in map(Requirement, NEEDS[handle]):
        version = installed.get(canonicalize_name(need.name))
        if version is None or not need.specifier.contains(version, prereleases=True):
            return f"needs {need}"
    return ""
