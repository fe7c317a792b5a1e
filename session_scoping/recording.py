"""A recording: what was seen of an app, as plain data.

It can be saved as JSON, and judged later on another machine. This module imports
neither Flask nor SQLAlchemy.
"""

import json
import types
import typing as t
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path

FORMAT = 6
# Keepers that are not a mistake by themselves.
REGISTRY = "the registry of a scoped_session"
STATEMENT = "a statement that SQLAlchemy has compiled and keeps"
INSTALLED = " (installed)"  # the end of the name of a module that is no app's
# In the error of a statement that is refused because a rollback would not undo it.
REFUSED = "refused while pages are read"


class Word(str, Enum):
    """An enum of words that are printed and saved as they are."""

    def __str__(self) -> str:
        return str(self.value)

    __hash__ = str.__hash__  # as it is equal to its value


class Maker(Word):
    """What makes sessions."""

    FLASK_SQLALCHEMY = "flask_sqlalchemy"
    LITE = "flask_sqlalchemy_lite"
    SCOPED_SESSION = "scoped_session"
    HAND = "hand"  # other code


class OperationKind(Word):
    """What a person does in the admin."""

    LIST = "list"
    DETAILS = "details"
    CREATE_FORM = "create form"
    EDIT_FORM = "edit form"
    LOOK_UP = "look-up of"
    EXPORT = "export"
    PAGE = "page"
    CREATE = "create"
    EDIT = "edit"
    INLINE_EDIT = "inline edit"
    INLINE_CHILD = "inline child of"
    BULK = "bulk"
    DELETE = "delete"


class Fault(Word):
    """An error that is raised on purpose: ``drive/faults.py`` injects it."""

    EXHAUSTED = "the pool is exhausted"
    BEFORE = "before a statement"
    AFTER = "after a statement"
    LOST = "the connection is lost"
    COMMIT = "at the commit"
    ROLLBACK = "at the rollback"
    KILLED = "the request is killed"  # by the bookshop, and not at a step


class SessionError(Word):
    """What an error says where a session was closed, mixed up, failed or shared."""

    DETACHED = "is not bound to a Session"
    ATTACHED = "is already attached to session"
    ROLLED_BACK = "transaction has been rolled back"
    OTHER_THREAD = "can only be used in that same thread"  # sqlite3 says it
    # Two threads use a session: https://docs.sqlalchemy.org/en/20/errors.html#error-isce
    AT_ONCE = "IllegalStateChangeError"


class Deed(Word):
    """What Flask-Admin must not do by itself."""

    COMMIT = "commit"  # a commit where nothing is to be saved
    PAST_THE_SESSION = "past the session"  # a statement that the session does not send


class Obstacle(Word):
    """What keeps an operation from being driven, if something can be done about it."""

    CLIENT = "the app does not show it to this client"
    PATTERN = "the user has skipped its endpoint"


class NotARecording(ValueError):
    """A file that does not hold a recording. The message says what is wrong."""


class Place(t.NamedTuple):
    """A line of code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"

    @property
    def of_flask_admin(self) -> bool:
        return self.file.startswith("flask_admin/") and not self.file.startswith(
            "flask_admin/tests/"
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """What a person does in a view. It is printed as ``export csv, dropped``."""

    kind: OperationKind
    subject: str = ""  # a relationship, a file format, an action, a page
    variant: str = ""  # how it differs from the plain operation

    def __str__(self) -> str:
        name = f"{self.kind} {self.subject}" if self.subject else str(self.kind)
        return f"{name}, {self.variant}" if self.variant else name


LIST = Operation(OperationKind.LIST)


@dataclass(frozen=True, slots=True)
class Injected:
    """An injected fault, and the step at which it struck."""

    fault: Fault
    step: str  # the first characters of a statement, or COMMIT, or ROLLBACK


@dataclass(slots=True)
class View:
    """A view of an ``Admin``, and the handle that it was given."""

    name: str  # of its class
    endpoint: str
    model: str = ""  # empty: not a SQLAlchemy view
    handle: str = ""  # the type that it holds, with its module
    session: int | None = None  # the session that it holds, if it holds no handle
    replaced: bool = False  # does it no longer hold the object that it held at first?
    place: Place | None = None  # of its class
    # Did its form create a row? ``None``: that was not asked for.
    row_made: bool | None = None


@dataclass(slots=True)
class Use:
    """The use of a session by a request."""

    session: int
    place: Place | None = None  # the line outside of SQLAlchemy that first used it
    own: Place | None = None  # the first line above it in the app's own code
    outside: Place | None = None  # where it was used before, outside of any request
    thread: str = ""  # that first used it, if another thread serves the request
    closed: bool = False  # by the end of the request
    closed_at: Place | None = None  # the line of the app that closed it last
    closed_early: Place | None = None  # closed before the view had answered
    closed_unsolicited: bool = False  # by Flask, Flask-Admin or an extension
    closed_with: Place | None = None  # by an app context inside the request: its line
    used_after_close: Place | None = None  # where it was used again after it was closed
    close_error: str = ""  # why closing it failed, in this request or earlier
    joined: bool = False  # did it begin in the transaction of a concurrent request?


@dataclass(slots=True)
class Request:
    """A request, until the last byte of its response."""

    number: int
    method: str
    path: str
    view: int | None = None  # ``None``: it is outside of the admin
    operation: Operation | None = None  # ``None``: the crawler did not make it
    status: int = 0
    started: float = 0.0  # seconds since the recording began
    ended: float = 0.0
    thread: str = ""
    ended_on: str = ""  # the thread, if it is not the thread that it began on
    parent: int | None = None  # the request that made this request
    overtakes: int | None = None  # the concurrent request that waited for it
    absent: bool = False  # does it ask for a row that does not exist?
    streamed: bool = False
    outer_context: bool = False  # was it made inside an app context?
    pushed_at: Place | None = None  # where that was pushed, if it was pushed to stay
    exception: str = ""  # the exception that ended the view
    raised_at: Place | None = None  # the last line of the app that raised it
    raised_while_saving: bool = False  # was that line called by Flask-Admin's saving?
    stream_exception: str = ""  # the exception that ended the response half-way
    interrupted: bool = False  # by Ctrl-C: it counts as not ended
    flush_failed_at: Place | None = None  # the line of the app that flushed
    autoflush_failed: bool = False  # was that flush by a query?
    commit_failed_at: Place | None = None  # the line of the app that committed
    teardown_failed_at: Place | None = None  # the line of a teardown that raised
    statements: int = 0
    taken: int = 0  # connections
    returned: int = 0
    left_in_transaction: bool = False  # was a connection returned in a transaction?
    left_changed: str = ""  # what it changed in a connection that it returned
    uses: t.Sequence[Use] = ()
    injected: Injected | None = None
    unexpected: str = ""  # what it failed to do
    said: t.Sequence[str] = ()  # in messages and in a log: errors of a session
    outdated: str = ""  # how it shows what the database held before a change
    dirty_read: bool = False  # does it show a change that another did not commit?
    dirty_write: bool = False  # does it save a change that no request has committed?

    @property
    def failure(self) -> str:
        """What did not work, or an empty string."""
        return self.exception or self.stream_exception or self.unexpected

    @property
    def does(self) -> str:
        """What the request does: an operation, or a method and a path."""
        return str(self.operation or f"{self.method} {self.path}")

    @property
    def in_trouble(self) -> bool:
        """Did the request fail, by itself or by an injected fault?"""
        return bool(self.injected or self.exception or self.status >= 500)


@dataclass(slots=True)
class Outside:
    """A use of a session outside of requests: on a thread that serves no request."""

    place: Place | None
    own: Place | None
    thread: str
    request: int | None = None  # that ran meanwhile, if all that ran did the same
    unsolicited: bool = False  # by Flask-Admin itself, and not called by other code
    in_context: bool = False  # was there an app context?
    at_work: bool = False  # was the thread at work when the recording ended?
    repeats: bool = False  # did it ask the same in one transaction, requests later?
    served: int | None = None  # the request that it served before, which had ended


@dataclass(slots=True)
class Session:
    """A session, from when it is made to the end of the recording."""

    number: int
    maker: Maker | None = None  # ``None``: not known
    engines: t.Sequence[int] = ()
    born_in: int | None = None  # the request
    at_startup: bool = False  # was it made while the app was built?
    in_stream: bool = False  # was it made while a response was streamed?
    in_mapper_event: bool = False  # was it made while another session was flushed?
    context: Place | None = None  # the app context inside a request: where it opens
    handle_of: int | None = None  # the view whose handle's own method made it
    registry: int | None = None  # the number of the ``scoped_session`` that gave it
    empty: bool = False  # was it used by nothing before its first request?
    place: Place | None = None
    own: Place | None = None
    closed: bool = False  # when the recording ended
    close_error: str = ""  # of the last close that failed
    released: float = 0.0  # when it was last closed, if not in a request
    kept: bool = False  # still alive when the recording ended
    kept_by: t.Sequence[str] = ()  # the references to it, from the app down
    keeper: int | None = None  # the view that keeps it
    outside: t.Sequence[Outside] = ()
    left_alone: bool = False  # does a pattern of ``leave_alone`` match it?


@dataclass(slots=True)
class KeptInstance:
    """A loaded instance that outlived its request."""

    model: str
    session: int
    request: int | None  # ``None``: it was loaded while the app was built
    kept_by: t.Sequence[str] = ()
    keeper: int | None = None  # the view that keeps it


@dataclass(slots=True)
class DetachedRow:
    """A row of no session that a thread has used, outside of any request."""

    error: str
    place: Place | None  # the last line of the app that raised the error
    thread: str
    request: int | None = None  # that ran meanwhile, if all that ran did the same


@dataclass(slots=True)
class LateCommit:
    """A commit that was made after the view had answered."""

    request: int
    session: int
    place: Place | None


@dataclass(slots=True)
class Write:
    """A write of the app while its pages were read: it was rolled back, or refused."""

    sql: str
    request: int | None = None  # ``None``: not in a request, as on another thread
    place: Place | None = None
    own: Place | None = None
    refused: bool = False  # because a rollback would not undo it
    committed: bool = False  # did the app commit it, while the request had not failed?


@dataclass(slots=True)
class StartupQuery:
    """A query that the app sends while a view, or the class of a form, is built."""

    own: Place
    repeated: bool = False  # does a request send it, too?


@dataclass(slots=True)
class Unsolicited:
    """Unsolicited work of Flask-Admin itself.

    It is a commit where nothing is to be saved, or a statement past the session.
    """

    deed: Deed
    request: int
    place: Place


@dataclass(slots=True)
class Unreturned:
    """A connection that a request took and did not return."""

    request: int
    place: Place | None  # the first line outside of SQLAlchemy
    own: Place | None = None  # the first line of the app's code
    by_hand: bool = False  # was it taken past all sessions?


@dataclass(slots=True)
class Unseen:
    """An operation that was not driven, and why."""

    view: int
    operation: Operation
    why: str
    obstacle: Obstacle | None = None


@dataclass
class Recording:
    """All that was seen of an app. The rules use nothing else.

    ``record`` and ``Recorder`` return a recording. ``judge`` takes it.
    """

    app: str = ""
    stack: dict[str, str] = field(default_factory=dict)  # package: version
    engines: list[str] = field(default_factory=list)  # URLs, without passwords
    views: list[View] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    kept_instances: list[KeptInstance] = field(default_factory=list)
    unreturned: list[Unreturned] = field(default_factory=list)
    late_commits: list[LateCommit] = field(default_factory=list)
    unsolicited: list[Unsolicited] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)  # while pages were read
    startup_queries: list[StartupQuery] = field(default_factory=list)
    detached_rows: list[DetachedRow] = field(default_factory=list)
    unseen: list[Unseen] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    in_memory: list[int] = field(default_factory=list)  # numbers of engines of SQLite

    def to_json(self) -> dict[str, t.Any]:
        """Return the recording as plain data, which ``from_json`` reads."""
        return {"format": FORMAT, **asdict(self)}

    def save(self, path: str | Path) -> None:
        """Write the recording to a file. Raises ``OSError``."""
        Path(path).write_text(json.dumps({"recording": self.to_json()}))

    @classmethod
    def from_json(cls, data: dict[str, t.Any]) -> "Recording":
        """Make a recording from what ``to_json`` returned.

        Raises ``NotARecording`` if the data are anything else, or of another format.
        """
        if not isinstance(data, dict) or "format" not in data:
            raise NotARecording("not a recording")
        if data["format"] != FORMAT:
            raise NotARecording(
                f"the recording has format {data['format']!r}, not {FORMAT}: "
                "record it again with this release"
            )
        try:
            return t.cast(Recording, _build(cls, data))
        except KeyError as error:
            raise NotARecording(f"not a whole recording: no {error}") from error
        except (TypeError, ValueError) as error:
            raise NotARecording(f"not a whole recording: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> "Recording":
        """Read a recording from a file that ``save`` or the option ``--json`` wrote.

        Raises ``NotARecording`` if the file holds anything else, and ``OSError`` if it
        cannot be read.
        """
        try:
            data = json.loads(Path(path).read_text())
        except ValueError as error:
            raise NotARecording(f"{path} is not JSON: {error}") from error
        if not isinstance(data, dict) or "recording" not in data:
            raise NotARecording(f"{path} has no recording in it")
        try:
            return cls.from_json(data["recording"])
        except NotARecording as error:
            raise NotARecording(f"{path}: {error}") from error


def _build(kind: t.Any, data: t.Any) -> t.Any:
    """Convert JSON to a value of a type that this module annotates."""
    arguments = t.get_args(kind)
    if t.get_origin(kind) is types.UnionType:  # all of them are `… | None`
        return None if data is None else _build(arguments[0], data)
    if is_dataclass(kind):
        hints = t.get_type_hints(kind)
        return t.cast(t.Any, kind)(
            **{
                field.name: _build(hints[field.name], data[field.name])
                for field in fields(kind)
            }
        )
    if kind is Place:
        return Place(*data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    if arguments and t.get_origin(kind) is not dict:
        return [_build(arguments[0], item) for item in data]
    return data
