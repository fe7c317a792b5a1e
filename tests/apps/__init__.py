"""Small apps, as people write them: each breaks a rule, beside the same app fixed.

`APPS` says what the guard has to find in each.
"""

import typing as t
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from session_scoping import Verdict
from session_scoping.loading import load
from session_scoping.loading import load_client


class Example(t.NamedTuple):
    """An app, and what the guard has to find in it."""

    name: str  # the name of the pair, and broken or fixed
    target: str
    rule: str = ""  # the main rule that it breaks; empty: none
    view: str = ""  # the class of the view that breaks it; empty: no view in particular
    cause: str = ""  # the name of the known cause
    also: tuple[str, ...] = ()  # other rules that it breaks
    line_marker: str = ""  # the end of the line that the guard has to name
    needs: tuple[str, ...] = ()  # packages, beyond Flask-Admin and SQLAlchemy
    since: tuple[int, ...] = ()  # the first Flask-Admin to run it
    before: tuple[int, ...] = ()  # the first Flask-Admin that refuses or fixes it
    since_flask: tuple[int, ...] = ()  # the first Flask with which it is broken
    client: str = ""  # the function that makes a logged-in client
    at_once: tuple[str, ...] = ()  # rules that it breaks on a database file
    saving: bool = False  # it is broken only when something is saved
    writes: bool = False  # it writes in a GET
    alone: bool = False  # it spoils the process for other apps
    fix: str = ""  # the file in session_scoping/fixes that it runs

    @property
    def holds(self) -> bool:
        return not self.rule and not self.writes

    @property
    def file(self) -> Path:
        module = self.target.partition(":")[0]
        spec = find_spec(module)
        assert spec, module
        assert spec.origin, module
        return Path(spec.origin)

    @property
    def line(self) -> int:
        """The line of ``file`` that the guard has to name, or 0."""
        if not self.line_marker:
            return 0
        [number] = [
            number
            for number, line in enumerate(self.file.read_text().splitlines(), 1)
            if line.endswith(self.line_marker)
        ]
        return number


def verdict_on(example: Example) -> Verdict:
    """Drive an app, and judge it."""
    with Recorder() as recorder:
        app = load(example.target, recorder)
        client = load_client(example.client) if example.client else None
        record(app, client=client, recorder=recorder, write=example.saving)
    return judge(recorder.recording)


FSA = ("flask_sqlalchemy",)
LITE = ("flask_sqlalchemy_lite",)

RAW = "a raw session given to a view"
CALLED = "`db.session()` given to a view"
LITE_SESSION = "Flask-SQLAlchemy-Lite's `db.session` given to a view"
UNCLOSED = "a handle that leaves its session open"
NEVER_REMOVED = "a `scoped_session` that is never removed"
BY_HAND = "a session made by hand"
ROWS = "rows kept beyond their request"
COMMITS = "a teardown that commits"
MIDDLE = "`db.session.remove()` or `close()` in the middle of a request"
EACH_TIME = "a handle that makes a session each time it is asked"
SMALL_SCOPE = "a scope that is smaller than a request"
THREAD = "a session that a background thread makes and does not close"
OTHER_THREAD = "a `scoped_session` that is used on another thread than its request's"
OWN_STREAM = "a stream that uses rows or the session after the view has answered"
CONNECTION = "a connection that is taken by hand and not returned"
REMOVED_IF_IT_WORKS = "a `scoped_session` that is removed only where no error occurs"
REMOVED_BY_SOME = "a `scoped_session` that is removed only by some requests"
EXPORT = "Flask 3.1.2 and newer: a streamed export outlives its session"
CONTEXT = "an app context around the test client"
LEFT_IN_REGISTRY = "a lost connection leaves its session in the registry"
LEFT_IN_SCOPED = (
    "a lost connection leaves a session in the registry of a `scoped_session`"
)
PUSHED = "an app context that was pushed while the app was built"
NESTED = "an app context inside a request"
TWO_HANDLES = "two handles or two engines for one database"
CACHED = "rows kept by a cache of `lru_cache` or `cachetools`"
SINCE_START = "a session kept since the app was built"
DEFAULT_ROW = "a row kept by a form since the app was built"
KEPT = "a session kept beyond its request"
UNIQUE = (
    "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps a session from startup"
)


def pair(
    name: str,
    rule: str,
    cause: str,
    view: str,
    *,
    module: str = "",
    marked: bool = True,
    fix: str = "",
    needs: tuple[str, ...] = (),
    since: tuple[int, ...] = (),
    client: str = "",
    **more: t.Any,
) -> list[Example]:
    """Return the broken app and the fixed app, in a module each or in the same."""
    target = f"tests.apps.{module}:{name}_" if module else f"tests.apps.{name}:"
    marker = f"# broken: {name}" if module else "# broken here"
    both: t.Any = {"needs": needs, "since": since, "client": client}
    broken = Example(
        f"{name}:broken",
        f"{target}broken",
        rule,
        view,
        cause,
        line_marker=marker if marked else "",
        **both,
        **more,
    )
    return [broken, Example(f"{name}:fixed", f"{target}fixed", fix=fix, **both)]


kept = partial(pair, module="kept", needs=FSA)
by_hand = partial(pair, module="by_hand", needs=FSA)
midway = partial(pair, module="midway", needs=FSA)
scopes = partial(pair, module="scopes")
lite = partial(pair, module="lite", needs=LITE, since=(2, 1))

APPS: list[Example] = [
    # Whole apps.
    *pair("raw_session", "handle", RAW, "ReportView", fix="raw_session"),
    *pair(
        "never_removed",
        "released",
        NEVER_REMOVED,
        "TaskView",
        marked=False,
        fix="never_removed",
    ),
    *pair("captured_at_startup", "fresh", KEPT, "OpenOrderView", needs=FSA),
    *pair(
        "thread_session",
        "released",
        THREAD,
        "LooseCountView",
        needs=FSA,
        fix="own_thread",
    ),
    *pair(
        "lazy_export",
        "alive",
        EXPORT,
        "WriterView",
        since_flask=(3, 1, 2),
        marked=False,
        needs=FSA,
        since=(2, 1),
        fix="streams_too_late",
    ),
    *pair(
        "streamed_page",
        "alive",
        OWN_STREAM,
        "LazyDownloadView",
        since_flask=(3, 1, 2),
        needs=FSA,
    ),
    *pair("binds", "released", BY_HAND, "ApartTotalView", needs=FSA),
    *pair(
        "login",
        "released",
        ROWS,
        "CachedUserView",
        marked=False,
        needs=FSA,
        client="tests.apps.login:client",
    ),
    *pair(
        "inline_forms",
        "released",
        ROWS,
        "RememberingPersonView",
        marked=False,
        needs=FSA,
    ),
    *pair(
        "async_view",
        "released",
        OTHER_THREAD,
        "StatusView",
        fix="other_thread",
        needs=("asgiref",),
        since=(2,),
    ),
    Example(
        "module_level:broken",
        "tests.apps.module_level_broken:app",
        "fresh",
        "ReadToolView",
        KEPT,
        also=("single",),
        line_marker="# broken here",
    ),
    Example("module_level:fixed", "tests.apps.module_level:app"),
    *pair("shop", "fresh", KEPT, "StockView", needs=FSA),
    # Small views and teardowns, in an app that they share.
    *kept("called_session", "handle", CALLED, "CallingView", fix="called_session"),
    *kept("first_use_global", "fresh", KEPT, "CountOnceView"),
    *kept("class_attribute", "fresh", KEPT, "FastUserView", fix="kept_session"),
    *kept("choices_function", "fresh", KEPT, "EagerChoosingView"),
    *kept("query_factory", "fresh", KEPT, "PostView"),
    *kept("ajax_lookup", "fresh", KEPT, "PostView"),
    *kept("default_row", "released", DEFAULT_ROW, "PostView", fix="default_row"),
    *kept("seeded_at_start", "fresh", SINCE_START, "", fix="kept_since_start"),
    *kept(
        "row_cache", "released", ROWS, "CachedView", marked=False, fix="kept_instance"
    ),
    *kept("connection_kept", "released", CONNECTION, "FastSizeView", fix="connection"),
    *by_hand(
        "by_hand_query",
        "single",
        BY_HAND,
        "OwnQueryView",
        also=("released",),
        fix="by_hand",
    ),
    *by_hand(
        "by_hand_formatter", "single", BY_HAND, "OwnPostsView", also=("released",)
    ),
    *by_hand(
        "by_hand_on_change",
        "single",
        BY_HAND,
        "OwnLogView",
        also=("released",),
        saving=True,
    ),
    *by_hand("filters", "single", BY_HAND, "OwnBikeView", also=("released",)),
    *by_hand("second_database", "released", BY_HAND, "OpenOtherView"),
    *midway("removed_in_formatter", "single", MIDDLE, "RemovingView"),
    *midway("counting_view", "", "", "CountingView", writes=True),
    *midway(
        "pushed_context",
        "fresh",
        PUSHED,
        "UserView",
        also=("released",),
        alone=True,
        fix="pushed_context",
    ),
    *midway("second_handle", "single", TWO_HANDLES, "StoreView", fix="two_handles"),
    *midway(
        "cached_rows", "released", CACHED, "CachedView", marked=False, fix="cached_rows"
    ),
    *midway(
        "context_in_request", "single", NESTED, "ContextView", fix="nested_context"
    ),
    *scopes(
        "raw_session_given",
        "handle",
        RAW,
        "UserView",
        before=(2, 1),
        fix="raw_session",
    ),
    *scopes("closed_not_removed", "fresh", NEVER_REMOVED, "UserView", marked=False),
    *scopes("teardown_commits", "isolated", COMMITS, "UserView", fix="commits"),
    *scopes("teardown_skipped", "recovers", REMOVED_IF_IT_WORKS, "AverageView"),
    *scopes("removed_by_a_page", "fresh", REMOVED_BY_SOME, "UserView"),
    *scopes("one_of_two_removed", "fresh", NEVER_REMOVED, "UserView", marked=False),
    *scopes(
        "session_each_time",
        "single",
        EACH_TIME,
        "UserView",
        also=("released",),
        fix="raw_session",
    ),
    *scopes(
        "scope_per_call",
        "single",
        SMALL_SCOPE,
        "UserView",
        also=("released",),
        marked=False,
        fix="small_scope",
    ),
    *scopes(
        "scope_shared",
        "fresh",
        NEVER_REMOVED,
        "UserView",
        also=("released",),
        at_once=("isolated",),
        marked=False,
    ),
    *scopes("context_removes", "single", NESTED, "ContextView"),
    *scopes("nested_request", "alive", MIDDLE, "StatusView"),
    *scopes("replaced_handle", "handle", "", "SwitchingView", marked=False),
    *scopes(
        "unclosed", "released", UNCLOSED, "UserView", marked=False, fix="never_closed"
    ),
    *lite("lite_session", "handle", LITE_SESSION, "HoldingView", fix="lite_session"),
    *lite("closed_in_count_query", "alive", MIDDLE, "ClosingView", marked=False),
    # The app is right, and two releases of Flask-Admin are wrong.
    Example(
        "lite_unique:broken",
        "tests.apps.lite:lite_unique",
        "fresh",
        "LabelView",
        UNIQUE,
        needs=LITE,
        since=(2, 1),
        before=(2, 2, 1),
        saving=True,
    ),
    Example(
        "lite_unique:fixed",
        "tests.apps.lite:lite_unique",
        needs=LITE,
        since=(2, 2, 1),
    ),
]
