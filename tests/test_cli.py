"""The command, as a user runs it: what it prints, what it saves, and how it ends."""

import io
import os
import re
import subprocess
import sys
import typing as t
from itertools import cycle
from pathlib import Path

import click
import pytest
from flask.cli import FlaskGroup

from session_scoping.cli import check
from session_scoping.cli import main
from session_scoping.recording import Recording
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.apps import APPS

ROOT = Path(__file__).parent.parent
RAW = "tests.apps.raw_session"
LEAK = next(app for app in APPS if app.target == f"{RAW}:broken")
LEAKS_AT = f"tests/apps/raw_session.py:{LEAK.line} in __init__"
LOGIN = "tests.apps.login:fixed"
CLIENT = "tests.apps.login:client"

# Of Flask-Admin itself, which would turn its pages into errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
]


class Done(t.NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stderr."""
        return self.err.splitlines()


Run = t.Callable[..., Done]


def end_of(do: click.Command, arguments: t.Sequence[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        do.main([*arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def scoping(capsys: pytest.CaptureFixture[str]) -> Run:
    """`python -m session_scoping` with some arguments, in this process."""

    def run(app: str, *arguments: str) -> Done:
        status = end_of(main, ["--app", app, *arguments])
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def flask(capsys: pytest.CaptureFixture[str]) -> Run:
    """`flask` with some arguments, in this process."""

    def run(*arguments: str) -> Done:
        group = FlaskGroup(add_version_option=False, load_dotenv=False)
        group.add_command(check, "session-scoping")
        return Done(end_of(group, arguments), *capsys.readouterr())

    return run


def process(*command: str, folder: Path = ROOT, **environment: str) -> Done:
    """Run Python in a folder, with the package of this repository."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {"NO_COLOR": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **given, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return Done(done.returncode, done.stdout, done.stderr)


# -------------------------------------------------------------------- as a user runs it

MODULE = ("-m", "session_scoping", "--app")


def test_a_broken_app_is_reported_with_rule_view_line_and_fix() -> None:
    done = process(*MODULE, f"{RAW}:broken")
    assert (done.status, done.err) == (1, "")
    [header] = [line for line in done.out.splitlines() if line.startswith("view")]
    assert header.split()[1:] == list(Rule)
    for part in (
        "ReportView      broken     holds      broken",
        "1. A raw session given to a view (ReportView)",
        f"your code: {LEAKS_AT}",
        "admin.add_view(UserView(User, session))",
        "Verdict: 3 of 7 rules are broken: handle, fresh, released.",
    ):
        assert part in done.out


def test_a_fixed_app_is_clean(scoping: Run) -> None:
    done = scoping(f"{RAW}:fixed")
    assert (done.status, done.err) == (0, "")
    assert "broken" not in done.out
    assert done.out.endswith("Verdict: sessions are request-scoped.\n")


def test_flask_has_the_command() -> None:
    """By the entry point of the installed package."""
    done = process("-m", "flask", "--app", f"{RAW}:broken", "session-scoping")
    assert (done.status, done.err) == (1, "")
    assert f"your code: {LEAKS_AT}" in done.out


def test_flask_takes_the_app_from_its_environment(
    flask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_APP", f"{RAW}:fixed")
    done = flask("session-scoping")
    assert (done.status, done.err) == (0, "")


def test_flask_watches_the_app_being_built(flask: Run) -> None:
    """The group loads no app before the command does, which would be too early."""
    done = flask("--app", "tests.apps.kept:seeded_at_start_broken", "session-scoping")
    assert done.status == 1
    assert "was opened while the app was built" in done.out


def test_other_commands_of_flask_do_not_pay_for_this_one() -> None:
    """`flask` imports the command for each of its commands."""
    heavy = {"flask_admin", "packaging", "rich", "sqlalchemy"}
    code = f"import session_scoping.cli, sys; print(sorted({heavy} & set(sys.modules)))"
    assert process("-c", code).out == "[]\n"


APP = """
from flask import Flask
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()

class Fish(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))

class Bird(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40))

class FishView(ModelView):
    pass

class BirdView(ModelView):
    pass

def create_app(*views, url="sqlite://", tables=True):
    app = Flask(__name__)
    app.config.update(SECRET_KEY="zoo", SQLALCHEMY_DATABASE_URI=url)
    db.init_app(app)
    if tables:
        with app.app_context():
            db.create_all()
            db.session.add_all([Fish(name="cod"), Bird(name="jay")])
            db.session.commit()
    admin = Admin(app)
    for view in views or [FishView(Fish, db.session), BirdView(Bird, db.session)]:
        admin.add_view(view)
    return app
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Path]:
    """The folder of an app, in which the command is started."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "zoo.py").write_text(APP)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


@pytest.mark.parametrize("program", [MODULE, ("-m", "flask", "--app")])
def test_a_module_in_the_current_directory_is_found(
    program: tuple[str, ...], zoo: Path
) -> None:
    command = "session-scoping" if "flask" in program else "--leave-alone=x"
    assert process(*program, "zoo", command, folder=zoo).status == 0


def test_a_file_is_found_wherever_it_is(zoo: Path, scoping: Run) -> None:
    (zoo / "inner").mkdir()
    (zoo / "inner" / "web.py").write_text(APP)
    assert scoping("inner/web.py:create_app").status == 0


# ------------------------------------------------------------------------------ options


def test_reports_are_saved(tmp_path: Path, scoping: Run) -> None:
    """A report replaces an older report."""
    saved, page = tmp_path / "seen.json", tmp_path / "seen.html"
    saved.write_text("old" * 100_000)
    scoping(f"{RAW}:broken", "--json", str(saved), "--html", str(page))
    verdict = judge(Recording.load(saved))
    assert {found.rule for found in verdict.violations} == {
        *("handle", "fresh", "released"),
    }
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert LEAKS_AT in html


def test_a_report_can_be_sent_down_a_pipe() -> None:
    code = "import json, sys; json.loads(sys.stdin.read().splitlines()[-1])"
    run = f"{sys.executable} -m session_scoping --app {RAW}:fixed --json /dev/stdout"
    shell = f'{run} | {sys.executable} -c "{code}"'
    done = subprocess.run(shell, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_session_made_at_a_named_line_is_left_alone(scoping: Run) -> None:
    done = scoping(f"{RAW}:broken", "--leave-alone", f"{LEAKS_AT[:-8]}*")
    assert done.status == 0
    assert "to leave alone" not in done.out


def test_a_pattern_without_a_match_is_noted(scoping: Run) -> None:
    done = scoping(f"{RAW}:broken", "--leave-alone", "shop.py:*")
    assert done.status == 1
    assert "Note: no session was made at shop.py:*, to leave alone." in done.out


def test_without_a_logged_in_client_nothing_holds(scoping: Run) -> None:
    done = scoping(LOGIN)
    assert "holds" not in done.out
    assert "UserView   not reached" in done.out
    assert done.err.startswith(
        "session-scoping: nothing was seen: UserView, list answers 302"
    )


def test_a_logged_in_client_sees_more(scoping: Run) -> None:
    done = scoping(LOGIN, "--client", CLIENT)
    assert done.status == 0
    assert "not reached" not in done.out


def test_a_client_can_be_of_another_file_in_the_current_directory(zoo: Path) -> None:
    """Also where `flask` is started as a program, which leaves that folder out."""
    (zoo / "inner").mkdir()
    (zoo / "inner" / "login.py").write_text("def enter(app): return app.test_client()")
    flask = ("import sys; sys.path.remove(''); from flask.cli import main; main()",)
    arguments = ("--app", "zoo", "session-scoping", "--client", "inner/login.py:enter")
    assert process("-c", *flask, *arguments, folder=zoo).status == 0


def test_the_verdict_counts_the_views_that_were_seen(zoo: Path, scoping: Run) -> None:
    (zoo / "half.py").write_text(
        "from zoo import *\n"
        "class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "def create_app():\n"
        "    views = Closed(Fish, db.session), BirdView(Bird, db.session)\n"
        "    return zoo(*views)\n"
        "from zoo import create_app as zoo\n"
    )
    done = scoping("half:create_app")
    assert "Closed, list: answers 403" in done.out
    assert "Verdict: sessions are request-scoped, in 1 of 2 views." in done.out


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_writing_asks_first(
    answer: str,
    status: int,
    zoo: Path,
    scoping: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    done = scoping("zoo:create_app", "--write")
    assert done.status == status
    assert done.lines[0] == (
        "--write makes, edits and deletes rows of its own in sqlite://"
    )
    refused = "nothing was written: --write was not agreed to (--yes does)"
    assert done.err.endswith(f"session-scoping: {refused}\n") == (status == 2)


def test_writing_is_agreed_to_by_an_option(zoo: Path, scoping: Run) -> None:
    done = scoping("zoo:create_app", "--write", "--yes", "--json", "seen.json")
    assert done.status == 0
    requests = Recording.load("seen.json").requests
    assert "create" in {request.does for request in requests}


def test_a_terminal_without_arrows_gets_the_verdict() -> None:
    done = process(*MODULE, f"{RAW}:broken", PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (1, "")


# ------------------------------------------------------------ interrupts and failures

INTERRUPTED = "session-scoping: interrupted\n"
CTRL_C = (
    APP
    + """
class Slow(BirdView):
    column_list = ["name"]

    def get_list(self, *args, **options):
        found = super().get_list(*args, **options)
        raise KeyboardInterrupt

def first():
    return create_app(Slow(Bird, db.session))

def slow():
    return create_app(FishView(Fish, db.session), Slow(Bird, db.session))

def at_once():
    raise KeyboardInterrupt
"""
)


def test_ctrl_c_ends_with_the_verdict_so_far(zoo: Path, scoping: Run) -> None:
    """It is no failure of the app.  What was seen is saved."""
    (zoo / "slow.py").write_text(CTRL_C)
    done = scoping("slow:slow", "--json", "seen.json", "--html", "seen.html")
    assert (done.status, done.err) == (130, INTERRUPTED)
    assert "Note: interrupted: this is the verdict so far." in done.out
    assert "Verdict: sessions are request-scoped, in 1 of 2 views." in done.out
    assert "Did not work" not in done.out
    assert judge(Recording.load("seen.json")).seen == {1}
    assert (zoo / "seen.html").exists()


def test_ctrl_c_before_anything_is_proven_is_still_ctrl_c(
    zoo: Path, scoping: Run
) -> None:
    (zoo / "slow.py").write_text(CTRL_C)
    done = scoping("slow:first")
    assert (done.status, done.err) == (130, INTERRUPTED)
    assert "Verdict: nothing was seen" in done.out


def test_ctrl_c_before_anything_was_seen(zoo: Path, scoping: Run) -> None:
    (zoo / "slow.py").write_text(CTRL_C)
    assert scoping("slow:at_once") == Done(130, "", INTERRUPTED)


def test_ctrl_c_hides_no_broken_rule(zoo: Path, scoping: Run) -> None:
    (zoo / "slow.py").write_text(
        f"{CTRL_C}\n    # of a leak\n"
        "def leak():\n"
        "    app = create_app(FishView(Fish, db.session), Slow(Bird, db.session))\n"
        "    from sqlalchemy.orm import Session\n"
        "    with app.app_context(): session = Session(db.engine)\n"
        "    app.extensions['admin'][0]._views[1].session = session\n"
        "    return app\n"
    )
    done = scoping("slow:leak")
    assert done.status == 130
    assert "3 of 7 rules are broken, in 1 of 2 views: handle" in done.out


def test_a_rule_is_broken_although_no_view_can_be_seen(zoo: Path, scoping: Run) -> None:
    (zoo / "shut.py").write_text(
        f"{APP}\n"
        "class Shut(FishView):\n"
        "    def is_accessible(self): return False\n"
        "def shut():\n"
        "    view = Shut(Fish, db.session)\n"
        "    app = create_app(view)\n"
        "    with app.app_context(): view.session = db.session()\n"
        "    return app\n"
    )
    done = scoping("shut:shut")
    assert (done.status, done.err) == (1, "")
    assert "`db.session()` given to a view" in done.out


def test_a_view_that_fails_is_reported_and_the_rest_goes_on(
    zoo: Path, scoping: Run
) -> None:
    (zoo / "ill.py").write_text(
        f"{APP}\n"
        "class Ill(FishView):\n"
        "    def get_list(self, *args, **options): raise ValueError('no fish today')\n"
        "def ill():\n"
        "    return create_app(Ill(Fish, db.session), BirdView(Bird, db.session))\n"
    )
    done = scoping("ill:ill")
    assert done.status == 0
    assert "GET /admin/fish/ (list): ValueError: no fish today" in done.out
    assert re.search(r"^BirdView +holds +holds ", done.out, re.MULTILINE)
    assert "request-scoped, in 1 of 2 views, but 6 requests did not work." in done.out


def test_a_missing_table_is_reported_and_the_rest_goes_on(
    zoo: Path, scoping: Run
) -> None:
    (zoo / "bare.py").write_text(
        f"{APP}\n"
        "def bare():\n"
        "    app = create_app()\n"
        "    with app.app_context(): Fish.__table__.drop(db.engine)\n"
        "    return app\n"
    )
    done = scoping("bare:bare")
    assert done.status == 0
    assert "(list): OperationalError: (sqlite3.OperationalError) no such table" in (
        done.out
    )
    assert re.search(r"^BirdView +holds +holds ", done.out, re.MULTILINE)


def test_what_an_app_prints_while_it_loads_comes_first(zoo: Path, scoping: Run) -> None:
    (zoo / "loud.py").write_text(
        f"import logging\nprint('hello')\nlogging.warning('careful')\n{APP}"
    )
    done = scoping("loud")
    assert done.status == 0
    assert done.out.startswith("hello\nFlask-Admin ")


# ---------------------------------------------------------------------------- bad input


class Bad(t.NamedTuple):
    """An input of which there is nothing to say but why."""

    says: str
    code: str = ""  # of the module `bad`
    app: str = "bad"
    options: tuple[str, ...] = ()


GIVE = ": name an app, or a function that makes it, as in 'module:create_app'"
LOADS = "the app does not load: "
CALL = "the app ends while it loads: "
THE_APP = "import flask\napp = flask.Flask('bad')\n"
WITH_ADMIN = f"{THE_APP}from flask_admin import Admin\nAdmin(app)\n"
SEEN = "from zoo import *\n"
ENTER = "import flask\ndef enter(app): "
HALF = "from zoo import create_app as app\ndef enter(app): return "

BAD = {
    "no such module": Bad(
        "Could not import 'nowhere': start in the folder that it is in, or name "
        "'path/to/app.py:app'",
        app="nowhere:app",
    ),
    "a module that it imports is missing": Bad(
        f"{LOADS}ModuleNotFoundError: No module named 'nowhere' (bad.py:2)",
        "import flask\nimport nowhere",
    ),
    "a name that it imports is missing": Bad(
        f"{LOADS}ImportError: cannot import name 'Aquarium' from 'zoo'",
        "from zoo import Aquarium",
    ),
    "an error while it is imported": Bad(
        f"{LOADS}KeyError: 'SECRET' (bad.py:2)", "import os\nos.environ['SECRET']"
    ),
    "an error of more than a line": Bad(
        f"{LOADS}ValueError: first (bad.py:1)",
        "raise ValueError('first\\nsecond')",
    ),
    "a syntax error": Bad(
        f"{LOADS}SyntaxError: invalid syntax (bad.py:2)", "\napp = ="
    ),
    "no app in it": Bad(
        "Failed to find Flask application or factory in module 'bad'. Use 'bad:name' "
        "to specify one\n",
        "x = 1",
    ),
    "two apps in it": Bad(
        "Detected multiple Flask applications in module 'bad'. Use 'bad:name' to "
        "specify the correct one\n",
        "import flask\na, b = flask.Flask('a'), flask.Flask('b')",
    ),
    "a name that is not there": Bad(
        f"Failed to find attribute 'shop' in 'bad'{GIVE}", "x = 1", "bad:shop"
    ),
    "no name": Bad(
        f"Failed to parse 'a b' as an attribute name or function call{GIVE}",
        "x = 1",
        "bad:a b",
    ),
    "a factory that needs an argument": Bad(
        "The factory 'make' in module 'bad' could not be called with the specified "
        "arguments: make() missing 1 required positional argument: 'config': write "
        "them down, as in 'module:create_app(\"test\")'",
        "def make(config): pass",
        "bad:make",
    ),
    "a factory, found by its name, that needs an argument": Bad(
        "Detected factory 'create_app' in module 'bad', but could not call it without "
        "arguments. Use 'bad:create_app(args)' to specify arguments\n",
        "def create_app(config): pass",
    ),
    "a factory that fails": Bad(
        f"{LOADS}ZeroDivisionError: division by zero (bad.py:1)",
        "def make(): return 1 / 0",
        "bad:make",
    ),
    "a factory that fails by a wrong type": Bad(
        f"{LOADS}TypeError: 'int' object is not callable (bad.py:1)",
        "def make(one=1): return one()",
        "bad:make",
    ),
    "a factory that fails in a library": Bad(
        f"{LOADS}RuntimeError: Either 'SQLALCHEMY_DATABASE_URI' or 'SQLALCHEMY_BINDS' "
        "must be set. (bad.py:4)",
        f"{THE_APP}from flask_sqlalchemy import SQLAlchemy\nSQLAlchemy(app)",
    ),
    "a factory that makes something else": Bad(
        f"A valid Flask application was not obtained from 'bad:make'{GIVE}",
        "def make(): return 1",
        "bad:make",
    ),
    "an object that is no app": Bad(
        f"A valid Flask application was not obtained from 'bad:x'{GIVE}",
        "x = 1",
        "bad:x",
    ),
    "an app that ends the program": Bad(
        f"{CALL}SystemExit: 3 (bad.py:2)", "import sys\nsys.exit(3)"
    ),
    "an app that ends the program as if all was well": Bad(
        f"{CALL}SystemExit (bad.py:2)", "import sys\nsys.exit()"
    ),
    "an app that ends the program of click": Bad(
        f"{LOADS}Exit (bad.py:2)", "import click\nraise click.exceptions.Exit()"
    ),
    "an app that complains as click does": Bad(
        f"{LOADS}UsageError: give me a database (bad.py:2)",
        "import click\nraise click.UsageError('give me a database')",
    ),
    "an app that gives up as click does": Bad(
        f"{LOADS}Abort (bad.py:2)", "import click\nraise click.Abort()"
    ),
    "no Admin": Bad(
        "bad has no Admin: call Admin(app) or admin.init_app(app)", THE_APP
    ),
    "no Admin to write to": Bad(
        "bad has no Admin: call Admin(app) or admin.init_app(app)",
        THE_APP,
        options=("--write",),
    ),
    "no view that uses a session": Bad(
        "bad has an Admin without a SQLAlchemy view: there is no session to watch",
        WITH_ADMIN,
    ),
    "a database that the app cannot open": Bad(
        f"{LOADS}OperationalError: (sqlite3.OperationalError) unable to open database "
        "file (zoo.py:",
        f"{SEEN}app = create_app(url='sqlite:////nowhere/zoo.db')",
    ),
    "a database that no view can open": Bad(
        "no list can be read: OperationalError: (sqlite3.OperationalError) unable to "
        "open database file: does the database exist, and does it have the tables?",
        f"{SEEN}app = create_app(url='sqlite:////nowhere/zoo.db', tables=False)",
    ),
    "tables that are not there": Bad(
        "no list can be read: OperationalError: (sqlite3.OperationalError) no such "
        "table: fish: does the database exist, and does it have the tables?",
        f"{SEEN}app = create_app(tables=False)",
    ),
    "tables that are not there, and statements that are made to fail": Bad(
        "no list can be read: OperationalError: (sqlite3.OperationalError) no such "
        "table: fish: does the database exist, and does it have the tables?",
        f"{SEEN}app = create_app(tables=False)",
        options=("--faults",),
    ),
    "a database that --write cannot find": Bad(
        "cannot tell what --write would write to: UnboundExecutionError: ",
        f"{SEEN}from sqlalchemy.orm import scoped_session, sessionmaker\n"
        "app = create_app(FishView(Fish, scoped_session(sessionmaker())))",
        options=("--write",),
    ),
    "a view that ends the program": Bad(
        "the app ends the program: SystemExit: 3 (bad.py:4)",
        f"{SEEN}import sys\nclass Ends(FishView):\n"
        "    def get_list(self, *_, **__): sys.exit(3)\n"
        "app = create_app(Ends(Fish, db.session))",
    ),
    "views that all fail": Bad(
        "nothing was seen: Fails, list: ValueError: no fish (bad.py:3): fix it first",
        f"{SEEN}class Fails(FishView):\n"
        "    def get_list(self, *_, **__): raise ValueError('no fish')\n"
        "app = create_app(Fails(Fish, db.session))",
    ),
    "views that are closed": Bad(
        "nothing was seen: Closed, list answers 403: name with --client "
        "MODULE:FUNCTION what makes a test client that may",
        f"{SEEN}class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "app = create_app(Closed(Fish, db.session))",
    ),
    "views that are closed to this client": Bad(
        "nothing was seen: Closed, list answers 403: let bad:enter make a test client "
        "that may see it",
        f"{SEEN}class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "app = create_app(Closed(Fish, db.session))\n"
        "def enter(app): return app.test_client()",
        options=("--client", "bad:enter"),
    ),
}

APP_OF_A_CLIENT = f"{SEEN}app = create_app()\n"
BAD |= {
    f"a client: {name}": Bad(
        says, f"{APP_OF_A_CLIENT}{code}", options=("--client", client)
    )
    for name, client, code, says in [
        ("no name", "bad", "", "--client bad is no MODULE:FUNCTION"),
        (
            "no module",
            "nowhere:enter",
            "",
            "--client nowhere does not import: ModuleNotFoundError: No module named "
            "'nowhere'",
        ),
        (
            "not there",
            "bad:enter",
            "",
            "--client bad:enter is not there: name a function that takes the app",
        ),
        (
            "no function",
            "bad:x",
            "x = 1",
            "--client bad:x is no function: name a function that takes the app",
        ),
        (
            "takes nothing",
            "bad:enter",
            "def enter(): pass",
            "--client bad:enter has to take the app: too many positional arguments",
        ),
        (
            "fails",
            "bad:enter",
            "def enter(app): raise ValueError('no user')",
            "--client bad:enter fails: ValueError: no user (bad.py:3)",
        ),
        (
            "ends the program",
            "bad:enter",
            "def enter(app): raise SystemExit",
            "--client bad:enter fails: SystemExit (bad.py:3)",
        ),
        (
            "returns nothing",
            "bad:enter",
            "def enter(app): pass",
            "--client bad:enter returns a NoneType: it has to return a test client, as "
            "app.test_client() does",
        ),
        (
            "returns the app",
            "bad:enter",
            "def enter(app): return app",
            "--client bad:enter returns a Flask: it has to return a test client, as "
            "app.test_client() does",
        ),
    ]
}

PATHS = {
    "nowhere/seen": "No such file or directory",
    ".": "Is a directory",
    "": "Is a directory",
    "zoo.py/seen": "Not a directory",
    "x" * 300: "File name too long",
}
BAD |= {
    f"a report that cannot be written: {path[:20]!r}": Bad(
        f"cannot write {path!r}: {why}: name a file in a folder that exists",
        APP_OF_A_CLIENT,
        options=(option, path),
    )
    for option, (path, why) in zip(
        cycle(["--html", "--json"]), PATHS.items(), strict=False
    )
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_bad_input_is_an_error_of_one_line(bad: Bad, zoo: Path, scoping: Run) -> None:
    """It is never a verdict, and leaves no file behind."""
    (zoo / "bad.py").write_text(bad.code)
    (zoo / "seen.json").write_text("of another time")
    reports = [] if "--json" in bad.options else ["--json", "seen.json"]
    reports += [] if "--html" in bad.options else ["--html", "seen.html"]
    done = scoping(bad.app, *bad.options, *reports)
    assert done.err.startswith(f"session-scoping: {bad.says}")
    assert (done.status, len(done.lines)) == (2, 1)
    assert "request-scoped" not in done.out
    left = {file.name for file in zoo.iterdir()} - {"__pycache__"}
    assert left == {"zoo.py", "bad.py", "seen.json"}
    assert (zoo / "seen.json").read_text() == "of another time"


def test_bad_input_is_an_error_of_the_process(zoo: Path) -> None:
    bad = BAD["an error while it is imported"]
    (zoo / "bad.py").write_text(bad.code)
    error = f"session-scoping: {bad.says}\n"
    assert process(*MODULE, "bad", folder=zoo) == Done(2, "", error)


def test_bad_input_is_an_error_of_flask(zoo: Path, flask: Run) -> None:
    bad = BAD["no Admin"]
    (zoo / "bad.py").write_text(bad.code)
    done = flask("--app", "bad", "session-scoping")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"session-scoping: {bad.says}")


def test_flask_without_an_app_is_an_error(
    tmp_path: Path, flask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = flask("session-scoping")
    assert done.status == 2
    assert done.err.startswith(
        "session-scoping: Could not locate a Flask application. Use the 'flask --app'"
    )


def test_what_an_app_prints_comes_before_its_error(zoo: Path, scoping: Run) -> None:
    (zoo / "bad.py").write_text("import sys\nprint('hm', file=sys.stderr)\n1 / 0")
    done = scoping("bad")
    error = f"session-scoping: {LOADS}ZeroDivisionError: division by zero (bad.py:3)"
    assert done.lines == ["hm", error]


def test_a_function_that_makes_no_app_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`flask.cli.FlaskGroup` also takes a function that makes the app."""
    make: t.Any = lambda: 1  # noqa: E731
    group = FlaskGroup(create_app=make, set_debug_flag=False, load_dotenv=False)
    group.add_command(check, "session-scoping")
    assert end_of(group, ["session-scoping"]) == 2
    error = f"session-scoping: not a Flask app, but a int{GIVE}\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("package", ["sqlalchemy", "flask_admin.contrib.sqla", "rich"])
def test_a_package_that_does_not_import_is_an_error(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from session_scoping.cli import main
main(["--app", "{RAW}:fixed"])
"""
    done = process("-c", code)
    assert (done.status, len(done.lines)) == (2, 1)
    assert done.err.startswith("session-scoping: what it needs does not import: ")
    assert package in done.err


def test_a_full_disk_is_an_error_after_the_verdict(scoping: Run) -> None:
    done = scoping(f"{RAW}:fixed", "--json", "/dev/full")
    assert done.status == 2
    assert done.out.endswith("Verdict: sessions are request-scoped.\n")
    assert done.err.startswith(
        "session-scoping: cannot write '/dev/full': No space left"
    )
