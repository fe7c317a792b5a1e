"""The command line: what it prints, what it saves, and its exit status."""

import io
import json
import os
import re
import subprocess
import sys
import typing as t
from itertools import cycle
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from flask.cli import FlaskGroup

from session_scoping import __version__
from session_scoping.cli import in_flask
from session_scoping.cli import main
from session_scoping.recording import Recording
from session_scoping.rules.judge import judge
from session_scoping.rules.rules import Rule
from tests.apps import APPS

ROOT = Path(__file__).parent.parent
RAW = "tests.apps.raw_session"
KEPT = "tests.apps.captured_at_startup"
LEAK = next(app for app in APPS if app.target == f"{RAW}:broken")
LEAKS_AT = f"tests/apps/raw_session.py:{LEAK.line} in __init__"
LOGIN = "tests.apps.login:fixed"
CLIENT = "tests.apps.login:client"

# Warnings of Flask-Admin itself would turn its pages into errors.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Yielding raw tuples:DeprecationWarning"),
]


class Result(t.NamedTuple):
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()


Run = t.Callable[..., Result]


def exit_status(command: click.Command, arguments: t.Sequence[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        command.main([*arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def run_command(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `python -m session_scoping --app` in this process."""

    def run(app: str, *arguments: str) -> Result:
        status = exit_status(main, ["--app", app, *arguments])
        return Result(status, *capsys.readouterr())

    return run


@pytest.fixture
def run_flask(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `flask` in this process."""

    def run(*arguments: str) -> Result:
        group = FlaskGroup(add_version_option=False, load_dotenv=False)
        group.add_command(in_flask, "session-scoping")
        return Result(exit_status(group, arguments), *capsys.readouterr())

    return run


def run_process(*command: str, folder: Path = ROOT, **environment: str) -> Result:
    """Run Python in a folder, with the package of this repository."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    given = {"NO_COLOR": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": path}
    result = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **given, **environment},
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    return Result(result.returncode, result.stdout, result.stderr)


# ------------------------------------------------------------------------- the verdict

MODULE = ("-m", "session_scoping", "--app")


def test_a_broken_app_is_reported_with_rule_view_line_and_fix() -> None:
    result = run_process(*MODULE, f"{RAW}:broken")
    assert (result.status, result.err) == (1, "")
    [header] = [line for line in result.out.splitlines() if line.startswith("view")]
    assert header.split()[1:] == list(Rule)
    for part in (
        "ReportView      broken     holds      broken",
        "1. A raw session given to a view (ReportView)",
        f"your code: {LEAKS_AT}",
        "admin.add_view(ReportView(Product, db_session))",
        "Verdict: 3 of 7 rules are broken: handle, fresh, released.",
    ):
        assert part in result.out


def test_a_fixed_app_holds(run_command: Run) -> None:
    result = run_command(f"{RAW}:fixed")
    assert (result.status, result.err) == (0, "")
    assert "broken" not in result.out
    assert result.out.endswith("Verdict: sessions are request-scoped.\n")


def test_the_command_has_a_version() -> None:
    result = run_process("-m", "session_scoping", "--version")
    assert result == Result(
        0, f"python -m session_scoping, version {__version__}\n", ""
    )
    assert f'\nversion = "{__version__}"\n' in (ROOT / "pyproject.toml").read_text()


def test_flask_has_the_command() -> None:
    """Flask finds it by the entry point of the package."""
    result = run_process("-m", "flask", "--app", f"{RAW}:broken", "session-scoping")
    assert (result.status, result.err) == (1, "")
    assert f"your code: {LEAKS_AT}" in result.out


def test_flask_takes_the_app_from_its_environment(
    run_flask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLASK_APP", f"{RAW}:fixed")
    result = run_flask("session-scoping")
    assert (result.status, result.err) == (0, "")


def test_flask_watches_the_app_being_built(run_flask: Run) -> None:
    """Flask must not load the app before the command does."""
    result = run_flask(
        "--app", "tests.apps.kept:seeded_at_start_broken", "session-scoping"
    )
    assert result.status == 1
    assert "was opened while the app was built" in result.out


def test_the_command_imports_no_heavy_package_before_it_runs() -> None:
    """Each command of `flask` imports it."""
    heavy = {"flask_admin", "packaging", "rich", "sqlalchemy"}
    code = f"import session_scoping.cli, sys; print(sorted({heavy} & set(sys.modules)))"
    assert run_process("-c", code).out == "[]\n"


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
    """Make a folder with an app, and start there."""
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
    assert run_process(*program, "zoo", command, folder=zoo).status == 0


def test_a_file_in_another_folder_is_found(zoo: Path, run_command: Run) -> None:
    (zoo / "inner").mkdir()
    (zoo / "inner" / "web.py").write_text(APP)
    assert run_command("inner/web.py:create_app").status == 0


# ------------------------------------------------------------------------------ options


def test_saved_reports_replace_older_reports(tmp_path: Path, run_command: Run) -> None:
    saved, page = tmp_path / "seen.json", tmp_path / "seen.html"
    saved.write_text("old" * 100_000)
    run_command(f"{RAW}:broken", "--json", str(saved), "--html", str(page))
    verdict = judge(Recording.load(saved))
    assert {found.rule for found in verdict.violations} == {
        *("handle", "fresh", "released")
    }
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert LEAKS_AT in html


def test_what_is_saved_is_printed(tmp_path: Path, run_command: Run) -> None:
    """One line for each file, and not where a pipe takes the verdict."""
    paths = {name: tmp_path / f"seen.{name}" for name in ("html", "json", "sarif")}
    options = [
        part for name, path in paths.items() for part in (f"--{name}", str(path))
    ]
    result = run_command(f"{RAW}:broken", *options)
    assert result.lines == [
        f"--html saved the report: {paths['html']}",
        f"--json saved all that was seen: {paths['json']}",
        f"--sarif saved the findings for code scanning: {paths['sarif']}",
    ]
    assert all(path.stat().st_size for path in paths.values())


def test_a_report_can_be_written_to_a_pipe() -> None:
    code = "import json, sys; json.loads(sys.stdin.read().splitlines()[-1])"
    run = f"{sys.executable} -m session_scoping --app {RAW}:fixed --json /dev/stdout"
    shell = f'{run} | {sys.executable} -c "{code}"'
    result = subprocess.run(shell, shell=True, cwd=ROOT, capture_output=True, text=True)
    saved = "--json saved all that was seen: /dev/stdout\n"
    assert (result.returncode, result.stderr) == (0, saved)


def test_a_session_made_at_a_named_line_is_left_alone(run_command: Run) -> None:
    result = run_command(f"{RAW}:broken", "--leave-alone", f"{LEAKS_AT[:-8]}*")
    assert result.status == 0
    assert "to leave alone" not in result.out


def test_a_pattern_without_a_match_is_noted(run_command: Run) -> None:
    result = run_command(f"{RAW}:broken", "--leave-alone", "shop.py:*")
    assert result.status == 1
    assert "Note: no session was made at shop.py:*, to leave alone." in result.out


def test_without_a_logged_in_client_nothing_holds(run_command: Run) -> None:
    result = run_command(LOGIN)
    assert "holds" not in result.out
    assert "UserView   not reached" in result.out
    assert result.err.startswith(
        "session-scoping: nothing was seen: UserView, list answers 302"
    )


def test_a_logged_in_client_sees_more(run_command: Run) -> None:
    result = run_command(LOGIN, "--client", CLIENT)
    assert result.status == 0
    assert "not reached" not in result.out
    assert "--client MODULE:FUNCTION" not in result.out


def test_a_script_that_starts_its_server_is_only_loaded(
    zoo: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (zoo / "script.py").write_text("from zoo import *\napp = create_app()\napp.run()")
    for before in None, "false":
        sys.modules.pop("script", None)
        monkeypatch.delenv("FLASK_RUN_FROM_CLI", raising=False)
        if before:
            monkeypatch.setenv("FLASK_RUN_FROM_CLI", before)
        monkeypatch.setattr("werkzeug.serving.run_simple", lambda *_, **__: 1 / 0)
        assert run_command("script").status == 0
        assert os.environ.get("FLASK_RUN_FROM_CLI") == before


def test_a_client_can_be_in_another_file_of_the_current_directory(zoo: Path) -> None:
    """The program `flask` does not have that directory in its path."""
    (zoo / "inner").mkdir()
    (zoo / "inner" / "login.py").write_text("def enter(app): return app.test_client()")
    flask = ("import sys; sys.path.remove(''); from flask.cli import main; main()",)
    arguments = ("--app", "zoo", "session-scoping", "--client", "inner/login.py:enter")
    assert run_process("-c", *flask, *arguments, folder=zoo).status == 0


def test_the_verdict_counts_the_views_that_were_seen(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "half.py").write_text(
        "from zoo import *\n"
        "class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "def create_app():\n"
        "    views = Closed(Fish, db.session), BirdView(Bird, db.session)\n"
        "    return zoo(*views)\n"
        "from zoo import create_app as zoo\n"
    )
    result = run_command("half:create_app")
    assert "Closed, list: answers 403" in result.out
    assert "--client MODULE:FUNCTION" in result.out
    assert "Verdict: sessions are request-scoped, in 1 of 2 views." in result.out


def test_a_view_that_shows_its_list_needs_no_login(zoo: Path, run_command: Run) -> None:
    (zoo / "odd.py").write_text(
        "from zoo import *\n"
        "class Odd(FishView):\n"
        "    can_export, export_types = True, ['odd']\n"
        "def create_app():\n"
        "    return zoo(Odd(Fish, db.session))\n"
        "from zoo import create_app as zoo\n"
    )
    result = run_command("odd:create_app")
    assert "Odd, export odd: answers 302" in result.out
    assert "--client MODULE:FUNCTION" not in result.out


def test_a_list_that_leads_to_its_only_row_needs_no_login(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "settings.py").write_text(
        "from flask import redirect\n"
        "from flask_admin import expose\n"
        "from zoo import *\n"
        "class Settings(FishView):\n"
        "    @expose('/')\n"
        "    def index_view(self): return redirect(self.get_url('.edit_view', id=1))\n"
        "def create_app():\n"
        "    return zoo(Settings(Fish, db.session), BirdView(Bird, db.session))\n"
        "from zoo import create_app as zoo\n"
    )
    result = run_command("settings:create_app")
    assert "Settings, list: answers 302 and leads to /admin/fish/edit/" in result.out
    assert "--client MODULE:FUNCTION" not in result.out


@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("", 2)])
def test_write_asks_first(
    answer: str,
    status: int,
    zoo: Path,
    run_command: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    result = run_command("zoo:create_app", "--write")
    assert result.status == status
    assert result.lines[0] == (
        "--write makes, edits and deletes rows of its own in sqlite://"
    )
    assert result.lines[1].endswith("is done: --skip ENDPOINT skips a page.")
    refused = "nothing was written: the answer was not yes (--yes answers it)"
    assert result.err.endswith(f"session-scoping: {refused}\n") == (status == 2)


def test_the_question_names_what_is_skipped(
    zoo: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    result = run_command("zoo:create_app", "--write", "--skip", "fish.*")
    assert result.lines[1].endswith(" It skips fish.*.")
    assert "FishView, list: skipped by fish.*" in result.out


def test_yes_agrees_to_write(zoo: Path, run_command: Run) -> None:
    result = run_command("zoo:create_app", "--write", "--yes", "--json", "seen.json")
    assert result.status == 0
    requests = Recording.load("seen.json").requests
    assert "create" in {request.does for request in requests}


FORM = """
from zoo import *
from flask import abort
from flask_admin import expose

class Form(FishView):
    @expose("/new/", methods=("GET", "POST"))
    def create_view(self):
        {}

app = create_app(Form(Fish, db.session))
"""


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            "abort(403)",
            "create form: answers 403: give a test client that may see it, with "
            "--client MODULE:FUNCTION",
        ),
        (
            "return 'no'",
            "create form: the page has no form to post\n",
        ),
        ("no", "create form: NameError: name 'no' is not defined"),
    ],
)
def test_a_run_that_has_written_nothing_says_why(
    zoo: Path, run_command: Run, body: str, why: str
) -> None:
    (zoo / "form.py").write_text(FORM.format(body))
    result = run_command("form:app", "--write", "--yes", "--json", "seen.json")
    assert result.status == 2
    error = result.err.partition("\n")[2]  # the first line says what is saved
    assert error.startswith(f"session-scoping: nothing was written: Form, {why}")
    assert judge(Recording.load("seen.json")).shown


def test_a_terminal_without_arrows_gets_the_verdict() -> None:
    result = run_process(*MODULE, f"{KEPT}:broken", PYTHONIOENCODING="ascii")
    assert (result.status, result.err) == (1, "")
    assert "kept by:   Admin -> OpenOrderView -> reader" in result.out
    assert result.out.isascii()


def test_github_gets_annotations_and_code_scanning_gets_sarif(
    zoo: Path, run_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The paths begin at the root of the repository, wherever the command runs."""
    (zoo / ".git").mkdir()
    (zoo / "web").mkdir()
    (zoo / "web" / "kept.py").write_text(
        (ROOT / "tests/apps/raw_session.py").read_text()
    )
    monkeypatch.chdir(zoo / "web")
    monkeypatch.syspath_prepend(zoo / "web")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = run_command("kept:broken", "--sarif", "seen.sarif", "--json", "/dev/null")
    last = result.out.splitlines()[-1]
    assert last.startswith(
        f"::error file=web/kept.py,line={LEAK.line},title=A raw session given to a view"
        "::ReportView breaks handle, fresh, released.%0A"
    )
    assert result.out.count("::error") == 1
    [found] = json.loads(Path("seen.sarif").read_text())["runs"][0]["results"]
    [location] = found["locations"]
    place = location["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "web/kept.py"
    assert place["region"]["startLine"] == LEAK.line


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


def test_ctrl_c_prints_and_saves_the_verdict_so_far(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "slow.py").write_text(CTRL_C)
    result = run_command("slow:slow", "--json", "seen.json", "--html", "seen.html")
    assert (result.status, result.lines[2:]) == (130, [INTERRUPTED.strip()])
    assert "Note: interrupted: this is the verdict so far." in result.out
    assert "Verdict: sessions are request-scoped, in 1 of 2 views." in result.out
    assert "Did not work" not in result.out
    assert judge(Recording.load("seen.json")).seen == {1}
    assert (zoo / "seen.html").exists()


def test_ctrl_c_before_anything_is_proven_has_its_own_status(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "slow.py").write_text(CTRL_C)
    result = run_command("slow:first")
    assert (result.status, result.err) == (130, INTERRUPTED)
    assert "Verdict: nothing was seen" in result.out


def test_ctrl_c_while_the_app_is_built_prints_no_verdict(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "slow.py").write_text(CTRL_C)
    assert run_command("slow:at_once") == Result(130, "", INTERRUPTED)


def test_ctrl_c_does_not_hide_a_broken_rule(zoo: Path, run_command: Run) -> None:
    (zoo / "slow.py").write_text(
        f"{CTRL_C}\n    # and a leak\n"
        "def leak():\n"
        "    app = create_app(FishView(Fish, db.session), Slow(Bird, db.session))\n"
        "    from sqlalchemy.orm import Session\n"
        "    with app.app_context(): session = Session(db.engine)\n"
        "    app.extensions['admin'][0]._views[1].session = session\n"
        "    return app\n"
    )
    result = run_command("slow:leak")
    assert result.status == 130
    assert "3 of 7 rules are broken, in 1 of 2 views: handle" in result.out


def test_a_broken_rule_is_reported_although_no_view_answers(
    zoo: Path, run_command: Run
) -> None:
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
    result = run_command("shut:shut")
    assert (result.status, result.err) == (1, "")
    assert "`db.session()` given to a view" in result.out


def test_a_failing_view_is_reported_and_the_other_views_are_judged(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "ill.py").write_text(
        f"{APP}\n"
        "class Ill(FishView):\n"
        "    def get_list(self, *args, **options): raise ValueError('no fish today')\n"
        "def ill():\n"
        "    return create_app(Ill(Fish, db.session), BirdView(Bird, db.session))\n"
    )
    result = run_command("ill:ill")
    assert result.status == 0
    assert "GET /admin/fish/ (list) and 3 more: ValueError: no fish today" in result.out
    assert re.search(r"^BirdView +holds +holds ", result.out, re.MULTILINE)
    assert "request-scoped, in 1 of 2 views, but 8 requests did not work." in result.out


def test_a_missing_table_is_reported_and_the_other_views_are_judged(
    zoo: Path, run_command: Run
) -> None:
    (zoo / "bare.py").write_text(
        f"{APP}\n"
        "def bare():\n"
        "    app = create_app()\n"
        "    with app.app_context(): Fish.__table__.drop(db.engine)\n"
        "    return app\n"
    )
    result = run_command("bare:bare")
    assert result.status == 0
    assert "and 3 more: OperationalError: (sqlite3.OperationalError) no such table" in (
        result.out
    )
    assert re.search(r"^BirdView +holds +holds ", result.out, re.MULTILINE)


def test_output_of_an_app_comes_before_the_verdict(zoo: Path, run_command: Run) -> None:
    (zoo / "loud.py").write_text(
        f"import logging\nprint('hello')\nlogging.warning('careful')\n{APP}"
    )
    result = run_command("loud")
    assert result.status == 0
    assert result.out.startswith("hello\nFlask-Admin ")


# ---------------------------------------------------------------------------- bad input


class Bad(t.NamedTuple):
    """An invalid input, and the error that it prints."""

    message: str
    code: str = ""  # of the module `bad`
    app: str = "bad"
    options: tuple[str, ...] = ()


GIVE = ": name an app, or a function that makes it, as in 'module:create_app'"
LOADS = "the app does not load: "
CALL = "the app ends while it loads: "
THE_APP = "import flask\napp = flask.Flask('bad')\n"
WITH_ADMIN = f"{THE_APP}from flask_admin import Admin\nAdmin(app)\n"
SEEN = "from zoo import *\n"

BAD = {
    "no such module": Bad(
        "Could not import 'nowhere': start in the folder that it is in, or name "
        "'path/to/app.py:app'",
        app="nowhere:app",
    ),
    "no such file": Bad(
        "missing/zoo.py does not exist" + GIVE + ", or 'path/to/app.py'",
        app="missing/zoo.py:app",
    ),
    "a missing module in its imports": Bad(
        f"{LOADS}ModuleNotFoundError: No module named 'nowhere' (bad.py:2)",
        "import flask\nimport nowhere",
    ),
    "a missing name in its imports": Bad(
        f"{LOADS}ImportError: cannot import name 'Aquarium' from 'zoo'",
        "from zoo import Aquarium",
    ),
    "an error in its import": Bad(
        f"{LOADS}KeyError: 'SECRET' (bad.py:2)", "import os\nos.environ['SECRET']"
    ),
    "an error of more than a line": Bad(
        f"{LOADS}ValueError: first (bad.py:1)", "raise ValueError('first\\nsecond')"
    ),
    "a syntax error": Bad(
        f"{LOADS}SyntaxError: invalid syntax (bad.py:2)", "\napp = ="
    ),
    "a module without an app": Bad(
        "Failed to find Flask application or factory in module 'bad'. Use 'bad:name' "
        "to specify one\n",
        "x = 1",
    ),
    "a module with two apps": Bad(
        "Detected multiple Flask applications in module 'bad'. Use 'bad:name' to "
        "specify the correct one\n",
        "import flask\na, b = flask.Flask('a'), flask.Flask('b')",
    ),
    "a missing name": Bad(
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
        "def make(number=1): return number()",
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
    "an app that ends the program with status 0": Bad(
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
    "views that are added under __main__": Bad(
        "bad has an Admin without a SQLAlchemy view: bad.py:6 is under `if __name__ "
        '== "__main__"`, which runs only where the file is started as a program: move',
        f"{WITH_ADMIN}if __name__ == '__main__':\n    Admin.add_view(app, None)\n",
    ),
    "an Admin that is made under __main__": Bad(
        "bad has no Admin: bad.py:5 is under `if __name__",
        f"{THE_APP}if __name__ == '__main__':\n    from flask_admin import Admin\n"
        "    Admin(app)\n",
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
    "missing tables": Bad(
        "no list can be read: OperationalError: (sqlite3.OperationalError) no such "
        "table: fish: does the database exist, and does it have the tables?",
        f"{SEEN}app = create_app(tables=False)",
    ),
    "missing tables, and injected faults": Bad(
        "no list can be read: OperationalError: (sqlite3.OperationalError) no such "
        "table: fish: does the database exist, and does it have the tables?",
        f"{SEEN}app = create_app(tables=False)",
        options=("--faults",),
    ),
    "--yes without --write": Bad(
        "--yes has no effect without --write",
        f"{SEEN}app = create_app()",
        options=("--yes",),
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
        "nothing was seen: Closed, list answers 403: give a test client "
        "that may see it, with --client MODULE:FUNCTION",
        f"{SEEN}class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "app = create_app(Closed(Fish, db.session))",
    ),
    "views that are closed to this client": Bad(
        "nothing was seen: Closed, list answers 403: check that bad:enter logs in, as "
        "a user who is allowed to see it",
        f"{SEEN}class Closed(FishView):\n"
        "    def is_accessible(self): return False\n"
        "app = create_app(Closed(Fish, db.session))\n"
        "def enter(app): return app.test_client()",
        options=("--client", "bad:enter"),
    ),
}

BAD["all endpoints skipped"] = Bad(
    "nothing was seen: FishView, list skipped by *: skip fewer endpoints\n",
    SEEN,
    app="zoo:create_app",
    options=("--skip", "*"),
)
BAD["no file to save in"] = Bad("--json needs a file, not ''\n", options=("--json", ""))
BAD["an endpoint to skip that is not there"] = Bad(
    "no endpoint of zoo matches fsh.*, to skip: `flask routes` lists them",
    f"{SEEN}app = create_app()\n",
    options=("--skip", "fsh.*"),
)

BAD |= {
    f"options: {' '.join(options)}": Bad(
        message, f"{SEEN}app = create_app()\n", options=options
    )
    for options, message in [
        (("--skip", ""), "--skip needs a pattern, not ''"),
        (("--client", ""), "--client is no MODULE:FUNCTION"),
        (("--leave-alone", ""), "--leave-alone needs a pattern, not ''"),
        (
            ("--html", "a", "--json", "./a"),
            "--html and --json both name './a': name two files",
        ),
        (
            ("--html", "seen.html", "--sarif", "seen.html"),
            "--html and --sarif both name 'seen.html': name two files",
        ),
        (("--json", "--html"), "--json needs a file, not the option --html"),
        (("--json",), "Option '--json' requires an argument. See "),
        (
            ("--no-color=1",),
            "Option '--no-color' does not take a value. See ",
        ),
        (("--colour",), "No such option"),
        (("zoo:create_app",), "Got unexpected extra argument (zoo:create_app). See"),
    ]
}

APP_OF_A_CLIENT = f"{SEEN}app = create_app()\n"
BAD |= {
    f"a client: {name}": Bad(
        message, f"{APP_OF_A_CLIENT}{code}", options=("--client", client)
    )
    for name, client, code, message in [
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
            "--client bad:x is an object of type int: it has to be a function that "
            "takes the app",
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
            "--client bad:enter returns None: it has to return a test client, as "
            "app.test_client() does",
        ),
        (
            "returns the app",
            "bad:enter",
            "def enter(app): return app",
            "--client bad:enter returns an object of type Flask: it has to return a "
            "test client, as app.test_client() does",
        ),
    ]
}

PATHS = {
    "nowhere/seen": "No such file or directory",
    ".": "Is a directory",
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
def test_bad_input_is_an_error_of_one_line(
    bad: Bad, zoo: Path, run_command: Run
) -> None:
    """It prints no verdict, and leaves no file behind."""
    (zoo / "bad.py").write_text(bad.code)
    (zoo / "seen.json").write_text("an older report")
    reports = [] if "--json" in bad.options else ["--json", "seen.json"]
    reports += [] if "--html" in bad.options else ["--html", "seen.html"]
    result = run_command(bad.app, *reports, *bad.options)
    assert result.err.startswith(f"session-scoping: {bad.message}")
    assert (result.status, len(result.lines)) == (2, 1)
    assert "request-scoped" not in result.out
    left = {file.name for file in zoo.iterdir()} - {"__pycache__"}
    assert left == {"zoo.py", "bad.py", "seen.json"}
    assert (zoo / "seen.json").read_text() == "an older report"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "No such command 'nothing'. See main --help"),
        (("zoo:app",), "An app is named with --app: --app zoo:app. See main --help"),
        (("holding",), "it asks a running app: flask --app APP session-scoping"),
        (("zoo.py",), "An app is named with --app: --app zoo.py. See main --help"),
        (("check",), "name the app: --app MODULE:NAME"),
        (("--faults",), "name the app: --app MODULE:NAME"),
        (("verdict", "--app", "zoo"), "No such option"),
        (("verdict", "now"), "Got unexpected extra argument (now). See main verdict"),
        (("fork",), "Missing argument 'PATH'. See main fork --help"),
        (
            ("explain", "nothing"),
            "there is no page 'nothing': `session-scoping explain",
        ),
    ],
)
def test_a_wrong_command_line_is_an_error_of_one_line(
    arguments: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.output.startswith(f"session-scoping: {message}")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@pytest.mark.parametrize("arguments", [(), ("-h",), ("check", "-h"), ("fork", "-h")])
def test_the_help_is_complete(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: main ")
    assert "..." not in result.stdout.partition("\n")[2]


def test_bad_input_in_a_process_is_an_error(zoo: Path) -> None:
    bad = BAD["an error in its import"]
    (zoo / "bad.py").write_text(bad.code)
    error = f"session-scoping: {bad.message}\n"
    assert run_process(*MODULE, "bad", folder=zoo) == Result(2, "", error)


def test_holding_of_an_app_that_does_not_load_is_an_error(
    zoo: Path, run_flask: Run
) -> None:
    bad = BAD["an error in its import"]
    (zoo / "bad.py").write_text(bad.code)
    result = run_flask("--app", "bad", "session-scoping", "holding")
    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert "the app does not load: " in result.err


def test_help_in_flask_lists_the_commands(zoo: Path, run_flask: Run) -> None:
    result = run_flask("session-scoping", "--help")
    assert result.status == 0
    assert "holding" in result.out
    assert "session-scoping check --help" in " ".join(result.out.split())


def test_bad_input_of_flask_is_an_error(zoo: Path, run_flask: Run) -> None:
    bad = BAD["no Admin"]
    (zoo / "bad.py").write_text(bad.code)
    result = run_flask("--app", "bad", "session-scoping")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"session-scoping: {bad.message}")


def test_flask_without_an_app_is_an_error(
    tmp_path: Path, run_flask: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_flask("session-scoping")
    assert result.status == 2
    assert result.err.startswith(
        "session-scoping: Could not locate a Flask application. Use the 'flask --app'"
    )


def test_output_of_an_app_comes_before_its_error(zoo: Path, run_command: Run) -> None:
    (zoo / "bad.py").write_text("import sys\nprint('hm', file=sys.stderr)\n1 / 0")
    result = run_command("bad")
    error = f"session-scoping: {LOADS}ZeroDivisionError: division by zero (bad.py:3)"
    assert result.lines == ["hm", error]


def test_a_function_that_makes_no_app_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An app can have a `flask.cli.FlaskGroup` with such a function."""
    make: t.Any = lambda: 1  # noqa: E731
    group = FlaskGroup(create_app=make, set_debug_flag=False, load_dotenv=False)
    group.add_command(in_flask, "session-scoping")
    assert exit_status(group, ["session-scoping"]) == 2
    error = (
        f"session-scoping: the app is an object of type int, not a Flask app{GIVE}\n"
    )
    assert capsys.readouterr().err == error


@pytest.mark.parametrize("package", ["sqlalchemy", "flask_admin.contrib.sqla", "rich"])
def test_a_package_that_cannot_be_imported_is_an_error(package: str) -> None:
    code = f"""
import sys
sys.modules[{package!r}] = None
from session_scoping.cli import main
main(["--app", "{RAW}:fixed"])
"""
    result = run_process("-c", code)
    assert (result.status, len(result.lines)) == (2, 1)
    assert result.err.startswith("session-scoping: what it needs does not import: ")
    assert package in result.err


def test_pytest_says_which_package_cannot_be_imported() -> None:
    code = f"""
import sys
import pytest
sys.modules["flask_admin.contrib.sqla"] = None
options = ["-p", "session_scoping.plugin", "--session-scoping-app={RAW}:fixed"]
sys.exit(pytest.main(["-c", "/dev/null", *options]))
"""
    result = run_process("-c", code, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert (result.status, result.out) == (4, "")
    assert "session scoping: what it needs does not import: " in result.err
    assert "Traceback" not in result.err


def test_a_full_disk_is_an_error_after_the_verdict(run_command: Run) -> None:
    result = run_command(f"{RAW}:fixed", "--json", "/dev/full")
    assert result.status == 2
    assert result.out.endswith("Verdict: sessions are request-scoped.\n")
    assert result.err.startswith(
        "session-scoping: cannot write '/dev/full': No space left"
    )
