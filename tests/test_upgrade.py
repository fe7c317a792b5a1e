"""One release against another: what is compared, what is said, and real ones."""

import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result
from packaging.version import Version

from session_scoping import upgrade
from session_scoping.commands import main
from session_scoping.environments import complaint
from session_scoping.environments import make
from session_scoping.environments import name_of
from session_scoping.environments import Pins
from session_scoping.environments import resolve
from session_scoping.errors import CannotTell
from session_scoping.guard import BREAKS
from session_scoping.guard import Cell
from session_scoping.guard import GuardRun
from session_scoping.guard import HOLDS
from session_scoping.guard import KNOWN
from session_scoping.guard import UNKNOWN
from session_scoping.reports.terminal import plain
from session_scoping.reports.upgrade import html
from session_scoping.reports.upgrade import render
from session_scoping.reports.upgrade import sentence
from session_scoping.rules import NAMES
from session_scoping.upgrade import bisect
from session_scoping.upgrade import BROKE
from session_scoping.upgrade import Comparison
from session_scoping.upgrade import Culprit
from session_scoping.upgrade import INCOMPARABLE
from session_scoping.upgrade import Job
from session_scoping.upgrade import MENDED
from session_scoping.upgrade import requirements
from session_scoping.upgrade import SAME
from session_scoping.upgrade import Tried
from tests.conftest import Sdist


def tried(*cells: Cell, release: str = "1.0", **more: t.Any) -> Tried:
    """All rules hold with the handle ``db``, but for these cells."""
    other = {(one.rule, one.handle) for one in cells}
    rest = [Cell(rule, "db", HOLDS) for rule in NAMES if (rule, "db") not in other]
    run = GuardRun(cells=[*cells, *rest], finished=True, **more)
    return Tried(f"shop=={release}", release, {"shop": release}, run)


def comparison(before: Tried, after: Tried) -> Comparison:
    return Comparison("shop", before, after)


LEAK = Cell("released", "db", BREAKS, "", "`released` is broken: session 1 is open")
DEFECT = Cell("released", "db", KNOWN, "Shop 1.0 leaks", "session 1 is open")
UNTRIED = Cell("released", "db", UNKNOWN, "shop-db is not installed")
GONE = GuardRun(does_not_import="cannot import name 'X'")

# ------------------------------------------------------------------------- comparisons


@pytest.mark.parametrize(
    ("before", "after", "kind", "status"),
    [
        (tried(), tried(), SAME, 0),
        (tried(), tried(LEAK), BROKE, 1),
        (tried(), tried(DEFECT), BROKE, 1),
        (tried(DEFECT), tried(), MENDED, 0),
        (tried(DEFECT), tried(LEAK), SAME, 0),
        (tried(UNTRIED), tried(), INCOMPARABLE, 0),
        (tried(), tried(UNTRIED), INCOMPARABLE, 0),
        (tried(), Tried("shop==2", "2", {}, GONE), INCOMPARABLE, 2),
        (tried(), Tried("shop==2", trouble="does not install"), INCOMPARABLE, 2),
        (tried(), tried(failures=["test_every_endpoint\nmerge"]), SAME, 2),
    ],
)
def test_a_change_is_told_by_what_it_is(
    before: Tried, after: Tried, kind: str, status: int
) -> None:
    found = comparison(before, after)
    [change] = [one for one in found.changes if one.rule == "released"]
    assert (change.kind, found.status) == (kind, status)


def test_a_failure_that_was_there_before_is_nothing_new() -> None:
    both = tried(failures=["test_every_endpoint\nmerge"])
    assert (comparison(both, both).failures, comparison(both, both).status) == ([], 0)


def test_what_else_is_different_is_told() -> None:
    before, after = tried(), tried(release="2.0")
    before.versions |= {"flask": "3.0", "six": "1"}
    after.versions |= {"flask": "3.1", "six": "1", "new": "1"}
    assert comparison(before, after).besides == {
        "flask": ("3.0", "3.1"),
        "new": ("none", "1"),
    }


def test_the_report_names_rule_handle_and_reason() -> None:
    found = comparison(tried(), tried(DEFECT, release="2.0"))
    text = plain(render(found))
    assert "holds → breaks" in text
    assert "Broken: released: db\n   Shop 1.0 leaks\n   session 1 is open" in text
    assert text.endswith("Verdict: shop 1.0 → 2.0 breaks released.")


def test_what_is_mended_is_told_with_what_it_was() -> None:
    text = plain(render(comparison(tried(DEFECT), tried(release="2.0"))))
    assert "No longer broken: released: db\n   Shop 1.0 leaks" in text


def test_what_does_not_import_is_told_once() -> None:
    found = comparison(tried(), Tried("shop==2", "2.0", {}, GONE))
    text = plain(render(found))
    assert text.count("cannot import name 'X'") == 1
    assert "every rule: db: does not import" in text
    assert sentence(found) == "shop 1.0 → 2.0: could not tell."


def test_the_page_loads_nothing_and_shows_what_is_said() -> None:
    leak = LEAK.__class__("fresh", "db", BREAKS, "see https://a.test/b", "<script>")
    page = html(comparison(tried(), tried(leak, release="2.0")))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert '<a href="https://a.test/b">' in page
    assert "src=" not in page


# ------------------------------------------------------------------------------- sides


@pytest.mark.parametrize(
    ("sides", "package", "installs"),
    [
        (("a==1", "a==2"), "a", ("a==1", "a==2")),
        (("A_b==1", "latest"), "a-b", ("A_b==1", "a-b")),
        (("latest", "a<2"), "a", ("a", "a<2")),
        (("a[x]>=1", "git+https://a.test/a@main"), "a", ("a[x]>=1",)),
    ],
)
def test_sides(sides: tuple[str, str], package: str, installs: tuple[str, ...]) -> None:
    found, *both = requirements(*sides)
    assert found == package
    assert both[: len(installs)] == [*installs]


def test_a_checkout_is_a_side(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    _, _, side = requirements("a==1", str(tmp_path))
    assert side == f"a @ {tmp_path.as_uri()}"


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("latest", "latest", "name the package on one side at least"),
        ("a==1", "b==2", "a and b are two packages"),
        ("a=1", "a==2", "'a=1' is no side"),
        ("a==1", "./nowhere", "./nowhere is no checkout of a"),
    ],
)
def test_bad_sides_are_told_in_a_line(before: str, after: str, says: str) -> None:
    done = CliRunner().invoke(main, ["upgrade", before, after])
    assert done.exit_code == 2
    assert says in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Flask_Admin[x]==1 ; a", "flask-admin"),
        ("a @ file:///x", "a"),
        ("./a", ""),
        ("git+https://a.test/b", ""),
    ],
)
def test_names_of_requirements(text: str, name: str) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(
    ("stderr", "says"),
    [
        (
            "error: No solution found when resolving dependencies\n"
            "  cause: Because there is no version of a==9 and you require a==9, we can "
            "conclude that your requirements are unsatisfiable.\n",
            "Because there is no version of a==9",
        ),
        (
            "error: Request failed after 3 retries in 11.4s\n"
            "  cause: client error (Connect)\n  cause: Connection refused (os error 1)",
            "the package index cannot be reached: Connection refused (os error 1)",
        ),
        (
            "hint: Packages were unavailable because the network was disabled.",
            "the package index cannot be reached: uv is offline",
        ),
        (
            "  × No solution found when resolving:\n  ╰─▶ Because a was not "
            "found in the cache and you require a, we can conclude it",
            "Because a was not found",
        ),
    ],
)
def test_what_uv_complains_of_is_told_in_a_line(stderr: str, says: str) -> None:
    assert complaint(stderr).startswith(says)
    assert "\n" not in complaint(stderr)


# ------------------------------------------------------------------------------ bisect


@pytest.fixture
def hundred(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., list[str]]:
    """A hundred releases, of which some from one on leak, and those that are tried."""

    def releases(leaks_from: int, unknown: t.Container[int] = ()) -> list[str]:
        asked: list[str] = []

        def attempt(package: str, side: str, *_: object) -> Tried:
            release = side.rpartition("==")[2]
            asked.append(release)
            number = int(release)
            if number in unknown:
                return Tried(side, release, trouble="does not install")
            cells = [LEAK] if number >= leaks_from else []
            return tried(*cells, release=release)

        monkeypatch.setattr(upgrade, "attempt", attempt)
        monkeypatch.setattr(upgrade, "release_of", lambda side, pre: side[6:])
        monkeypatch.setattr(
            upgrade,
            "releases_between",
            lambda *_: [Version(str(n)) for n in range(100)],
        )
        return asked

    return releases


def quietly(doing: str, step: int) -> None:
    pass


@pytest.mark.parametrize("first", [1, 37, 50, 99])
def test_bisect_finds_the_first_release_that_breaks(
    first: int, hundred: t.Callable[..., list[str]]
) -> None:
    asked = hundred(leaks_from=first)
    found = bisect("shop==0", "shop==99", Job(), quietly)
    assert isinstance(found, Culprit)
    assert found.comparison.after.release == str(first)
    assert found.comparison.before.release == str(first - 1)
    assert len(asked) == len({*asked}) == found.tried <= 9


def test_bisect_goes_around_what_cannot_be_tried(
    hundred: t.Callable[..., list[str]],
) -> None:
    hundred(leaks_from=50, unknown={48, 49, 51})
    found = bisect("shop==0", "shop==99", Job(), quietly)
    assert isinstance(found, Culprit)
    assert found.comparison.after.release == "50"
    assert found.untried == ("48", "49")


def test_bisect_finds_nothing_where_nothing_breaks(
    hundred: t.Callable[..., list[str]],
) -> None:
    asked = hundred(leaks_from=1000)
    found = bisect("shop==0", "shop==99", Job(), quietly)
    assert isinstance(found, Comparison)
    assert (found.status, len(asked)) == (0, 2)


# ------------------------------------------------------------------------ real releases


def command(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


needs_index = pytest.mark.usefixtures("index")


@needs_index
def test_unique_no_longer_keeps_a_session() -> None:
    done = command("upgrade", "flask-admin==2.2.0", "flask-admin==2.2.1")
    assert done.exit_code == 0, done.output
    assert "No longer broken: single, fresh, released: lite_db" in done.output
    assert "Unique keeps the session of startup with Lite" in done.output


@needs_index
def test_a_release_that_does_not_import_is_told() -> None:
    sides = ("flask-admin==2.2.0", "flask-admin==2.2.1")
    done = command("upgrade", *sides, "--without", "flask-sqlalchemy")
    assert done.exit_code == 2, done.output
    assert "does not import: cannot import name 'T_SESSION'" in done.output
    assert "needs flask_sqlalchemy and Flask-Admin" in done.output


@needs_index
def test_a_break_is_told_with_the_guards_own_words(tmp_path: Path) -> None:
    """In the user's app, too; and for machines, and as a page."""
    page, data = tmp_path / "page.html", tmp_path / "data.json"
    options = ("--app", "tests.apps.lazy_export:leaking")
    done = command(
        *("upgrade", "flask==3.1.1", "flask==3.1.2", *options),
        *("--html", str(page), "--json", str(data)),
    )
    assert done.exit_code == 1, done.output
    assert "Broken: alive: sqlalchemy_db" in done.output
    assert "Broken: alive: WriterView" in done.output
    assert "DetachedInstanceError" in done.output
    assert json.loads(data.read_text())["status"] == 1
    assert "breaks alive" in page.read_text()


@needs_index
@pytest.mark.weekly
def test_bisect_names_the_release_of_flask() -> None:
    done = command("bisect", "flask==3.1.0", "flask==3.1.3")
    assert done.exit_code == 1, done.output
    assert "Verdict: flask 3.1.2 broke alive." in done.output


@pytest.mark.weekly
def test_a_checkout_and_a_git_address_are_compared(sdist: Sdist) -> None:
    """A view of the checkout takes a session that is not the handle's."""
    checkout = sdist("2.2.1")
    (checkout / "flask_admin/tests/conftest.py").unlink()
    for arguments in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=a", "-c", "user.email=a@a.test", "commit", "-qm", "x"),
    ):
        subprocess.run(["git", *arguments], cwd=checkout, check=True)
    view = checkout / "flask_admin/contrib/sqla/view.py"
    code = view.read_text()
    stray = "        sqlalchemy.orm.Session().close()\n"
    [method] = [
        line
        for line in code.splitlines(keepends=True)
        if line.startswith("    def get_pk_value(")
    ]
    body = code.index(method)
    start = code.index('"""', code.index('"""', body) + 3) + 4
    view.write_text(f"import sqlalchemy.orm\n{code[:start]}{stray}{code[start:]}")
    git = f"git+{checkout.as_uri()}"
    done = command("upgrade", git, "flask-admin==2.2.1")
    assert done.exit_code == 0, done.output
    done = command("upgrade", git, str(checkout))
    assert done.exit_code == 2, done.output
    assert "name the package" in done.output
    done = command("upgrade", "flask-admin==2.2.1", str(checkout))
    assert done.exit_code == 1, done.output
    assert "Broken: single" in done.output
    assert "in get_pk_value is not the one that" in " ".join(done.output.split())


@needs_index
def test_an_unknown_release_is_told_in_a_line() -> None:
    done = command("upgrade", "flask-admin==99", "latest")
    assert done.exit_code == 2
    assert "there is no version of flask-admin==99" in done.output
    assert done.output.count("\n") == 1


def test_without_an_index_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    done = command("upgrade", "flask-admin==2.2.0", "latest")
    assert done.exit_code == 2
    assert "the package index cannot be reached" in done.output
    assert done.output.count("\n") == 1


@needs_index
def test_an_old_release_gets_what_it_works_with() -> None:
    versions = resolve(["flask-admin==1.6.1", "flask-sqlalchemy-lite"]).versions
    assert Version(versions["sqlalchemy"]) < Version("2")
    assert "flask-sqlalchemy-lite" not in versions


@needs_index
def test_an_environment_is_made_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pins = Pins("iniconfig==2.0.0\n")
    python = make(pins, fresh="")
    before = python.parent.stat().st_mtime_ns
    assert make(pins, fresh="") == python
    assert python.parent.stat().st_mtime_ns == before
    assert [one.name for one in pins.folder.parent.iterdir()] == [pins.folder.name]


@needs_index
def test_what_cannot_be_installed_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pins = Pins("iniconfig==999\n")
    with pytest.raises(CannotTell):
        make(pins, fresh="")
    assert [*pins.folder.parent.iterdir()] == []
