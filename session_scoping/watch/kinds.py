"""Asks for the type of an object without asking the object.

``isinstance(x, Session)`` asks a ``LocalProxy`` for its ``__class__``. The proxy asks
its handle for that, which opens a session.
"""

import os
import re
import sys
import typing as t

T = t.TypeVar("T")
RUNNERS = ("_pytest.", "unittest.")  # of tests
OF_TESTS = re.compile(r"conftest\.py|test_.*|.*_test\.py")  # names of files


def is_a(thing: object, *kinds: type[T]) -> "t.TypeGuard[T]":
    """Is an object of one of these types, by itself and not as a proxy?"""
    return issubclass(type(thing), kinds)


def patterns(given: t.Iterable[str], name: str) -> list[str]:
    """Return an argument that is a list of patterns.

    Raises ``TypeError`` if it is a string: each letter would be a pattern.
    """
    if isinstance(given, str):
        raise TypeError(f"{name} is a list of patterns: write [{given!r}]")
    return [*given]


def is_test_file(path: object) -> bool:
    """Has a file the name of a module of tests?"""
    return OF_TESTS.match(os.path.basename(str(path))) is not None


def is_of_tests(kind: type) -> bool:
    """Is it a class of a test runner, or a class of tests of the app?"""
    if any(str(base.__module__).startswith(RUNNERS) for base in kind.__mro__):
        return True
    file = getattr(sys.modules.get(str(kind.__module__)), "__file__", None)
    return kind.__name__.startswith("Test") and is_test_file(file)
