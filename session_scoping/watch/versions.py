"""The packages that a verdict is about, and their releases."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version

STACK = (
    "Flask-Admin",
    "Flask",
    "SQLAlchemy",
    "Flask-SQLAlchemy",
    "Flask-SQLAlchemy-Lite",
    "Werkzeug",
    "WTForms",
)


@cache
def stack() -> dict[str, str]:
    """Return the versions of the installed packages."""
    found = {}
    for package in STACK:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
