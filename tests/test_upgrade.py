"""``upgrade`` and ``bisect``: what is compared, printed and refused."""

import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result
from packaging.utils import canonicalize_name
from packaging.version import Version

from session_scoping.cli import main
from session_scoping.compare import environments
from session_scoping.compare import upgrade
from session_scoping.compare.environments import FIRST_NEW
from session_scoping.compare.environments import in_a_line
from session_scoping.compare.environments import name_of
from session_scoping.compare.environments import only_before
from session_scoping.compare.environments import quietly
from session_scoping.compare.progress import Progress
from session_scoping.compare.upgrade import bisect
from session_scoping.compare.upgrade import ChangeKind
from session_scoping.compare.upgrade import Comparison
from session_scoping.compare.upgrade import Culprit
from session_scoping.compare.upgrade import Job
from session_scoping.compare.upgrade import requirements
from session_scoping.compare.upgrade import Side
from session_scoping.errors import CannotTell
from session_scoping.report.page import page
from session_scoping.report.terminal import plain
from session_scoping.report.upgrade import sentence
from session_scoping.report.upgrade import summarize
from session_scoping.rules.cells import Cell
from session_scoping.rules.cells import State
from session_scoping.rules.rules import Rule
from tests.conftest import Sdist
from tests.runs import RUN


def side(*cells: Cell, release: str = "1.0", failures: t.Sequence[str] = ()) -> Side:
    """Make a side where all rules hold with ``db``, but for these cells."""
    other = {(cell.rule, cell.subject) for cell in cells}
    rest = [Cell(rule, "db", State.HOLDS) for rule in Rule if (rule, "db") not in other]
    return Side(release, {"Shop": release}, [*cells, *rest], [*failures])


ANY_APP = Job(app="shop:app")  # it may use any package


def comparison(before: Side, after: Side) -> Comparison:
    return Comparison("shop", before, after)


def cell(state: State, why: str = "", *defects: str, seen: str = "") -> Cell:
    return Cell(Rule.RELEASED, "db", state, why, defects, (seen,) if seen else ())


LEAK = cell(State.BROKEN, seen="session 1 is not closed (shop.py:3)")
DEFECT = cell(State.KNOWN, "", "unique-keeps-session", seen="session 1 is not closed")
TWO_DEFECTS = cell(State.KNOWN, "", "unique-keeps-session", "streams-too-late")
EXPORT = Cell(Rule.ALIVE, "db", State.KNOWN, "", ("streams-too-late",), ("seen",))
UNTRIED = cell(State.NOT_TRIED, "needs Shop-DB")
NOT_IMPORTED = Side(
    "2.0",
    {"Shop": "2.0"},
    [
        Cell(rule, "db", State.NOT_TRIED, "it does not import: X", ("does-not-import",))
        for rule in Rule
    ],
    [],
)
FAILURES = ["db, merge: TypeError: no such argument"]

# ------------------------------------------------------------------------- comparisons


@pytest.mark.parametrize(
    ("before", "after", "kind", "status"),
    [
        (side(), side(), ChangeKind.SAME, 0),
        (side(), side(LEAK), ChangeKind.BROKEN, 1),
        (side(), side(DEFECT), ChangeKind.BROKEN, 1),
        (side(DEFECT), side(), ChangeKind.FIXED, 0),
        (side(LEAK), side(), ChangeKind.FIXED, 0),
        (side(DEFECT), side(DEFECT), ChangeKind.SAME, 0),
        (side(LEAK), side(LEAK), ChangeKind.SAME, 0),
        (side(DEFECT), side(LEAK), ChangeKind.BROKEN, 1),
        (side(DEFECT), side(TWO_DEFECTS), ChangeKind.BROKEN, 1),
        (side(TWO_DEFECTS), side(DEFECT), ChangeKind.FIXED, 0),
        (side(UNTRIED), side(), ChangeKind.INCOMPARABLE, 0),
        (side(), side(UNTRIED), ChangeKind.INCOMPARABLE, 0),
        (side(), side(cell(State.NOT_REACHED)), ChangeKind.INCOMPARABLE, 0),
        (side(), NOT_IMPORTED, ChangeKind.INCOMPARABLE, 2),
        (side(), side(failures=FAILURES), ChangeKind.SAME, 2),
    ],
)
def test_a_comparison_has_a_kind_of_change_and_a_status(
    before: Side, after: Side, kind: ChangeKind, status: int
) -> None:
    found = comparison(before, after)
    assert (found.change(Rule.RELEASED, "db").kind, found.status) == (kind, status)


def test_a_request_that_failed_before_is_no_change() -> None:
    both = side(failures=FAILURES)
    assert (comparison(both, both).failures, comparison(both, both).status) == ([], 0)


def test_a_removed_view_is_not_reached() -> None:
    view = Cell(Rule.FRESH, "BookView", State.HOLDS)
    found = comparison(side(view), side()).change(Rule.FRESH, "BookView")
    assert (found.kind, found.after.state) == (
        ChangeKind.INCOMPARABLE,
        State.NOT_REACHED,
    )
    assert found.after.why == "there is no such view"


def test_other_changed_packages_are_printed() -> None:
    before, after = side(), side(release="2.0")
    before.stack.update({"Flask": "3.0", "Werkzeug": "1"})
    after.stack.update({"Flask": "3.1", "Werkzeug": "1", "New": "1"})
    found = comparison(before, after)
    assert found.besides == {"Flask": ("3.0", "3.1"), "New": ("none", "1")}
    assert "and Flask 3.0 → 3.1" in plain(summarize(found))


def test_the_report_names_rule_handle_and_defect() -> None:
    text = plain(summarize(comparison(side(), side(DEFECT, release="2.0"))))
    assert "released  holds →\n          known broken [4]" in text
    assert text.count("[4] With Flask-SQLAlchemy-Lite the form's `Unique`") == 1
    assert "Fixed in Flask-Admin 2.2.1. https://github.com" in " ".join(text.split())
    assert (
        "Newly broken: released: db\n   known broken [4]\n   released: session 1"
        in text
    )
    assert text.endswith("Verdict: shop 1.0 → 2.0 breaks released.")


def test_violations_that_differ_only_in_numbers_are_printed_once() -> None:
    """Each handle has sessions and requests of its own."""
    seen = [
        f"session {one} is used beside session {other} ({place})"
        for place in ("shop.py:3", "shop.py:30")
        for one, other in ((1, 2), (1, 20), (11, 2))
    ]
    leak = Cell(Rule.SINGLE, "db", State.BROKEN, seen=tuple(seen))
    text = plain(summarize(comparison(side(), side(leak, release="2.0"))))
    assert text.count("single: session 1 is used beside session 2 (shop.py:3)") == 1
    assert text.count("session 1 is used beside session 2 (shop.py:30)") == 1
    assert text.count("is used beside") == 2
    assert "more:" in text
    assert "and 4 more" not in text


def test_a_fixed_rule_is_printed_with_its_old_violation() -> None:
    text = plain(summarize(comparison(side(LEAK), side(release="2.0"))))
    assert "No longer broken: released: db\n   broken\n   released: session 1" in text
    assert text.endswith("Verdict: shop 1.0 → 2.0 fixes released.")


def test_what_was_broken_before_is_not_news() -> None:
    found = comparison(side(EXPORT), side(EXPORT, LEAK, release="2.0"))
    text = plain(summarize(found))
    assert "1 newly broken, 1 broken before and after, 5 still holding" in text
    assert "Newly broken: released: db\n   broken\n" in text
    assert "Broken before and after: alive: db\n   known broken [1]\n" in text
    html = page(summarize(found), RUN)
    assert '<td class="bad">holds →\nbroken</td>' in html
    assert '<td class="doubtful">known broken [1]</td>' in html
    assert '<li class="doubtful">1 broken before and after</li>' in html


def test_the_page_has_the_versions_of_both_sides() -> None:
    before, after = side(), side(release="2.0")
    before.stack.update({"Flask": "3.0"})
    after.stack.update({"Flask": "3.0", "New": "1"})
    html = page(summarize(comparison(before, after)), RUN)
    versions = re.findall(
        r'<th scope="row">(\w+)</th><td class="(\w+)">(.*?)</td>'
        r'<td class="\w+">(.*?)</td>',
        html,
    )
    assert versions[-3:] == [
        ("Shop", "strong", "1.0", "2.0"),
        ("Flask", "plain", "3.0", "3.0"),
        ("New", "strong", "none", "1"),
    ]
    assert "session-scoping --html report.html" in html
    assert "3 February 2026, 14:05 UTC" in html


def test_a_failed_import_is_printed_once() -> None:
    found = comparison(side(), NOT_IMPORTED)
    text = plain(summarize(found))
    assert text.count("it does not import: X [2]") == 1
    assert "Cannot be compared: every rule: db" in text
    assert "[2] Flask-Admin 2.2.1 does not import without Flask-SQLAlchemy" in text
    assert sentence(found) == "shop 1.0 → 2.0: could not tell."


def test_views_have_a_separate_table() -> None:
    views = [Cell(rule, "BookView", State.HOLDS) for rule in Rule]
    text = plain(summarize(comparison(side(*views), side(*views))))
    assert "\nview      handle  single" in text
    assert "\nBookView  holds   holds" in text


def test_a_request_that_stops_working_is_printed() -> None:
    found = comparison(side(), side(release="2.0", failures=FAILURES))
    text = plain(summarize(found))
    assert "Worked before, and does not work now\n   db, merge: TypeError" in text
    assert FAILURES[0] in page(summarize(found), RUN)


def test_nothing_has_worked_before_where_nothing_was_tried() -> None:
    found = comparison(NOT_IMPORTED, side(failures=FAILURES))
    assert found.failures == []


def test_the_page_loads_nothing_and_escapes_text() -> None:
    leak = cell(State.BROKEN, seen="<script> at https://a.test/b")
    html = page(summarize(comparison(side(), side(leak, release="2.0"))), RUN)
    assert "<script> at" not in html
    assert "&lt;script&gt; at" in html
    assert '<a href="https://a.test/b">' in html
    assert "src=" not in html


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
def test_a_side_is_a_requirement(
    sides: tuple[str, str], package: str, installs: tuple[str, ...]
) -> None:
    found, *both = requirements(*sides, ANY_APP)
    assert found == package
    assert both[: len(installs)] == [*installs]


def test_a_checkout_is_a_side(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    _, _, found = requirements("a==1", str(tmp_path), ANY_APP)
    assert found == f"a @ {tmp_path.as_uri()}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("latest", "latest"), "name the package on at least one side"),
        (("a==1", "b==2"), "a and b are two packages"),
        (("a=1", "a==2"), "'a=1' cannot be compared"),
        (("", "a==2"), "'' cannot be compared"),
        (("a==1", "git+nowhere"), "'git+nowhere' cannot be compared"),
        (("flask", "3.1"), "3.1 names no package: write flask==3.1\n"),
        (("flask==3.1.1", "3.1.2"), "3.1.2 names no package: write flask==3.1.2\n"),
        (("2.2.0", "2.2.1"), "2.2.0 names no package: write flask-admin==2.2.0\n"),
        (
            ("a==1", "a==2; python_version > '3'"),
            "python_version > '3'\" has a condition",
        ),
        (
            ("requests==1", "latest"),
            "the bookshop does not use requests: compare Flask",
        ),
        (("a",), "Missing argument 'AFTER'. See main "),
        (("a", "b", "c"), "Got unexpected extra argument (c). See main "),
        (("a==1", "latest", "--colour"), "No such option"),
        (
            ("a==1", "latest", "--json"),
            "Option '--json' requires an argument. See main ",
        ),
        (("flask==1", "./nowhere"), "there is no folder ./nowhere: name that"),
        (("a==1", "a==2", "--client", "b:c"), "--client has no effect without --app"),
        (("a==1", "a==2", "--client", ""), "--client has no effect without --app"),
        (("a==1", "a==2", "--skip", "b"), "--skip has no effect without --app"),
        (("a==1", "a==1"), "both sides are a==1: name two releases"),
        (
            ("a==1", "a==2", "--without", "Flask"),
            "--without Flask has no effect: name flask-sqlalchemy or flask",
        ),
        (
            ("flask-sqlalchemy==3", "latest", "--without", "flask-sqlalchemy"),
            "--without flask-sqlalchemy cannot work: its releases are compared",
        ),
        (("a==1", "latest", "--json", "nowhere/x"), "cannot write 'nowhere/x'"),
    ],
)
@pytest.mark.parametrize("name", ["upgrade", "bisect"])
def test_bad_input_is_refused_with_an_error_of_one_line(
    name: str, arguments: tuple[str, ...], message: str
) -> None:
    result = invoke(name, *arguments)
    assert message in result.output
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@pytest.mark.parametrize("package", ["Werkzeug", "markupsafe", "asgiref", "tablib"])
def test_what_the_bookshop_needs_can_be_compared(package: str) -> None:
    """Also what its packages need."""
    assert canonicalize_name(package) in environments.bookshop_needs()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Flask_Admin[x]==1 ; python_version > '3'", "flask-admin"),
        ("a @ file:///x", "a"),
        ("./a", ""),
        ("git+https://a.test/b", ""),
    ],
)
def test_a_requirement_names_its_package(text: str, name: str) -> None:
    assert name_of(text) == name


@pytest.mark.parametrize(
    ("requirement", "old"),
    [
        ("flask-admin==1.6.1", True),
        ("flask-admin==1.*", True),
        ("flask-admin<2", True),
        ("flask-admin~=1.6.0", True),
        ("flask-admin>=1.5,<=1.6.1", True),
        ("flask-admin<2.0.1", False),
        ("flask-admin==2.0.0", False),
        ("flask-admin>=1.6", False),
        ("flask-admin", False),
        ("flask-admin @ file:///x", False),
    ],
)
def test_a_requirement_of_an_old_release_is_recognised(
    requirement: str, old: bool
) -> None:
    assert only_before(requirement, FIRST_NEW) is old


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (
            "error: nothing fits\n  cause: Because a\n  b\n",
            "nothing fits cause: Because a b",
        ),
        (
            "error: No solution found when resolving `--with` dependencies\n"
            "  cause: Because shop==2 needs flask<3\n",
            "does not install: Because shop==2 needs flask<3",
        ),
        ("x\nTraceback (most recent call last):\n  File\nKeyError: 1\n", "KeyError: 1"),
        ("", "it ended with status 3 and said nothing"),
    ],
)
def test_an_error_of_uv_is_printed_on_one_line(stderr: str, message: str) -> None:
    assert in_a_line(subprocess.CompletedProcess([], 3, "", stderr)) == message


# ------------------------------------------------------------------------------ bisect


@pytest.fixture
def hundred(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., list[str]]:
    """Make a hundred releases that leak from some release on.

    Returns a list that gets each release that is tried.
    """

    def releases(leaks_from: int, unknown: t.Container[int] = ()) -> list[str]:
        tried: list[str] = []

        def attempt(package: str, wanted: str, job: Job, progress: Progress) -> Side:
            progress("installing", None)
            release = wanted.rpartition("==")[2]
            tried.append(release)
            number = int(release)
            if number in unknown:
                raise CannotTell("does not install")
            progress("driving the bookshop", 1)
            return side(*([LEAK] if number >= leaks_from else []), release=release)

        monkeypatch.setattr(upgrade, "attempt", attempt)
        monkeypatch.setattr(
            environments, "releases", lambda *_: [Version(str(n)) for n in range(200)]
        )
        return tried

    return releases


@pytest.mark.parametrize("first", [1, 37, 50, 99])
def test_bisect_finds_the_first_release_that_breaks(
    first: int, hundred: t.Callable[..., list[str]]
) -> None:
    tried = hundred(leaks_from=first)
    parts: list[float] = []
    found = bisect(
        "shop==0", "shop<100", ANY_APP, lambda doing, part: parts.append(part or 0)
    )
    assert parts == sorted(parts)
    assert 0.75 < parts[-1] <= 1
    assert isinstance(found, Culprit)
    assert found.comparison.after.release == str(first)
    assert found.comparison.before.release == str(first - 1)
    assert len(tried) == len({*tried}) == found.tried <= 9
    assert found.of == 100


def test_bisect_skips_releases_that_cannot_be_tried(
    hundred: t.Callable[..., list[str]],
) -> None:
    hundred(leaks_from=50, unknown={48, 49, 51})
    found = bisect("shop==0", "shop==99", ANY_APP, quietly)
    assert isinstance(found, Culprit)
    assert found.comparison.after.release == "50"
    assert found.untried == ("48", "49")
    text = plain(summarize(found))
    assert "Verdict: shop 50 broke released." in text
    assert "Could not try 48, 49: the rule may have been broken there already." in text
    assert found.to_json()["untried"] == ("48", "49")


def test_bisect_finds_nothing_where_nothing_breaks(
    hundred: t.Callable[..., list[str]],
) -> None:
    tried = hundred(leaks_from=1000)
    found = bisect("shop==0", "shop==99", ANY_APP, quietly)
    assert isinstance(found, Comparison)
    assert (found.status, len(tried)) == (0, 2)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("shop==7", "shop==3", "the older one first, not shop==7 and shop==3"),
        ("shop==3", "shop==3", "both sides are shop==3: name two releases"),
        ("shop==3", "shop==300", "no release of shop is shop==300: the newest is 199"),
        ("shop==3", "git+file:///x", "shop @ git+file:///x is no release of shop"),
    ],
)
def test_an_invalid_range_of_releases_is_refused(
    first: str, last: str, message: str, hundred: t.Callable[..., list[str]]
) -> None:
    tried = hundred(leaks_from=5)
    with pytest.raises(CannotTell, match=message.replace("+", r"\+")):
        bisect(first, last, ANY_APP, quietly)
    assert tried == []


# ------------------------------------------------------------------------ real releases


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


needs_index = pytest.mark.usefixtures("index")


@needs_index
@pytest.mark.parametrize(
    "arguments",
    [
        ("upgrade", "flask-admin==99", "latest"),
        ("bisect", "flask-admin==1.6.1", "flask-admin==99"),
    ],
)
def test_an_unknown_release_is_refused(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    message = "no release of flask-admin is flask-admin==99: the newest is 2."
    assert message in result.output
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@pytest.mark.releases
@pytest.mark.parametrize("name", ["upgrade", "bisect"])
def test_an_unreachable_index_is_reported(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    result = invoke(name, "flask-admin==2.2.0", "latest")
    assert "Packages were unavailable because the network was disabled" in result.output
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@needs_index
def test_an_app_that_does_not_load_is_refused() -> None:
    result = invoke("upgrade", "flask==3.1.2", "flask==3.1.3", "--app", "nowhere:app")
    assert "nowhere:app with flask==3.1." in result.output
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@needs_index
@pytest.mark.parametrize("name", ["upgrade", "bisect"])
def test_the_pages_to_skip_are_those_of_the_app(name: str) -> None:
    sides, app = ("flask==3.1.2", "flask==3.1.3"), "tests.apps.raw_session:fixed"
    result = invoke(name, *sides, "--app", app, "--skip", "admin.*", "--skip", "mail.*")
    assert "no endpoint of tests.apps.raw_session matches mail.*" in result.output
    assert (result.exit_code, result.output.count("\n")) == (2, 1)


@needs_index
def test_only_the_named_package_changes_around_an_app() -> None:
    parts: list[float | None] = []
    seen = environments.drive(
        "flask==3.1.1",
        "tests.apps.raw_session:fixed",
        None,
        progress=lambda doing, part: parts.append(part),
    )
    assert seen.stack["Flask"] == "3.1.1"
    assert (parts[0], parts[-1]) == (None, 1)  # installing, and then driving


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
    git = f"git+{checkout.as_uri()}"
    result = invoke("upgrade", "flask-admin==2.2.1", str(checkout))
    assert result.exit_code == 0, result.output  # uv has built and kept it
    stray = "        sqlalchemy.orm.Session().close()\n"
    [method] = [
        line
        for line in code.splitlines(keepends=True)
        if line.startswith("    def get_pk_value(")
    ]
    body = code.index(method)
    start = code.index('"""', code.index('"""', body) + 3) + 4
    view.write_text(f"import sqlalchemy.orm\n{code[:start]}{stray}{code[start:]}")
    result = invoke("upgrade", git, str(checkout))
    assert result.exit_code == 2, result.output
    assert "name the package" in result.output
    result = invoke("upgrade", "flask-admin==2.2.1", str(checkout))
    assert result.exit_code == 1, result.output
    assert "Newly broken: single" in result.output
    assert "is made by Flask-Admin itself" in " ".join(result.output.split())
    result = invoke("upgrade", git, "flask-admin==2.2.1")
    assert result.exit_code == 0, result.output
