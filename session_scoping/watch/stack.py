"""The packages that a verdict is about."""

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
    """The versions of what is installed."""
    found = {}
    for package in STACK:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
