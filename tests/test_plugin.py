"""The pytest plugin, in suites of its own."""

import os
import subprocess
import sys
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import pytest

import session_scoping.plugin.app_suite  # noqa: F401  (once: a suite inside forgets its imports)
from session_scoping import Recorder
from tests.apps import APPS
from tests.apps import CONTEXT

pytest_plugins = ["pytester"]
# A suite inside has the filters of its own options only.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[1]
Run = t.Callable[..., pytest.RunResult]

LEAK = "tests.apps.captured_at_startup:broken"
FIXED = "tests.apps.captured_at_startup:fixed"
LINE = next(f"captured_at_startup.py:{app.line}" for app in APPS if app.target == LEAK)

SHOP = """\
import flask
import pytest
from tests.apps import captured_at_startup as shop

@pytest.fixture(scope="module")
def app():
    return shop.fixed()

@pytest.fixture(scope="session")
def broken():
    return shop.broken()

@pytest.fixture
def client(app):
    with app.test_client() as client:
        yield client
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a suite in this process, with the plugin and those that are named."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"):  # they change what is printed
        monkeypatch.delenv(name, raising=False)

    def run(*args: str) -> pytest.RunResult:
        result = pytester.runpytest_inprocess("-p", "session_scoping.plugin", *args)
        assert not Recorder.started
        return result

    return run


def prints(result: pytest.RunResult, *parts: str) -> None:
    """Assert that each part is in the output, whatever is between."""
    output = result.stdout.str()
    assert [part for part in parts if part not in output] == []


# ------------------------------------------------------------------ without its options


def test_it_imports_nothing_until_asked() -> None:
    """Every suite pays for a plugin that is installed."""
    code = (
        "import session_scoping.plugin, sys;"
        "print({'flask', 'sqlalchemy', 'flask_admin', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_it_does_nothing_until_asked(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile("""
        import sys
        def test_without_options():
            assert "flask" not in sys.modules
    """)
    plugin = ("-p", "session_scoping.plugin")
    result = pytester.runpytest_subprocess(*plugin, "-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("session scoping*")


def test_its_options_have_a_group_in_the_help(run: Run) -> None:
    lines = run("--help").outlines
    [group] = [
        number for number, line in enumerate(lines) if line == "session scoping:"
    ]
    ours = [line.split()[0] for line in lines[group + 1 :] if line.startswith("  --")]
    names = [one.partition("=")[0] for one in ours[:2]]
    assert names == ["--session-scoping", "--session-scoping-app"]


# ------------------------------------------------------------------------------- check


def test_check(pytester: pytest.Pytester, run: Run) -> None:
    """A fixed app passes, and a broken app fails by its rule, view and line."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        from tests.apps import captured_at_startup as shop
        def test_fixed(session_scoping):
            verdict = session_scoping.check(shop.fixed())
            assert verdict.holds and verdict.seen
        def test_broken(session_scoping):
            session_scoping.check(shop.broken())
        def test_made_before(broken):
            assert broken.test_client().get("/admin/order/").status_code == 200
        def test_made_by_a_fixture(broken, session_scoping):
            session_scoping.check(broken)
    """)
    result = run("--no-header")
    result.assert_outcomes(passed=2, failed=2)
    prints(result, "OpenOrderView breaks", "a session kept beyond its request")
    made = [one for one in result.outlines if "made at:" in one and LINE in one]
    assert len(made) == 2
    result.stdout.no_fnmatch_line("*Traceback*")


def test_check_in_an_app_context(pytester: pytest.Pytester, run: Run) -> None:
    """The context is an error of the test, and reported as that."""
    pytester.makepyfile("""
        from tests.apps import captured_at_startup as shop
        def test_around(session_scoping):
            app = shop.fixed()
            with app.app_context():
                session_scoping.check(app)
    """)
    result = run()
    result.assert_outcomes(failed=1)
    prints(result, CONTEXT)


@pytest.mark.parametrize(
    ("app", "says"),
    [
        ("flask.Flask('plain')", "plain has no Admin"),
        ("login.fixed()", "nothing was seen: UserView, list answers 302"),
        ("failing()", "nothing was seen: ProductView, list: ZeroDivisionError: "),
    ],
)
def test_check_with_nothing_to_see(
    pytester: pytest.Pytester, run: Run, app: str, says: str
) -> None:
    """What was not seen is not proven."""
    pytester.makepyfile(f"""
        import flask
        from tests.apps import login, raw_session
        def failing():
            app = raw_session.fixed()
            view = app.extensions["admin"][0]._views[1]
            view.get_list = view.create_form = view.get_one = lambda *_, **__: 1 / 0
            return app
        def test_blind(session_scoping):
            session_scoping.check({app})
    """)
    result = run()
    result.assert_outcomes(failed=1)
    prints(result, says)


LOGGED_IN = """\
    import pytest
    from tests.apps import login
    @pytest.fixture
    def session_scoping_client():
        return login.client
"""


def test_check_with_a_logged_in_client(pytester: pytest.Pytester, run: Run) -> None:
    """The client is the user's own."""
    pytester.makeconftest(LOGGED_IN)
    pytester.makepyfile("""
        from tests.apps import login
        def test_fixed(session_scoping):
            session_scoping.check(login.fixed())
        def test_broken(session_scoping):
            session_scoping.check(login.broken())
    """)
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    prints(result, "breaks released: rows kept beyond their request")


# ------------------------------------------------------------------------------- watch


def test_watch(pytester: pytest.Pytester, run: Run) -> None:
    """It judges what the test requests in the block, and only that."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_fixed(session_scoping, app, client):
            with session_scoping.watch(app) as recording:
                client.get("/admin/order/")
            assert [one.path for one in recording.requests] == ["/admin/order/"]
        def test_broken(session_scoping, broken):
            with session_scoping.watch(broken):
                broken.test_client().get("/admin/order/")
        def test_broken_elsewhere(session_scoping, app, client, broken):
            broken.test_client().get("/admin/order/")
            with session_scoping.watch(app):
                client.get("/admin/order/")
        def test_nothing(session_scoping, app):
            with session_scoping.watch(app):
                pass
        def test_in_a_context(session_scoping, app):
            with app.app_context(), session_scoping.watch(app):
                app.test_client().get("/admin/order/")
    """)
    result = run("-rfp")
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        ["PASSED *::test_fixed", "PASSED *::test_broken_elsewhere"]
    )
    prints(result, "OpenOrderView breaks", "no request was made", CONTEXT)


def test_watch_of_a_failing_block(pytester: pytest.Pytester, run: Run) -> None:
    """The test's own failure comes first; what it may come from stands beside it."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_fails(session_scoping, broken):
            with session_scoping.watch(broken):
                assert broken.test_client().get("/admin/order/").status_code == 201
    """)
    result = run()
    result.assert_outcomes(failed=1)
    prints(result, "assert 200 == 201", "session scoping call", "OpenOrderView breaks")


# ------------------------------------------------------------------- --session-scoping

MIXED = """\
    import unittest
    import warnings
    import pytest
    from tests.apps import captured_at_startup as shop

    def test_passes(client):
        assert client.get("/admin/order/").status_code == 200
        assert shop.db.session.query(shop.Order).count()
    def test_nothing():
        pass
    def test_fails(client):
        assert client.get("/admin/order/").status_code == 201
    @pytest.mark.xfail
    def test_xfails(client):
        assert client.get("/admin/order/").status_code == 201
    @pytest.mark.xfail
    def test_xpasses(client):
        assert client.get("/admin/order/").status_code == 200
    @pytest.mark.xfail(strict=True)
    def test_xpasses_strictly(client):
        assert client.get("/admin/order/").status_code == 200
    def test_skips(client):
        client.get("/admin/order/")
        pytest.skip("as is meant")
    @pytest.fixture
    def bad(client):
        client.get("/admin/order/")
        raise ValueError
    def test_error(bad):
        pass
    def test_warns(client):
        client.get("/admin/order/")
        warnings.warn("as is meant")
    class TestCase(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def take(self, client):
            self.client = client
        def test_of_a_case(self):
            self.assertEqual(self.client.get("/admin/order/").status_code, 200)
        def test_of_a_case_fails(self):
            self.assertEqual(self.client.get("/admin/order/").status_code, 201)

    @pytest.fixture
    def rows(app):
        with app.app_context():
            yield shop.db.session.query(shop.Order).all()
    @pytest.fixture
    def session(app):
        with app.app_context():
            session = shop.db.session()
            assert session.query(shop.Order).count()
        return session
    def test_has_sessions_of_its_own(session, app):
        assert app.test_client().get("/admin/order/").status_code == 200
        with app.app_context():
            assert shop.db.session.query(shop.Order).count()
    @pytest.fixture
    def rendered(app):
        contexts = []
        def keep(sender, template, context, **_):
            contexts.append(context)
        import flask
        with flask.template_rendered.connected_to(keep, app):
            yield contexts
    def test_keeps_what_was_rendered(client, rendered):
        client.get("/admin/order/")
        assert rendered[0]["data"]
"""


@pytest.mark.parametrize("more", ["", "-p xdist -n 2", "-p pytest_randomly"])
def test_a_healthy_suite_is_left_as_it_is(
    pytester: pytest.Pytester, run: Run, more: str
) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile(MIXED)
    without = run(*more.split())
    within = run("--session-scoping", *more.split())
    assert within.parseoutcomes() == without.parseoutcomes()
    assert within.ret == without.ret
    within.stdout.fnmatch_lines(["session scoping: watches every request"])
    assert "breaks" not in within.stdout.str()


def test_a_leak_fails_the_tests_that_meet_it(
    pytester: pytest.Pytester, run: Run
) -> None:
    """By their own requests, again in each test, and not beyond what is expected."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        import pytest
        def get(app, status=200):
            assert app.test_client().get("/admin/order/").status_code == status
        def test_leaks(broken):
            get(broken)
        def test_leaks_again(broken):
            get(broken)
        def test_is_elsewhere(broken):
            assert broken.test_client().get("/admin/").status_code == 200
        def test_fixed(app):
            get(app)
        def test_fails(broken):
            get(broken, 201)
        @pytest.mark.xfail
        def test_xfails(broken):
            get(broken, 201)
        @pytest.mark.xfail(strict=True)
        def test_is_known_to_leak(broken):
            get(broken)
        def test_is_in_a_context(app):
            with app.app_context():
                get(app)
        def test_is_watched_closer(session_scoping, broken, app):
            with pytest.raises(pytest.fail.Exception), session_scoping.watch(broken):
                get(broken)
            get(app)
    """)
    result = run("--session-scoping", "-rA")
    result.assert_outcomes(passed=4, failed=3, xfailed=2)
    result.stdout.fnmatch_lines(
        [
            "PASSED *::test_is_elsewhere",
            "PASSED *::test_fixed",
            "PASSED *::test_is_watched_closer",
        ]
    )
    output = result.stdout.str()
    sections = output.partition("= FAILURES =")[2].split("___ ")
    for name in "test_leaks", "test_leaks_again", "test_fails":
        [section] = [one for one in sections if one.startswith(f"{name} __")]
        assert LINE in section
        assert ("assert 200 == 201" in section) == (name == "test_fails")
    assert "test_is_in_a_context __" not in output


@pytest.mark.parametrize("more", ["", "-p xdist -n 2"])
def test_a_test_that_holds_an_app_context_is_not_judged(
    pytester: pytest.Pytester, run: Run, more: str
) -> None:
    """Many healthy suites do: the summary says that nothing is known of them."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        import pytest
        @pytest.fixture
        def context(app):
            with app.app_context():
                yield
        def test_in_a_context(context, app):
            assert app.test_client().get("/admin/order/").status_code == 200
        def test_fixed(app):
            assert app.test_client().get("/admin/order/").status_code == 200
    """)
    result = run("--session-scoping", *more.split())
    result.assert_outcomes(passed=2)
    prints(
        result,
        "nothing is known of 1 test that made requests inside an app context",
        "::test_in_a_context",
        "each request brings an app context of its own",
    )
    assert "test_fixed" not in result.stdout.str().partition("nothing is known")[2]


def test_a_conftest_that_imports_its_app(pytester: pytest.Pytester, run: Run) -> None:
    """What it opens is seen, as early as it is."""
    [known] = [one for one in APPS if one.name == "module_level:broken"]
    pytester.makeconftest("from tests.apps.module_level_broken import app")
    pytester.makepyfile("""
        from conftest import app
        def test_leaks():
            assert app.test_client().get("/admin/tool/").status_code == 200
    """)
    result = run("--session-scoping")
    result.assert_outcomes(failed=1)
    prints(result, f"{known.file.name}:{known.line}")


def test_no_test_is_remembered(pytester: pytest.Pytester, run: Run) -> None:
    """A long suite needs no more memory than a short one."""
    pytester.makepyfile("""
        import gc
        import weakref
        import pytest
        from session_scoping import Recorder
        from tests.apps import raw_session
        apps = weakref.WeakSet()
        @pytest.mark.parametrize("n", range(4))
        def test_one(n):
            assert not Recorder.started[-1].recording.requests
            gc.collect()
            assert not apps
            app = raw_session.fixed()
            apps.add(app)
            assert app.test_client().get("/admin/product/").status_code == 200
    """)
    run("--session-scoping").assert_outcomes(passed=4)


# --------------------------------------------------------------- --session-scoping-app


def test_an_app_is_a_test_for_each_view_and_operation(
    pytester: pytest.Pytester, run: Run
) -> None:
    """They are reported, and chosen, as any others."""
    pytester.makepyfile("def test_beside(): pass")
    result = run(f"--session-scoping-app={FIXED}", "-v", "--junitxml=junit.xml")
    assert result.ret == 0
    prints(
        result,
        f"session scoping: drives the admin of {FIXED}",
        "::test_beside PASSED",
        f"{FIXED}::building the app PASSED",
        f"{FIXED}::OrderView::list PASSED",
        f"{FIXED}::OrderView::list, searched PASSED",
        f"{FIXED}::OrderView::edit form PASSED",
    )
    cases = ET.parse(pytester.path / "junit.xml").iter("testcase")
    names = {(one.get("classname"), one.get("name")) for one in cases}
    assert (f"{FIXED}.OrderView", "list, searched") in names

    chosen = run(f"--session-scoping-app={FIXED}", "-k", "OrderView and searched")
    chosen.assert_outcomes(passed=1, deselected=len(names) - 1)

    for more in "-p xdist -n 2", "-p pytest_randomly":
        again = run(f"--session-scoping-app={FIXED}", *more.split())
        again.assert_outcomes(passed=len(names))


def test_a_broken_app(run: Run) -> None:
    """The tests of the view that leaks fail, and no others."""
    result = run(f"--session-scoping-app={LEAK}", "-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    prints(
        result,
        f"{LEAK}::AdminIndexView::page index PASSED",
        f"{LEAK}::OpenOrderView::list FAILED",
        f"{LEAK}::OpenOrderView::list, searched FAILED",
        f"{LEAK}::OpenOrderView::create form PASSED",
        LINE,
    )
    alone = run(f"--session-scoping-app={LEAK}", "-k", "searched")
    prints(alone, LINE)


def test_building_the_app_is_a_test_of_its_own(run: Run) -> None:
    [known] = [one for one in APPS if one.name == "seeded_at_start:broken"]
    result = run(f"--session-scoping-app={known.target}", "-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    prints(result, "::building the app FAILED", f"{known.file.name}:{known.line}")


def test_both_at_once(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_one(client):
            assert client.get("/admin/order/").status_code == 200
    """)
    result = run("--session-scoping", f"--session-scoping-app={LEAK}", "-v")
    prints(result, "::test_one PASSED", "::OpenOrderView::list FAILED")
    fixed = run("--session-scoping", f"--session-scoping-app={FIXED}")
    assert fixed.ret == 0


def test_a_view_that_the_client_must_not_see(
    pytester: pytest.Pytester, run: Run
) -> None:
    """It is skipped, with the reason; and where all are, nothing is proven."""
    target = "--session-scoping-app=tests.apps.login:fixed"
    pytester.mkdir("no_tests")
    tests = pytester.mkdir("tests_of_login")
    (tests / "conftest.py").write_text(dedent(LOGGED_IN))
    for more in "", "-p xdist -n 2":
        blind = run(target, "-rs", "no_tests", *more.split())
        assert blind.ret == pytest.ExitCode.TESTS_FAILED
        prints(blind, "answers 302", "nothing was seen of tests.apps.login:fixed")
        seen = run(target, "--rootdir=.", "tests_of_login", *more.split())
        assert seen.ret == 0
        assert "skipped" not in seen.parseoutcomes()


def test_a_page_that_fails_is_not_seen(run: Run) -> None:
    target = "tests.apps.scopes:teardown_skipped_fixed"
    result = run(f"--session-scoping-app={target}", "-k", "AverageView")
    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])
    prints(result, "nothing was seen: ZeroDivisionError")


def test_fixtures_of_the_suite_are_not_around_the_app(
    pytester: pytest.Pytester, run: Run
) -> None:
    """A context that is pushed for every test is no fault of the app."""
    pytester.makeconftest(
        SHOP
        + """
@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield
"""
    )
    result = run(f"--session-scoping-app={FIXED}", "-k", "OrderView")
    assert result.ret == 0


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere:app", "Could not import 'nowhere'"),
        ("broken:app", "KeyError: 'DATABASE' (*broken.py:2)"),
        ("tests.apps.login:nothing", "Failed to find attribute 'nothing'"),
        ("tests.apps.login:create_app", "missing 1 required positional argument"),
        ("tests.apps.login:USERS", "A valid Flask application was not obtained"),
        ("plain:app", "plain has no Admin"),
    ],
)
def test_an_app_that_is_not_there(
    pytester: pytest.Pytester, run: Run, target: str, says: str
) -> None:
    """A usage error of one line."""
    pytester.makepyfile(
        broken="import os\nos.environ['DATABASE']",
        plain="import flask\napp = flask.Flask('plain')",
    )
    result = run(f"--session-scoping-app={target}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: session scoping: *{says}*"])
    assert len(result.stderr.str().strip().splitlines()) == 1


def test_options_of_the_ini_file(pytester: pytest.Pytester, run: Run) -> None:
    """An app to drive always, and sessions to leave alone."""
    pytester.makeini(f"""
        [pytest]
        session_scoping_app = {LEAK}
        session_scoping_leave_alone = *{LINE} in *
    """)
    result = run("-k", "OpenOrderView")
    assert result.ret == 0
    prints(result, f"drives the admin of {LEAK}")
