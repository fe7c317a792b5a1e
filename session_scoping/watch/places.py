"""Attribution: which line is running, and which package it belongs to."""

import inspect
import os
import re
import sys
import sysconfig
import threading
import traceback
import typing as t
from inspect import CO_GENERATOR
from types import CodeType
from types import FrameType
from weakref import ref

import flask
from sqlalchemy.orm import scoped_session

from session_scoping.recording import Maker
from session_scoping.recording import Place
from session_scoping.watch.kinds import is_a
from session_scoping.watch.kinds import is_of_tests
from session_scoping.watch.kinds import is_test_file
from session_scoping.watch.kinds import RUNNERS

SKIPPED = "skipped"  # SQLAlchemy, what makes sessions of it, and this package
LIBRARY = "library"
PYTHON = "python"  # its standard library
OWN = "own"
OTHERS = "others"  # the app, and what it uses beside the libraries judged here
SAVES = {"create_model", "update_model", "delete_model"}
DISPATCH = flask.Flask.dispatch_request.__code__

# In messages: an address, which differs each time, and SQLAlchemy's own link.
NOISE = re.compile(
    r" at 0x[0-9a-f]+| The object was created in thread id \d+ and this is .*?\."
    r"| \(Background on this error[^)]*\)?"
)
HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep  # of this package
# They are code of an app like any other.
OF_APPS = (
    os.path.join(HERE, "bookshop") + os.sep,
    os.path.join(HERE, "fixes") + os.sep,
)
STDLIB = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib"))
# Of code that a library has put together, as SQLAlchemy 1.4.0's `scoped_session` is.
# There is no line to point at, and libraries share the name.
GENERATED = "<string>"
# However they are installed: they may be checkouts that are being worked on.
PROXIES = "werkzeug/local.py"
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
        # The files that a search passes, but for that of the boundary.
        self.skipped: set[str] = set()
        self.not_own: set[str] = set()
        # By code and instruction: to find the line of an instruction takes long.
        self.known: dict[tuple[int, int], tuple[Place, ref[CodeType]]] = {}

    def code(self, frame: FrameType) -> Code:
        path = frame.f_code.co_filename
        return self.files.get(path) or self._classify(path, frame)

    def _classify(self, path: str, frame: FrameType) -> Code:
        code = _code(frame)
        if path != self.boundary.co_filename:
            if code.owner is SKIPPED:
                self.skipped.add(path)
            if code.owner is not OWN:
                self.not_own.add(path)
        self.files[path] = code  # last: ``_ends`` relies on the sets
        return code

    def _beyond(self, files: set[str], frame: FrameType | None) -> FrameType | None:
        """Return the first frame that runs none of these files, or calls the app.

        ``files``: ``skipped`` or ``not_own``. This runs for each frame of a request's
        stack, so that each step counts.
        """
        while frame is not None:
            if frame.f_code.co_filename not in files and self._ends(files, frame):
                return frame
            frame = frame.f_back
        return None

    def _ends(self, files: set[str], frame: FrameType) -> bool:
        """Does a search end at a frame whose file is in none of these, so far?"""
        path = frame.f_code.co_filename
        if path == self.boundary.co_filename:
            return frame.f_code is self.boundary
        if path not in self.files:
            self._classify(path, frame)
        return path not in files

    def _line(self, frame: FrameType | None) -> Place | None:
        """Return the line of a frame, or ``None`` if the frame calls the app."""
        if frame is None or frame.f_code is self.boundary:
            return None
        return self.at(frame)

    def at(self, frame: FrameType) -> Place:
        running = frame.f_code
        key = id(running), frame.f_lasti
        known = self.known.get(key)
        if known is None:
            file = self.code(frame).file
            place = Place(file, frame.f_lineno, running.co_name)
            all_known = self.known
            # The number may be that of other code once this code is gone.
            gone = ref(running, lambda _: all_known.pop(key, None))
            known = all_known[key] = place, gone
        return known[0]

    def here(self, frame: FrameType | None = None) -> tuple[Place | None, Place | None]:
        """Return the first line outside of SQLAlchemy, and the first in the app's code.

        ``frame``: where to begin, if it is not here.
        """
        begin, frame = frame, frame or sys._getframe(1)
        first = self._beyond(self.skipped, frame)
        own = self._beyond(self.not_own, first)
        if own is None and begin is None and (outer := awaiting()) is not None:
            place, line = self.here(outer)
            return self._line(first) or place, line
        return self._line(first), self._line(own)

    def running(self) -> t.Iterator[object]:
        """Yield what the nearest methods in the app's own code belong to.

        A function that a ``LocalProxy`` calls belongs to the proxy. The first code that
        is neither ends them, but for SQLAlchemy's beneath.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and self.code(frame).owner is SKIPPED:
            frame = frame.f_back
        while frame is not None:
            code = self.code(frame)
            own = code.owner is OWN
            if not (own or code.file == PROXIES):
                return
            name = "self" if own else "instance"
            if name in frame.f_code.co_varnames[:2]:
                yield frame.f_locals.get(name)
            frame = frame.f_back

    def registry(self) -> object | None:
        """Return the ``scoped_session`` that makes a session, or ``None``."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and self.code(frame).owner is SKIPPED:
            caller = frame.f_locals.get("self")
            if is_a(caller, scoped_session):
                return caller
            frame = frame.f_back
        return None

    def near(self) -> Place | None:
        """Return the first line outside of SQLAlchemy, also where it calls the app."""
        frame: FrameType | None = sys._getframe(1)
        known = self.files
        while frame is not None:
            code = known.get(frame.f_code.co_filename) or self.code(frame)
            if code.owner is not SKIPPED:
                return self.at(frame)
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

    def opens_context(self) -> tuple[Place | None, bool]:
        """Return the line of the app that opens a context, and if the context stays.

        It does not if a ``with`` statement, a generator or a test opens it.
        """
        frame: FrameType | None = sys._getframe(1)
        entered = False
        while frame is not None and frame.f_code is not self.boundary:
            code, running = self.code(frame), frame.f_code
            if code.owner is OWN:
                passing = entered or bool(running.co_flags & CO_GENERATOR)
                passing = passing or _is_of_a_test(frame, code.file)
                return self.at(frame), not passing
            entered = entered or running.co_name == "__enter__"
            frame = frame.f_back
        return None, False

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

    def flushes(self) -> tuple[Place | None, bool]:
        """Return the line of the app that flushes a session, and if it is a query.

        A query flushes the session first, and a commit flushes it, too.
        """
        names, line = self._calls()
        return line if "flush" in names else None, "_autoflush" in names

    def commits(self) -> Place | None:
        """Return the line of the app that makes the database commit."""
        names, line = self._calls()
        return line if "_commit_impl" in names else None

    def _calls(self) -> tuple[set[str], Place | None]:
        """Return the functions of SQLAlchemy that run, and the line that calls them.

        The line is ``None`` where it is not in the app's code.
        """
        frame: FrameType | None = sys._getframe(1)
        names: set[str] = set()
        while frame is not None and frame.f_code is not self.boundary:
            code = self.code(frame)
            if code.owner is not SKIPPED:
                return names, self.at(frame) if code.owner is OWN else None
            names.add(frame.f_code.co_name)
            frame = frame.f_back
        return names, None

    def builds_view(self) -> Place | None:
        """Return the line of the app that runs while a view or a form is built.

        Flask-Admin builds the view, or the body of a class runs. SQLAlchemy's reading
        of the tables is not meant.
        """
        frame: FrameType | None = sys._getframe(1)
        own: Place | None = None
        while frame is not None and frame.f_code is not self.boundary:
            code = self.code(frame)
            if code.owner is OWN:
                own = own or self.at(frame)
                if "__qualname__" in frame.f_locals:  # of the body of a class
                    return own
            elif own is None and code.file.endswith("engine/reflection.py"):
                return None
            elif own is not None and self.at(frame).of_flask_admin:
                return own
            frame = frame.f_back
        return None

    def in_session(self) -> bool:
        """Does a method of a session run?"""
        return self._runs("session.py")

    def in_flush(self) -> bool:
        """Does a session write to the database, with its mapper events?"""
        return self._runs("unitofwork.py")

    def _runs(self, file: str) -> bool:
        """Does a file of SQLAlchemy's ORM run, within the call of the app?"""
        ending = os.path.join("sqlalchemy", "orm", file)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.boundary:
            if frame.f_code.co_filename.endswith(ending):
                return True
            frame = frame.f_back
        return False

    def callers(self) -> frozenset[CodeType]:
        """Return the code of the app that runs, from here up."""
        frame: FrameType | None = sys._getframe(1)
        found = set()
        while frame is not None and frame.f_code is not self.boundary:
            if self.code(frame).owner is OWN:
                found.add(frame.f_code)
            frame = frame.f_back
        return frozenset(found)

    def is_at_work(self, frame: FrameType | None) -> bool:
        """Does a thread run code of the app, or of what it uses, in this frame?"""
        return OTHERS in self._owners(frame)

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
                break
            if code.maker is not None:
                maker = code.maker
                if maker is not Maker.SCOPED_SESSION:  # which an extension may use
                    frame = self._beyond(self.skipped, frame)
                    break
            frame = frame.f_back
        if frame is None:
            return maker, None, None
        place = self.at(frame)
        return maker, place, place if self.code(frame).owner is OWN else None


def runs_for_a_task(greenlet: object) -> bool:
    """Does SQLAlchemy run a call of an ``AsyncSession`` in a greenlet?"""
    return type(greenlet).__module__.startswith("sqlalchemy.")


def awaiting() -> FrameType | None:
    """Return the frame that awaits this call of an ``AsyncSession``, if there is one.

    SQLAlchemy makes the call in a greenlet, which has a stack of its own.
    """
    known = sys.modules.get("greenlet")
    now = known.getcurrent() if known else None
    return now.parent.gr_frame if now and runs_for_a_task(now) else None


def place_of(kind: type) -> Place | None:
    """Return the line where a class is defined, or ``None``."""
    try:
        path = inspect.getsourcefile(kind)
        _, line = inspect.getsourcelines(kind)
    except (OSError, TypeError):
        return None
    return Place(readable(path or ""), line, kind.__name__)


def _code(frame: FrameType) -> Code:
    path = frame.f_code.co_filename
    module = str(frame.f_globals.get("__name__", ""))
    package = module.partition(".")[0]
    if path.startswith(OF_APPS):
        return Code(OWN, readable(path), None)
    if path.startswith(HERE) or path == GENERATED:
        return Code(SKIPPED, readable(path), None)
    if package in EXTENSIONS:
        return Code(SKIPPED, readable(path), EXTENSIONS[package])
    if package == "sqlalchemy":
        scoping = path.endswith(("scoping.py", "_collections.py"))
        return Code(SKIPPED, readable(path), Maker.SCOPED_SESSION if scoping else None)
    made_at_run_time = not path.endswith(".py")  # as a template is
    if package in LIBRARIES and not module.startswith("flask_admin.tests"):
        _, found, rest = path.rpartition(f"{os.sep}{package}{os.sep}")
        return Code(LIBRARY, f"{package}/{rest}" if found else readable(path), None)
    if made_at_run_time or in_packages(path):
        return Code(LIBRARY, readable(path), None)
    if path.startswith(STDLIB):
        return Code(PYTHON, readable(path), None)
    return Code(OWN, readable(path), None)


def installed(path: str) -> bool:
    """Is the file part of the standard library, or of an installed package?"""
    return in_packages(path) or path.startswith(STDLIB)


def in_packages(path: str) -> bool:
    return "site-packages" in path or "dist-packages" in path


def readable(path: str) -> str:
    """Return a path as a person would write it."""
    for folder in ("site-packages", "dist-packages"):
        _, found, rest = path.rpartition(folder + os.sep)
        if found:
            return rest
    return path.removeprefix(os.getcwd() + os.sep)


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception, in a line."""
    return f"{type(error).__name__}: {first_line(str(error))}"[:300]


def first_line(message: str) -> str:
    """Return the first line of a message, without what differs each time."""
    first, *_ = [*message.splitlines(), ""]
    return NOISE.sub("", first)


def code_of(error: BaseException) -> t.Iterator[CodeType]:
    """Yield the code that an exception has passed through, from the outermost in."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        yield frame.f_code


def raised_at(error: BaseException) -> Place | None:
    """Return the last line of the app that an exception has passed through."""
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _own(frame.f_code.co_filename):
            place = Place(
                readable(frame.f_code.co_filename), line, frame.f_code.co_name
            )
    return place


def raised_while_saving(error: BaseException) -> bool:
    """Did the app raise an exception in what Flask-Admin has called to save a row?"""
    saves = own = False
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        by_admin = str(frame.f_globals.get("__name__")).startswith("flask_admin.")
        saves = saves or (by_admin and code.co_name in SAVES)
        own = saves and (own or _own(code.co_filename))
    return own


def where(error: BaseException) -> str:
    """Return an exception in a line, with the place in the user's code."""
    message = describe(error).removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        name = type(error).__name__
        return f"{name}: {error.msg} ({readable(error.filename)}:{error.lineno})"
    at = raised_at(error)
    return f"{message} ({at.file}:{at.line})" if at else message


def _is_of_a_test(frame: FrameType, file: str) -> bool:
    """Does code of a test run: of a test's file, a test case, or a fixture?"""
    by = frame.f_back.f_globals.get("__name__") if frame.f_back else None
    called = frame.f_code.co_name != "<module>" and str(by).startswith(RUNNERS)
    if called or is_test_file(file):
        return True
    own = frame.f_code.co_varnames[:1]
    if own not in {("self",), ("cls",)}:
        return False  # to ask for its variables may keep them alive
    first = frame.f_locals.get(own[0])
    return is_of_tests(first if is_a(first, type) else type(first))


def _own(path: str) -> bool:
    return not installed(path) and not path.startswith((HERE, "<"))
