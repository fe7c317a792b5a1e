"""Small apps, as people write them: each breaks one rule, beside the same app fixed.

They are what the guard is pointed at. `APPS` says what it has to find in each.
"""

import typing as t
from importlib.util import find_spec
from pathlib import Path

MARKER = "# broken here"


class Example(t.NamedTuple):
    """An app, and what is wrong with it."""

    target: str
    rule: str = ""  # the main rule that it breaks; empty: none
    view: str = ""  # the class of the view that breaks it; empty: no view in particular
    cause: str = ""  # the name of the known cause
    also: tuple[str, ...] = ()  # other rules that it surely breaks
    line_marker: str = ""  # what stands at the end of the app's own line to name
    needs: tuple[str, ...] = ()  # packages, beyond Flask-Admin and SQLAlchemy
    since: tuple[int, ...] = ()  # the first Flask-Admin to run it
    before: tuple[int, ...] = ()  # the first one that refuses it, or is fixed
    since_flask: tuple[int, ...] = ()  # the first Flask with which it is broken
    client: str = ""  # the function that makes a client which may enter
    at_once: tuple[str, ...] = ()  # and these, where DATABASE_URL names a file
    saving: bool = False  # it shows only when something is saved
    writes: bool = False  # in a GET
    fails: tuple[str, ...] = ()  # pages that answer 500, as is meant
    alone: bool = False  # it spoils the process for other apps

    @property
    def holds(self) -> bool:
        return not self.rule and not self.writes

    @property
    def file(self) -> Path:
        module = self.target.partition(":")[0]
        spec = find_spec(module)
        assert spec and spec.origin, module
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


FSA = ("flask_sqlalchemy",)
LITE = ("flask_sqlalchemy_lite",)

RAW = "a raw session given to a view"
CALLED = "`db.session()` given to a view"
LITE_SESSION = "Flask-SQLAlchemy-Lite's `db.session` given to a view"
UNCLOSED = "a handle whose session nobody closes"
NEVER_REMOVED = "a `scoped_session` that is never removed"
BY_HAND = "a session made by hand"
ROWS = "rows kept beyond their request"
COMMITS = "a teardown that commits"
MIDDLE = "`db.session.remove()` or `close()` in the middle of a request"
SMALL_SCOPE = "a scope that is smaller than a request"
THREAD = "a session used by a background thread"
EXPORT = "Flask 3.1.2 and newer: a streamed export outlives its session"
CONTEXT = "an app context around the test client"
LEFT_IN_REGISTRY = "a lost connection leaves its session in the registry"
KEPT = "a session kept beyond its request"
UNIQUE = (
    "Flask-Admin 2.1.0 and 2.2.0: the Unique validator keeps the session of startup"
)


def pair(
    module: str,
    rule: str,
    view: str,
    cause: str,
    *,
    fixed_view: str = "",
    before: tuple[int, ...] = (),
    since_flask: tuple[int, ...] = (),
    also: tuple[str, ...] = (),
    at_once: tuple[str, ...] = (),
    marked: bool = True,
    saving: bool = False,
    writes: bool = False,
    alone: bool = False,
    **both: t.Any,
) -> list[Example]:
    """The broken app of a module, and the fixed app."""
    broken = Example(
        f"tests.apps.{module}:broken",
        rule,
        view,
        cause,
        also,
        MARKER if marked else "",
        before=before,
        since_flask=since_flask,
        at_once=at_once,
        saving=saving,
        writes=writes,
        alone=alone,
        **both,
    )
    fixed = Example(f"tests.apps.{module}:fixed", view=fixed_view or view, **both)
    return [broken, fixed]


APPS: list[Example] = [
    *pair("raw_session", "handle", "ReportView", RAW, fixed_view="ProductView"),
    *pair("raw_session_given", "handle", "ModelView", RAW, before=(2, 1)),
    *pair(
        "called_session",
        "handle",
        "CallingMemberView",
        CALLED,
        fixed_view="MemberView",
        needs=FSA,
    ),
    *pair(
        "lite_session",
        "handle",
        "TimetableView",
        LITE_SESSION,
        fixed_view="StationView",
        needs=LITE,
        since=(2, 1),
    ),
    Example(
        "tests.apps.lite_unique:create_app",
        "fresh",
        "LabelView",
        UNIQUE,
        needs=LITE,
        since=(2, 1),
        before=(2, 2, 1),
        saving=True,
    ),
    Example(
        "tests.apps.lite_unique:create_app",
        view="LabelView",
        needs=LITE,
        since=(2, 2, 1),
    ),
    *pair("never_removed", "released", "TaskView", NEVER_REMOVED, marked=False),
    *pair("unclosed", "released", "StampView", UNCLOSED, marked=False),
    *pair("closed_not_removed", "fresh", "RecipeView", NEVER_REMOVED, marked=False),
    *pair(
        "captured_at_startup",
        "fresh",
        "OpenOrderView",
        KEPT,
        fixed_view="OrderView",
        needs=FSA,
    ),
    *pair(
        "first_use_global",
        "fresh",
        "CountOnceView",
        KEPT,
        fixed_view="CountView",
        needs=FSA,
    ),
    *pair(
        "class_attribute",
        "fresh",
        "FastRoomView",
        KEPT,
        fixed_view="RoomView",
        needs=FSA,
    ),
    *pair(
        "choices_function",
        "fresh",
        "EagerGameView",
        KEPT,
        fixed_view="GameView",
        needs=FSA,
    ),
    *pair("query_factory", "fresh", "BookView", KEPT, needs=FSA),
    *pair(
        "by_hand_query",
        "single",
        "WaitingParcelView",
        BY_HAND,
        fixed_view="ParcelView",
        also=("released",),
        needs=FSA,
    ),
    *pair(
        "by_hand_formatter",
        "single",
        "BusyCustomerView",
        BY_HAND,
        fixed_view="CustomerView",
        also=("released",),
        needs=FSA,
    ),
    *pair(
        "by_hand_on_change",
        "single",
        "AuditedAccountView",
        BY_HAND,
        fixed_view="AccountView",
        also=("released",),
        saving=True,
        needs=FSA,
    ),
    *pair(
        "row_cache",
        "released",
        "CachedPlantView",
        ROWS,
        fixed_view="PlantView",
        marked=False,
        needs=FSA,
    ),
    *pair("teardown_commits", "isolated", "InvoiceView", COMMITS),
    *pair(
        "teardown_skipped",
        "recovers",
        "AverageView",
        NEVER_REMOVED,
        fails=("/admin/average/",),
    ),
    *pair(
        "removed_in_formatter",
        "single",
        "TidyTeamView",
        MIDDLE,
        fixed_view="TeamView",
        needs=FSA,
    ),
    *pair(
        "closed_in_count_query",
        "alive",
        "FreshShipView",
        MIDDLE,
        fixed_view="ShipView",
        marked=False,
        needs=LITE,
        since=(2, 1),
    ),
    *pair(
        "scope_per_call",
        "single",
        "SongView",
        SMALL_SCOPE,
        also=("released",),
        marked=False,
    ),
    *pair(
        "scope_shared",
        "fresh",
        "SeatView",
        NEVER_REMOVED,
        also=("released",),
        at_once=("isolated",),
        marked=False,
    ),
    *pair(
        "thread_session",
        "released",
        "LooseCountView",
        THREAD,
        fixed_view="CountView",
        needs=FSA,
    ),
    *pair(
        "lazy_export",
        "alive",
        "WriterView",
        EXPORT,
        fixed_view="LoadedWriterView",
        since_flask=(3, 1, 2),
        marked=False,
        needs=FSA,
        since=(2, 1),
    ),
    *pair(
        "counting_view",
        "",
        "CountedArticleView",
        "",
        fixed_view="ArticleView",
        writes=True,
        needs=FSA,
        since=(2, 1),
    ),
    *pair(
        "streamed_page",
        "alive",
        "LazyDownloadView",
        EXPORT,
        fixed_view="DownloadView",
        since_flask=(3, 1, 2),
        needs=FSA,
    ),
    *pair(
        "binds",
        "released",
        "ApartTotalView",
        BY_HAND,
        fixed_view="TotalView",
        needs=FSA,
    ),
    *pair(
        "login",
        "released",
        "CachedUserView",
        ROWS,
        marked=False,
        needs=FSA,
        client="tests.apps.login:client",
    ),
    *pair(
        "second_database",
        "released",
        "OpenSensorView",
        BY_HAND,
        fixed_view="SensorView",
        needs=FSA,
    ),
    *pair("seeded_at_start", "fresh", "", KEPT, needs=FSA, since=(2, 1)),
    *pair(
        "inline_forms",
        "released",
        "RememberingPersonView",
        ROWS,
        fixed_view="PersonView",
        marked=False,
        needs=FSA,
    ),
    *pair("ajax_lookup", "fresh", "CarView", KEPT, needs=FSA),
    *pair(
        "filters",
        "single",
        "ApartBikeView",
        BY_HAND,
        fixed_view="BikeView",
        also=("released",),
        needs=FSA,
    ),
    *pair(
        "async_view",
        "released",
        "StatusView",
        NEVER_REMOVED,
        needs=("asgiref",),
        since=(2,),
    ),
    *pair("nested_request", "alive", "StatusView", MIDDLE),
    *pair(
        "replaced_handle",
        "handle",
        "SwitchingLampView",
        "",
        fixed_view="LampView",
        marked=False,
    ),
    *pair(
        "connection_kept",
        "released",
        "FastSizeView",
        "",
        fixed_view="SizeView",
        needs=FSA,
    ),
    Example(
        "tests.apps.module_level_broken:app",
        "fresh",
        "ReadToolView",
        KEPT,
        also=("single",),
        line_marker=MARKER,
    ),
    Example("tests.apps.module_level:app", view="ToolView"),
    *pair("shop", "fresh", "StockView", KEPT, needs=FSA),
    *pair(
        "pushed_context",
        "fresh",
        "PoemView",
        CONTEXT,
        also=("released",),
        marked=False,
        needs=FSA,
        alone=True,
    ),
]
