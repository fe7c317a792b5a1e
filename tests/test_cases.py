"""Apps rebuilt from public bug reports and from real apps: what the guard says of each.

Each module in ``cases`` is an app as its owner had it. ``broken`` makes the app of the
report. ``fixed`` makes the same app after the fix. ``visit`` makes the requests of a
test. The comment ``# reported`` marks the line that the guard has to name.
"""

import os
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest

from session_scoping.compare.environments import NEEDS
from session_scoping.compare.environments import OLD_STACK
from session_scoping.compare.environments import uv
from session_scoping.recording import Word
from session_scoping.status import Status

CASES = Path(__file__).with_name("cases")
REPOSITORY = CASES.parents[1]
# Without Flask-SQLAlchemy-Lite, beside which Flask-Admin refuses a raw session.
NEWEST = (
    *NEEDS,
    "cachetools",
    "flask-admin",
    "flask-login",
    "flask-socketio",
    "flask-sqlalchemy",
    "marshmallow-sqlalchemy",
    "pandas",
    "pytest",
    "sqlmodel",
)


# The name of a driver's connection is another before SQLAlchemy 1.4.24.
OLD = (
    *NEEDS,
    *OLD_STACK,
    "flask-admin<2",
    "flask-sqlalchemy<3",
    "setuptools<80",
    "sqlalchemy==1.4.20",
)


class Way(Word):
    """A way to use the guard."""

    PLAIN = "the command"
    WRITE = "the command with --write"
    FAULTS = "the command with --faults"
    WATCH = "a test with the fixture"
    SUITE = "pytest --session-scoping"


OPTIONS: dict[Way, tuple[str, ...]] = {
    Way.PLAIN: (),
    Way.WRITE: ("--write", "--yes"),
    Way.FAULTS: ("--faults",),
}
COMMAND = (Way.PLAIN, Way.WRITE)
PYTEST = (Way.WATCH, Way.SUITE)


@dataclass(frozen=True)
class Case:
    """An app, the ways to look at it, and what is right to say of it."""

    app: str
    ways: tuple[Way, ...]
    rules: str = ""  # all that are broken, as a pattern
    cause: str = ""  # a part of its name
    fix: str = ""  # a part of what is printed to change
    shows: str = ""  # a part of all that is printed
    status: Status | None = None  # ``None``: by the rules
    visit: str = "visit"  # what the test calls
    factory: str = ""  # what makes the app; empty: ``broken``, or else ``app``
    options: tuple[str, ...] = ()  # of the command, beside those of the way


RAW = "handle, fresh, isolated, released"  # what a shared raw session breaks
LEFT = "fresh, released"  # what a session breaks that is left to the next request

BROKEN = [
    Case("abort_404", PYTEST, "released", "made by hand", "with "),
    Case("app_builder_session", COMMAND, "single, fresh, isolated, released", "kept"),
    Case("audit_session", (Way.WRITE,), "single, released", "made by hand", "with "),
    # It is closed, and is a second session still, until an option says: on purpose.
    Case(
        "audit_session",
        (Way.WRITE,),
        "single",
        "made by hand",
        "--leave-alone",
        factory="fixed",
    ),
    Case(
        "audit_session",
        (Way.WRITE,),
        factory="fixed",
        options=("--leave-alone", "audit_session.py:*"),
    ),
    Case("autoflush_in_hook", (Way.WRITE, Way.WATCH), "recovers", "", "no_autoflush"),
    Case("before_request", PYTEST, "recovers", "after_request", "teardown"),
    Case("broken_but_all_holds", (Way.PLAIN,), "fresh", "kept"),
    Case("cached_rows", COMMAND, "released", "cachetools"),
    Case("closed_before_log", (*COMMAND, *PYTEST), "alive", "close()", "Delete"),
    Case("commit_on_teardown", (Way.PLAIN,), "isolated", "teardown"),
    # Its commit fails, and so the session is not removed.
    Case("commit_on_teardown", PYTEST, "isolated, released", "teardown"),
    Case("default_author_row", COMMAND, "released", "kept", shows="PostView"),
    Case("error_page", COMMAND, RAW, "raw session"),
    Case(
        "history_threads",
        (Way.PLAIN,),
        RAW,
        "raw session",
        shows="was used on another thread before: ProgrammingError: "
        "(sqlite3.ProgrammingError) SQLite objects created in a thread can only",
    ),
    Case("inline_edit_to_the_same", (Way.WRITE,)),
    Case("last_seen", (Way.PLAIN,), shows="last_seen"),
    Case("list_fails_lookup_works", (Way.PLAIN,), status=Status.CANNOT_TELL),
    Case("logout_page", (Way.WRITE,), "single, released", "made by hand", "with "),
    Case(
        "loop_in_context",
        (Way.PLAIN, Way.WATCH, Way.SUITE),
        "released",
        "thread",
        "with app.app_context()",
    ),
    Case("mapper_event", (Way.WRITE, *PYTEST), "released", "event", "connection.exec"),
    Case(
        "mounted_in_asgi",
        PYTEST,
        LEFT,
        "outside of any request",
        "remove()",
    ),
    Case(
        "nested_context", (*COMMAND, *PYTEST), "single", "app context inside a request"
    ),
    Case("new_records_after_restart", COMMAND, RAW, "raw session"),
    Case("old_values_on_refresh", (Way.PLAIN,), LEFT, "never removed", "remove()"),
    # Its hook removes the session only where a row is saved.
    Case(
        "old_values_on_refresh",
        (Way.WRITE,),
        f"{LEFT}, recovers",
        "removed only by some",
        "remove()",
        "after_model_change",
    ),
    Case("one_connection", COMMAND, "isolated", "both sessions are bound to one"),
    Case("one_line_many_findings", (Way.PLAIN,), "single, released", "made by hand"),
    Case("page_with_an_effect", (Way.PLAIN,)),
    Case(
        "plain_scoped_session",
        (Way.FAULTS,),
        "recovers",
        "lost connection",
        "sessionmaker(",
    ),
    Case("pushed_at_module_bottom", (*COMMAND, *PYTEST), LEFT, "pushed while"),
    Case("proxy_each_time", COMMAND, "single, released", "makes a session", "remove()"),
    Case("raw_connection", (Way.PLAIN, *PYTEST), "released", "connection", "with "),
    Case("routing_session", COMMAND, LEFT, "never removed"),
    Case("runs_at_import", (Way.PLAIN,)),
    # Only the test makes a request that uses the schema.
    Case("schema_session", COMMAND, "fresh", "kept", shows="Meta → sqla_session"),
    Case("schema_session", PYTEST, LEFT, "kept", shows="Meta → sqla_session"),
    # A session is found again by the number of a context: other rules break at random.
    Case("scope_of_context", COMMAND, r"(\w+, )*released", "never removed"),
    Case("session_on_the_same_connection", COMMAND),
    Case("socket_handlers", PYTEST, "released", "thread", "remove()"),
    Case(
        "sqlmodel_adapter", COMMAND, "single, released", "makes a session", "remove()"
    ),
    Case("stream_of_answers", PYTEST, "alive", "stream", "before"),
    Case("stream_own_session", PYTEST, "released", "made by hand", "with "),
    Case("two_datastores", (*COMMAND, *PYTEST), "single", "two engines", "one"),
    Case("views_under_main", (Way.PLAIN,), status=Status.CANNOT_TELL, shows="__main__"),
    Case("empty_database_is_left", (Way.PLAIN,), status=Status.CANNOT_TELL),
    Case("local_proxy_handle", COMMAND),
    Case("filter_options_at_start", COMMAND, shows="as old as the process"),
]
# Of these reports no rule is broken.
HEALTHY = ("preloaded_workers", "stream_without_context", "lost_update")


def factories() -> t.Iterator[tuple[Case, Way, str]]:
    """Yield each case, each way to look at it, and what makes the app."""
    for case in BROKEN:
        both = "def broken(" in source(case.app)
        for way in case.ways:
            yield case, way, case.factory or ("broken" if both else "app")
    for app in dict.fromkeys(case.app for case in BROKEN):
        ways = {way for case in BROKEN if case.app == app for way in case.ways}
        judged = {case.factory for case in BROKEN if case.app == app}
        if "def fixed(" in source(app) and "fixed" not in judged:
            if used := [way for way in COMMAND if way in ways]:
                yield Case(app, ()), used[-1], "fixed"
            if ways & set(PYTEST):
                yield Case(app, ()), Way.SUITE, "fixed"
    for name in HEALTHY:
        for factory in ("broken", "fixed"):
            yield Case(name, ()), Way.WRITE, factory


def source(app: str) -> str:
    return (CASES / f"{app}.py").read_text(encoding="utf-8")


def reported(app: str) -> list[str]:
    """Return the lines one of which has to be named, as they are printed."""
    return [
        f"{app}.py:{number} in "
        for number, line in enumerate(source(app).splitlines(), 1)
        if line.endswith("# reported")
    ]


@pytest.fixture(scope="session")
def python(index: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Python of an environment that has what the cases need."""
    return environment(tmp_path_factory.mktemp("cases"), NEWEST)


@pytest.fixture(scope="session")
def old_python(index: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the Python of an environment with old releases."""
    return environment(tmp_path_factory.mktemp("old_cases"), OLD)


def environment(folder: Path, packages: t.Sequence[str]) -> str:
    made = uv("venv", "--python", sys.executable, str(folder / "venv"))
    assert not made.returncode, made.stderr
    python = str(folder / "venv" / "bin" / "python")
    done = uv("pip", "install", "--compile-bytecode", "--python", python, *packages)
    assert not done.returncode, done.stderr
    return python


def look(
    python: str, folder: Path, case: Case, way: Way, factory: str
) -> tuple[int, str]:
    """Look at an app. Returns the exit status, and what is printed, in a line."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(CASES)]),
        "COLUMNS": "200",
        "TMPDIR": str(folder),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    if way in OPTIONS:
        command = ["session_scoping", "--app", f"{case.app}:{factory}", *OPTIONS[way]]
        client = "\ndef login(" in source(case.app)
        command += ["--client", f"{case.app}:login"] if client else []
        command += case.options
    else:
        test = folder / "test_visit.py"
        test.write_text(TESTS[way].format(case=case, factory=factory))
        command = ["pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider"]
        command += ["-p", "session_scoping.plugin", str(test)]
        command += ["--session-scoping"] if way == Way.SUITE else []
    done = subprocess.run(
        [python, "-m", *command],
        cwd=CASES,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    return done.returncode, " ".join(done.stdout.split())


TESTS = {
    Way.WATCH: """
import {case.app} as case

def test_visit(session_scoping):
    app = case.{factory}()
    with session_scoping.watch(app):
        case.{case.visit}(app)
""",
    Way.SUITE: """
import {case.app} as case

def test_visit():
    case.{case.visit}(case.{factory}())
""",
}


RULES = re.compile(  # all that are broken: by the command, and by pytest
    r"(?:rules? (?:is|are) broken(?:, in [^:]+)?:|breaks?) ((?:[a-z]+, )*[a-z]+)"
)
FINDING = {  # what is printed of a finding: by the command, and by pytest
    True: r"(?<= )\d\. (?=.)(.*?) \(",
    False: r"breaks? (?:[a-z]+, )*[a-z]+: (.{0,99})",
}


@pytest.mark.parametrize(
    ("case", "way", "factory"),
    [
        pytest.param(
            case,
            way,
            factory,
            id=" ".join([f"{case.app}:{factory}", way, *case.options]),
        )
        for case, way, factory in factories()
    ],
)
def test_the_verdict_is_true(
    python: str, tmp_path: Path, case: Case, way: Way, factory: str
) -> None:
    """A broken app is named by rule, cause and line. A sound app is not accused."""
    assert_it_is_true(python, tmp_path, case, way, factory)


def assert_it_is_true(
    python: str, tmp_path: Path, case: Case, way: Way, factory: str
) -> None:
    status, text = look(python, tmp_path, case, way, factory)
    wanted = case.status
    if wanted is None:
        accused = case.rules or case.cause
        wanted = Status.BROKEN if accused else Status.HOLDS
    assert status == wanted, text
    assert case.shows in text
    found = re.findall(FINDING[way in OPTIONS], text.partition("short test summary")[0])
    if case.rules or case.cause:
        assert re.fullmatch(case.rules, RULES.findall(text)[0]), text
        assert len(found) == 1, text
        assert case.cause in found[0]
        assert case.fix in text.partition("change:")[2]
        lines = reported(case.app)
        assert not lines or any(line in text for line in lines), text
    else:
        assert not re.search(r"(rule is|rules are) broken|breaks? [a-z, ]+: ", text), (
            text
        )


OF_OLD = {
    "broken": Case("old_stack", (Way.FAULTS,), "recovers", "lost connection"),
    "fixed": Case("old_stack", (Way.FAULTS,)),
    "counting": Case("old_stack", (Way.PLAIN,), shows="rolled back"),
}


@pytest.mark.parametrize("factory", OF_OLD)
def test_the_verdict_is_true_with_old_releases(
    old_python: str, tmp_path: Path, factory: str
) -> None:
    case = OF_OLD[factory]
    assert_it_is_true(old_python, tmp_path, case, case.ways[0], factory)


def test_a_database_that_does_not_exist_is_not_made(
    python: str, tmp_path: Path
) -> None:
    """A plain run leaves no empty file where there is no database yet."""
    case = Case("empty_database_is_left", ())
    status, _ = look(python, tmp_path, case, Way.PLAIN, "app")
    assert status == Status.CANNOT_TELL
    assert not [*tmp_path.rglob("*.db")]
