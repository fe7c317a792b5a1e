"""Attribution: which line is running, and which package it belongs to."""

import inspect
import os
import re
import sys
import sysconfig
import threading
import traceback
import typing as t
from types import CodeType
from types import FrameType

import flask

from session_scoping.recording import Maker
from session_scoping.recording import Place

SKIPPED = "skipped"  # SQLAlchemy, what makes sessions of it, and this package
LIBRARY = "library"
PYTHON = "python"  # its standard library
OWN = "own"
OTHERS = "others"  # the app, and what it uses beside the libraries judged here
SAVES = {"create_model", "update_model", "delete_model"}
DISPATCH = flask.Flask.dispatch_request.__code__

# In messages: an address, which differs each time, and SQLAlchemy's own link.
NOISE = re.compile(r" at 0x[0-9a-f]+| \(Background on this error[^)]*\)?")
HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # of this package
# They are code of an app like any other.
OF_APPS = (os.path.join(HERE, "bookshop.py"), os.path.join(HERE, "fixes") + os.sep)
STDLIB = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
# However they are installed: they may be checkouts that are being worked on.
LIBRARIES = {"flask", "flask_admin", "jinja2", "werkzeug", "wtforms"}
EXTENSIONS = {str(maker): maker for maker in (Maker.FLASK_SQLALCHEMY, Maker.LITE)}
FRAMEWORK = {*LIBRARIES, *EXTENSIONS}


class Code(t.NamedTuple):
    """How a file of code is classified."""

    owner: str  # SKIPPED, LIBRARY, PYTHON or OWN
    file: str  # as a person would write it
    maker: Maker | None  # of sessions


class Places:
    """Names the running line. It classifies each file once, to be quick.

    Each search begins at its own caller, and skips the frames of this package. So it
    does not matter how many calls there are within this package.
    """

    def __init__(self, boundary: CodeType) -> None:
        """``boundary``: the code that calls the app. Frames above it do not count."""
        self.boundary = boundary
        self.files: dict[str, Code] = {}
        self.known: dict[tuple[str, int, str], Place] = {}

    def code(self, frame: FrameType) -> Code:
        path = frame.f_code.co_filename
        return self.files.get(path) or self.files.setdefault(path, _code(frame))

    def at(self, frame: FrameType, code: Code) -> Place:
        key = code.file, frame.f_lineno, frame.f_code.co_name
        return self.known.get(key) or self.known.setdefault(key, Place(*key))

    def here(self, frame: FrameType | None = None) -> tuple[Place | None, Place | None]:
        """Return the first line outside of SQLAlchemy, and the first in the app's code.

        ``frame``: where to begin, if it is not here.
        """
        frame = frame or sys._getframe(1)
        place = None
        known, boundary = self.files, self.boundary
        while frame is not None and frame.f_code is not boundary:
            code = known.get(frame.f_code.co_filename) or self.code(frame)
            if code.owner is not SKIPPED:
                if code.owner is OWN:
                    own = self.at(frame, code)
                    return place or own, own
                if place is None:
                    place = self.at(frame, code)
            frame = frame.f_back
        return place, None

    def near(self) -> Place | None:
        """Return the first line outside of SQLAlchemy, also where it calls the app."""
        frame: FrameType | None = sys._getframe(1)
        known = self.files
        while frame is not None:
            code = known.get(frame.f_code.co_filename) or self.code(frame)
            if code.owner is not SKIPPED:
                return self.at(frame, code)
            frame = frame.f_back
        return None

    def outside(self, session: object) -> FrameType | None:
        """Return the first frame that runs neither SQLAlchemy nor the session's class.

        A subclass may override ``close``: the line that calls it is wanted.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (
            self.code(frame).owner is SKIPPED or frame.f_locals.get("self") is session
        ):
            frame = frame.f_back
        return frame

    def is_saving(self) -> bool:
        """Does a method of a view run that saves something?"""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = frame.f_code.co_name
            saves = name in SAVES or name.startswith("action_")
            if saves and self.code(frame).owner is not SKIPPED:
                return name != "action_view"
            frame = frame.f_back
        return False

    def is_by_other_code(self, frame: FrameType | None) -> bool:
        """Does code outside of SQLAlchemy, Flask, Flask-Admin and what they need run?

        The standard library counts as such code: an executor runs what it was given.
        """
        return bool({PYTHON, OTHERS} & {*self._owners(frame)})

    def is_by_other_thread(self, threads: t.Collection[int]) -> bool:
        """The same for a thread. Its stack does not show which code started it.

        ``threads``: the identifiers of the threads that serve a request. Any of them
        may have started this thread. The standard library does not count.
        """
        # No variable for the result: it has this frame, and would form a cycle with it.
        others = {*threads} - {threading.get_ident()}
        frames = [sys._getframe(1), *map(sys._current_frames().get, others)]
        return any(OTHERS in self._owners(frame) for frame in frames)

    def _owners(self, frame: FrameType | None) -> t.Iterator[str]:
        """Yield the owner of each frame, up to the call that answers the request."""
        while frame is not None and frame.f_code not in {self.boundary, DISPATCH}:
            code = self.code(frame)
            if code.owner in {SKIPPED, PYTHON}:
                yield code.owner
            else:
                package = code.file.partition("/")[0]
                yield LIBRARY if package in FRAMEWORK else OTHERS
            frame = frame.f_back

    def birth(self) -> tuple[Maker, Place | None, Place | None]:
        """Return the maker of a new session, the line, and the line in the app's code.

        The line is the first outside of SQLAlchemy. The last item is the same line,
        or ``None`` where it is not in the app's code.
        """
        frame: FrameType | None = sys._getframe(1)
        known = self.files
        maker = Maker.HAND
        while frame is not None:
            code = known.get(frame.f_code.co_filename) or self.code(frame)
            if code.owner is not SKIPPED:
                place = self.at(frame, code)
                return maker, place, place if code.owner is OWN else None
            if code.maker and maker not in {Maker.FLASK_SQLALCHEMY, Maker.LITE}:
                maker = code.maker
            frame = frame.f_back
        return maker, None, None


def place_of(kind: type) -> Place | None:
    """Return the line where a class is defined, or ``None``."""
    try:
        path = inspect.getsourcefile(kind)
        _, line = inspect.getsourcelines(kind)
    except (OSError, TypeError):
        return None
    return Place(named(path or ""), line, kind.__name__)


def _code(frame: FrameType) -> Code:
    path = frame.f_code.co_filename
    module = str(frame.f_globals.get("__name__", ""))
    package = module.partition(".")[0]
    if path.startswith(OF_APPS):
        return Code(OWN, named(path), None)
    if path.startswith(HERE):
        return Code(SKIPPED, named(path), None)
    if package in EXTENSIONS:
        return Code(SKIPPED, named(path), EXTENSIONS[package])
    if package == "sqlalchemy":
        scoping = path.endswith(("scoping.py", "_collections.py"))
        return Code(SKIPPED, named(path), Maker.SCOPED_SESSION if scoping else None)
    made_at_run_time = not path.endswith(".py")  # as a template is
    if package in LIBRARIES and not module.startswith("flask_admin.tests"):
        _, found, rest = path.rpartition(f"{os.sep}{package}{os.sep}")
        return Code(LIBRARY, f"{package}/{rest}" if found else named(path), None)
    if made_at_run_time or in_packages(path):
        return Code(LIBRARY, named(path), None)
    if path.startswith(STDLIB):
        return Code(PYTHON, named(path), None)
    return Code(OWN, named(path), None)


def installed(path: str) -> bool:
    """Is the file part of the standard library, or of an installed package?"""
    return in_packages(path) or path.startswith(STDLIB)


def in_packages(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path


def named(path: str) -> str:
    """Return a path as a person would write it."""
    for folder in ("site-packages", "dist-packages"):
        _, found, rest = path.rpartition(folder + os.sep)
        if found:
            return rest
    return path.removeprefix(os.getcwd() + os.sep)


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception, in a line."""
    first, *_ = [*str(error).splitlines(), ""]
    message = NOISE.sub("", first)
    return f"{type(error).__name__}: {message}"[:300]


def where(error: BaseException) -> str:
    """Return an exception in a line, with the place in the user's code."""
    message = describe(error).removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        name = type(error).__name__
        return f"{name}: {error.msg} ({named(error.filename)}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _own(frame.filename)]
    if not own:
        return message
    return f"{message} ({named(own[-1].filename)}:{own[-1].lineno})"


def _own(path: str) -> bool:
    return not installed(path) and not path.startswith((HERE, "<"))
