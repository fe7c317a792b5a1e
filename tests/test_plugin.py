"""The pytest plugin, tried in suites of the tests."""

import gc
import os
import subprocess
import sys
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import pytest

import session_scoping.plugin.app_suite  # noqa: F401  (once: a suite of a test forgets its imports)
from session_scoping import Recorder
from tests.apps import APPS
from tests.apps import captured_at_startup as shop
from tests.apps import CONTEXT

pytest_plugins = ["pytester"]
# A suite of a test has only the filters of its options.
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
def run_suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a suite in this process, with this plugin and plugins of the arguments."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    for name in ("CI", "BUILD_NUMBER", "PYTEST_ADDOPTS"):  # they change what is printed
        monkeypatch.delenv(name, raising=False)

    def run(*args: str) -> pytest.RunResult:
        result = pytester.runpytest_inprocess("-p", "session_scoping.plugin", *args)
        assert not Recorder.started
        return result

    return run


def assert_printed(result: pytest.RunResult, *parts: str) -> None:
    """Check that each part is in the output."""
    output = result.stdout.str()
    assert [part for part in parts if part not in output] == []


# ------------------------------------------------------------------ without its options


def test_the_plugin_imports_nothing_without_its_options() -> None:
    """An installed plugin is imported in every suite."""
    code = (
        "import session_scoping.plugin, sys;"
        "print({'flask', 'sqlalchemy', 'flask_admin', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_the_plugin_does_nothing_without_its_options(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile("""
        import sys
        def test_without_options():
            assert "flask" not in sys.modules
    """)
    plugin = ("-p", "session_scoping.plugin")
    result = pytester.runpytest_subprocess(*plugin, "-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("session scoping*")


def test_the_options_have_a_group_in_the_help(run_suite: Run) -> None:
    lines = run_suite("--help").outlines
    [group] = [
        number for number, line in enumerate(lines) if line == "session scoping:"
    ]
    ours = [line.split()[0] for line in lines[group + 1 :] if line.startswith("  --")]
    names = [option.partition("=")[0] for option in ours[:2]]
    assert names == ["--session-scoping", "--session-scoping-app"]


# ------------------------------------------------------------------------------- check


def test_check_passes_a_fixed_app_and_fails_a_broken_app(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
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
    result = run_suite("--no-header")
    result.assert_outcomes(passed=2, failed=2)
    assert_printed(result, "OpenOrderView breaks", "a session kept beyond its request")
    made = [line for line in result.outlines if "made at:" in line and LINE in line]
    assert len(made) == 2
    result.stdout.no_fnmatch_line("*Traceback*")


def test_check_in_an_app_context_fails(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile("""
        from tests.apps import captured_at_startup as shop
        def test_around(session_scoping):
            app = shop.fixed()
            with app.app_context():
                session_scoping.check(app)
    """)
    result = run_suite()
    result.assert_outcomes(failed=1)
    assert_printed(result, CONTEXT)


@pytest.mark.parametrize(
    ("app", "message"),
    [
        ("flask.Flask('plain')", "plain has no Admin"),
        ("login.fixed()", "nothing was seen: UserView, list answers 302"),
        ("failing()", "nothing was seen: ProductView, list: ZeroDivisionError: "),
    ],
)
def test_check_fails_where_nothing_was_seen(
    pytester: pytest.Pytester, run_suite: Run, app: str, message: str
) -> None:
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
    result = run_suite()
    result.assert_outcomes(failed=1)
    assert_printed(result, message)


LOGGED_IN = """\
    import pytest
    from tests.apps import login
    @pytest.fixture
    def session_scoping_client():
        return login.client
"""


def test_check_uses_the_client_of_the_suite(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeconftest(LOGGED_IN)
    pytester.makepyfile("""
        from tests.apps import login
        def test_fixed(session_scoping):
            session_scoping.check(login.fixed())
        def test_broken(session_scoping):
            session_scoping.check(login.broken())
    """)
    result = run_suite()
    result.assert_outcomes(passed=1, failed=1)
    assert_printed(result, "breaks released: rows kept beyond their request")


# ------------------------------------------------------------------------------- watch


def test_watch_judges_only_the_requests_of_its_block(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_fixed(session_scoping, app, client):
            with session_scoping.watch(app) as recording:
                client.get("/admin/order/")
            assert [request.path for request in recording.requests] == ["/admin/order/"]
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
    result = run_suite("-rfp")
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        ["PASSED *::test_fixed", "PASSED *::test_broken_elsewhere"]
    )
    assert_printed(result, "OpenOrderView breaks", "no request was made", CONTEXT)


def test_watch_reports_broken_rules_beside_the_failure_of_its_block(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_fails(session_scoping, broken):
            with session_scoping.watch(broken):
                assert broken.test_client().get("/admin/order/").status_code == 201
    """)
    result = run_suite()
    result.assert_outcomes(failed=1)
    assert_printed(
        result, "assert 200 == 201", "session scoping call", "OpenOrderView breaks"
    )


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
def test_a_healthy_suite_has_the_same_outcomes(
    pytester: pytest.Pytester, run_suite: Run, more: str
) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile(MIXED)
    without = run_suite(*more.split())
    within = run_suite("--session-scoping", *more.split())
    assert within.parseoutcomes() == without.parseoutcomes()
    assert within.ret == without.ret
    within.stdout.fnmatch_lines(["session scoping: watches every request"])
    assert "breaks" not in within.stdout.str()


def test_a_leak_fails_each_test_that_requests_it(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
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
    result = run_suite("--session-scoping", "-rA")
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
        [section] = [part for part in sections if part.startswith(f"{name} __")]
        assert LINE in section
        assert ("assert 200 == 201" in section) == (name == "test_fails")
    assert "test_is_in_a_context __" not in output


@pytest.mark.parametrize("more", ["", "-p xdist -n 2"])
def test_a_test_in_an_app_context_is_not_judged(
    pytester: pytest.Pytester, run_suite: Run, more: str
) -> None:
    """Many healthy suites have such tests.  The summary counts them."""
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
    result = run_suite("--session-scoping", *more.split())
    result.assert_outcomes(passed=2)
    assert_printed(
        result,
        "nothing is known of 1 test that made requests inside an app context",
        "more: session-scoping explain outer-context",
        "::test_in_a_context",
        "each request brings an app context of its own",
    )
    assert "test_fixed" not in result.stdout.str().partition("nothing is known")[2]


IN_CONTEXT = """\
    import flask
    import pytest
    from conftest import shop
    @pytest.fixture(scope="module", autouse=True)
    def pages(app):
        @app.get("/rows")
        def rows():
            flask.g.name = "of the request"
            def read():
                for order in shop.db.session.query(shop.Order):
                    yield str(order.id)
                yield flask.g.name + flask.request.path
            return flask.Response(flask.stream_with_context(read()))
        @app.get("/login")
        def login():
            flask.session["user"] = 1
            return str("test" in flask.g)
    @pytest.fixture(autouse=True)
    def context(app, broken):
        with broken.app_context(), app.app_context():
            flask.g.test = True
            yield
            assert flask.g.test
    def test_lists(app):
        client = app.test_client()
        for _ in range(2):
            assert client.get("/admin/order/").status_code == 200
            assert shop.db.session.query(shop.Order).count()
    def test_sees_its_request(app):
        with app.test_client() as client:
            assert client.get("/login").text == "False"
            assert flask.session["user"] == 1 and flask.request.path == "/login"
            assert "test" not in flask.g
            assert shop.db.session.query(shop.Order).count()
            assert client.get("/admin/order/").status_code == 200
        assert flask.g.test
    def test_reads_a_stream(app):
        assert app.test_client().get("/rows").text.endswith("of the request/rows")
        with app.test_client() as client:
            assert client.get("/rows").text.endswith("of the request/rows")
    def test_drops_a_stream(app):
        with app.test_client() as client:
            response = client.get("/rows")
            next(response.response)
            response.close()
    def test_leaks(broken):
        with broken.app_context():
            assert broken.test_client().get("/admin/order/").status_code == 200
"""


@pytest.mark.parametrize("more", ["", "-p xdist -n 2", "ini"])
def test_a_request_has_a_context_of_its_own(
    pytester: pytest.Pytester, run_suite: Run, more: str
) -> None:
    """The tests of a suite that holds an app context are judged, too."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile(IN_CONTEXT)
    blind = run_suite("--session-scoping", "-W", "ignore")
    assert_printed(blind, "nothing is known of", "--session-scoping-own-context")
    if more == "ini":
        pytester.makeini("[pytest]\nsession_scoping_own_context = true")
    options = more.split() if more != "ini" else []
    if more != "ini":
        options.append("--session-scoping-own-context")
    result = run_suite("--session-scoping", "-W", "ignore", *options)
    result.assert_outcomes(passed=4, failed=1)
    assert_printed(result, "OpenOrderView breaks single, fresh, released", LINE)
    assert "nothing is known of" not in result.stdout.str()


def test_a_fixture_may_end_its_context_before_the_client(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """A client's fixture that is made first ends last, as those of two clients do."""
    pytester.makepyfile("""
        import pytest
        from flask import g, has_app_context
        from tests.apps import captured_at_startup as shop

        @pytest.fixture
        def app():
            return shop.fixed()

        @pytest.fixture
        def client(app):
            with app.test_client() as client:
                yield client
            assert not has_app_context()

        @pytest.fixture
        def other(app):
            with app.test_client() as client:
                yield client

        @pytest.fixture
        def context(app):
            with app.app_context() as context:
                g.test = True
                yield
            assert not has_app_context()

        def test_list(client, context):
            assert client.get("/admin/order/").status_code == 200
            assert "test" not in g

        def test_lists_of_two(client, other, context):
            for each in client, other:
                assert each.get("/admin/order/").status_code == 200
    """)
    own = "--session-scoping-own-context"
    result = run_suite("--session-scoping", "-W", "ignore", own)
    result.assert_outcomes(passed=2)


def test_a_test_case_may_push_a_context_and_keep_what_a_template_was_given(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """Its base class may be in a file of the app, which is not named as a test."""
    pytester.makepyfile(
        support="""
        import unittest
        from flask import template_rendered
        from tests.apps import captured_at_startup as shop
        class Case(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                cls.app = shop.fixed()
                template_rendered.connect(cls.keep, cls.app, weak=False)
            @classmethod
            def tearDownClass(cls):
                template_rendered.disconnect(cls.keep, cls.app)
            @classmethod
            def keep(cls, app, context, **_):
                cls.given = context
            def setUp(self):
                self.context = self.app.test_request_context()
                self.context.push()
            def tearDown(self):
                self.context.pop()
        """,
        test_cases="""
        from support import Case
        class TestOrders(Case):
            def test_list(self):
                assert self.app.test_client().get("/admin/order/").status_code == 200
                assert self.given["data"]
        """,
    )
    result = run_suite("--session-scoping", "-W", "ignore")
    result.assert_outcomes(passed=1)
    assert_printed(result, "nothing is known of 1 test")
    own = "--session-scoping-own-context"
    result = run_suite("--session-scoping", "-W", "ignore", own)
    result.assert_outcomes(passed=1)
    assert "nothing is known of" not in result.stdout.str()


def test_what_a_test_shares_with_its_request_is_hinted_at_if_it_fails(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile("""
        import flask

        def test_shares_g():
            app = flask.Flask("shop")
            app.add_url_rule("/", "page", lambda: flask.g.get("name", "nobody"))
            with app.app_context():
                flask.g.name = "Ada"
                assert app.test_client().get("/").text == "Ada"
    """)
    options = "--session-scoping", "--session-scoping-own-context"
    result = run_suite(*options)
    result.assert_outcomes(failed=1)
    assert_printed(result, "A test fails by that if it shares `flask.g`")
    result = run_suite("--session-scoping")
    result.assert_outcomes(passed=1)
    assert "of its own" not in result.stdout.str()


def test_plain_tests_may_push_a_context_and_keep_what_a_template_was_given(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """A base class and a fixture may be in a file which is not named as a test."""
    pytester.makeconftest('pytest_plugins = ["support"]')
    pytester.makepyfile(
        support="""
        import pytest
        from tests.apps import captured_at_startup as shop
        class Base:
            def setup_method(self):
                self.app = shop.fixed()
                self.context = self.app.app_context()
                self.context.push()
            def teardown_method(self):
                self.context.pop()
        @pytest.fixture
        def pushed(request):
            app = shop.fixed()
            context = app.app_context()
            context.push()
            request.addfinalizer(context.pop)
            return app
        """,
        test_plain="""
        from flask import template_rendered
        from support import Base
        from tests.apps import captured_at_startup as shop
        KEPT = []
        class TestOrders(Base):
            def test_list(self):
                for _ in range(2):
                    with self.app.test_client() as client:
                        assert client.get("/admin/order/").status_code == 200
        class TestTemplates:
            @classmethod
            def keep(cls, app, context, **_):
                cls.given = context
            def test_list(self):
                app = shop.fixed()
                with template_rendered.connected_to(self.keep, app):
                    app.test_client().get("/admin/order/")
                assert self.given["data"]
        def test_of_a_module():
            app = shop.fixed()
            def keep(app, context, **_):
                KEPT.append(context)
            with template_rendered.connected_to(keep, app):
                app.test_client().get("/admin/order/")
            assert KEPT[0]["data"]
        def test_fixture(pushed):
            for _ in range(2):
                pushed.test_client().get("/admin/order/")
        """,
    )
    result = run_suite("--session-scoping", "-W", "ignore", "-p", "no:randomly")
    result.assert_outcomes(passed=4)
    assert_printed(result, "nothing is known of 2 tests")


def test_a_session_that_only_the_log_of_an_error_keeps_is_not_reported(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile("""
        from tests.apps.scopes import teardown_skipped_fixed

        def test_error_page():
            client = teardown_skipped_fixed().test_client()
            assert client.get("/admin/page/").status_code == 500
    """)
    run_suite("--session-scoping").assert_outcomes(passed=1)


def test_a_healthy_suite_is_watched_without_a_full_garbage_collection(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """It looks at every object of the process, and would take most of the time."""
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        import gc
        import pytest
        from conftest import shop
        full = []
        collect = gc.collect
        def counting(generation=2):
            if generation > 0:
                full.append(generation)
            return collect(generation)
        @pytest.fixture(scope="module", autouse=True)
        def counted(app):
            app.test_client().get("/admin/order/")
            gc.collect()
            gc.collect = counting
            yield
            gc.collect = collect
        def get(app):
            assert app.test_client().get("/admin/order/").status_code == 200
        @pytest.mark.parametrize("n", range(5))
        def test_fixed(app, n):
            get(app)
        @pytest.fixture
        def context(app):
            with app.app_context():
                yield
        @pytest.fixture
        def rows(context):
            return shop.db.session.query(shop.Order).all()
        def test_in_a_context(app, context):
            get(app)
        def test_with_rows(app, rows):
            get(app)
            shop.db.session.remove()
            assert rows
        def test_none_was_made():
            assert not full
    """)
    before = gc.get_threshold()
    run_suite("--session-scoping").assert_outcomes(passed=8)
    assert gc.get_threshold() == before


def test_a_session_that_conftest_opens_when_it_is_imported_is_reported(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    [known] = [app for app in APPS if app.name == "module_level:broken"]
    pytester.makeconftest("from tests.apps.module_level_broken import app")
    pytester.makepyfile("""
        from conftest import app
        def test_leaks():
            assert app.test_client().get("/admin/tool/").status_code == 200
    """)
    result = run_suite("--session-scoping")
    result.assert_outcomes(failed=1)
    assert_printed(result, f"{known.file.name}:{known.line}")


SCOPED = """
    import pytest
    from tests.apps.raw_session import Product, fixed
    app = fixed()
    [_, view] = app.extensions["admin"][0]._views
    {imports}
    @pytest.fixture
    def product():
        view.session.add(Product(name="Rasp"))
        view.session.commit()
        view.session.query(Product).all()
    def get():
        return app.test_client().get("/admin/product/").status_code
    def test_first({uses}):
        assert get() == get() == 200
    def test_second({uses}):
        assert get() == get() == 200
"""


def test_a_session_that_a_fixture_shares_with_the_first_request_is_not_reported(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile(dedent(SCOPED.format(imports="", uses="product")))
    run_suite("--session-scoping").assert_outcomes(passed=2)


def test_a_scoped_session_that_an_import_leaves_open_is_reported(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makepyfile(
        dedent(SCOPED.format(imports="view.session.query(Product).all()", uses=""))
    )
    result = run_suite("--session-scoping")
    result.assert_outcomes(passed=1, failed=1)
    assert_printed(result, "is older than the request")


def test_the_recording_of_a_test_is_dropped(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
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
    run_suite("--session-scoping").assert_outcomes(passed=4)


# --------------------------------------------------------------- --session-scoping-app


def test_an_app_is_a_test_for_each_view_and_operation(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """pytest reports and selects these tests like any others."""
    pytester.makepyfile("def test_beside(): pass")
    result = run_suite(f"--session-scoping-app={FIXED}", "-v", "--junitxml=junit.xml")
    assert result.ret == 0
    assert_printed(
        result,
        f"session scoping: drives the admin of {FIXED}",
        "::test_beside PASSED",
        f"{FIXED}::building the app PASSED",
        f"{FIXED}::OrderView::list PASSED",
        f"{FIXED}::OrderView::list, searched PASSED",
        f"{FIXED}::OrderView::edit form PASSED",
    )
    cases = ET.parse(pytester.path / "junit.xml").iter("testcase")
    names = {(case.get("classname"), case.get("name")) for case in cases}
    assert (f"{FIXED}.OrderView", "list, searched") in names

    chosen = run_suite(f"--session-scoping-app={FIXED}", "-k", "OrderView and searched")
    chosen.assert_outcomes(passed=1, deselected=len(names) - 1)

    for more in "-p xdist -n 2", "-p pytest_randomly":
        again = run_suite(f"--session-scoping-app={FIXED}", *more.split())
        again.assert_outcomes(passed=len(names))


def test_only_the_tests_of_a_broken_view_fail(run_suite: Run) -> None:
    result = run_suite(f"--session-scoping-app={LEAK}", "-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert_printed(
        result,
        f"{LEAK}::AdminIndexView::page index PASSED",
        f"{LEAK}::OpenOrderView::list FAILED",
        f"{LEAK}::OpenOrderView::list, searched FAILED",
        f"{LEAK}::OpenOrderView::create form PASSED",
        LINE,
    )
    alone = run_suite(f"--session-scoping-app={LEAK}", "-k", "searched")
    assert_printed(alone, LINE)


def test_a_failing_test_prints_its_own_finding(run_suite: Run) -> None:
    """Once, and nothing of other views and of what holds."""
    result = run_suite(f"{LEAK}::OpenOrderView::list, searched")
    output = result.stdout.str()
    assert output.count("a session kept beyond its request") == 1
    assert output.count("Something in the app keeps a session") == 1
    for noise in "AdminIndexView", "not reached", "holds", "Note: two", "Verdict:":
        assert noise not in output


@pytest.mark.parametrize("more", ["", "-p xdist -n 2", "-p pytest_randomly"])
def test_the_id_of_a_test_runs_that_test_alone(
    pytester: pytest.Pytester, run_suite: Run, more: str
) -> None:
    """It names the app, too. An id of a view names all its tests."""
    pytester.makepyfile("def test_beside(): pass")
    all_tests = run_suite(f"--session-scoping-app={LEAK}", "-rA", *more.split())
    words = (line.partition(" ")[::2] for line in all_tests.outlines)
    ids = [
        name.partition(" - ")[0]
        for outcome, name in words
        if outcome in {"PASSED", "FAILED"} and name.startswith(LEAK)
    ]
    assert len(ids) == 12
    for name in ids[0], ids[-1]:
        alone = run_suite(name, "-rA", *more.split())
        outcomes = alone.parseoutcomes()
        assert outcomes.get("passed", 0) + outcomes.get("failed", 0) == 1
        assert name in alone.stdout.str()
    view = run_suite(f"{LEAK}::OpenOrderView", *more.split())
    assert view.parseoutcomes().items() >= {"passed": 3, "failed": 7}.items()
    beside = pytester.path.name.rstrip("0123456789") + ".py"
    both = run_suite(f"{LEAK}::AdminIndexView", beside, *more.split())
    assert both.parseoutcomes()["passed"] == 2


def test_the_id_of_a_test_has_the_client_of_the_suite(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeini("[pytest]\ntestpaths = tests_of_login")
    tests = pytester.mkdir("tests_of_login")
    (tests / "conftest.py").write_text(dedent(LOGGED_IN))
    (tests / "test_beside.py").write_text("def test_beside(): pass")
    result = run_suite("tests.apps.login:fixed::UserView::list")
    assert result.parseoutcomes()["passed"] == 1


def test_the_id_of_no_test_is_a_usage_error(run_suite: Run) -> None:
    result = run_suite(f"{LEAK}::OpenOrderView::lists")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: session scoping: there is no test {LEAK}::OpenOrderView::lists: *"]
    )


@pytest.mark.parametrize("more", ["", "-p xdist -n 2"])
def test_github_gets_an_annotation_for_each_finding(
    pytester: pytest.Pytester,
    run_suite: Run,
    monkeypatch: pytest.MonkeyPatch,
    more: str,
) -> None:
    """Also for a finding beside a failure, but not for a failure that is expected."""
    source = Path(shop.__file__).read_text()
    pytester.makepyfile(shop=source, known=source, beside=source)
    pytester.makepyfile("""
        import beside, known, pytest, shop
        def get(app, status=200):
            assert app.test_client().get("/admin/order/").status_code == status
        def test_leaks(session_scoping):
            session_scoping.check(shop.broken())
        def test_leaks_again():
            get(shop.broken())
        def test_leaks_and_fails():
            get(beside.broken(), 201)
        @pytest.mark.xfail
        def test_is_known_to_leak():
            get(known.broken())
    """)
    options = ("--session-scoping", "--session-scoping-app=shop:broken", *more.split())
    assert "::error" not in run_suite(*options).stdout.str()
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    found = [line for line in run_suite(*options).outlines if "::error" in line]
    number = LINE.rpartition(":")[2]
    beyond = f"line={number},title=A session kept beyond its request::"
    for file in "shop.py", "beside.py":
        assert any(line.startswith(f"::error file={file},{beyond}") for line in found)
    assert not any("known.py" in line for line in found)
    assert len(found) == len({line.split("::")[1] for line in found})


def test_an_option_without_effect_is_a_usage_error(run_suite: Run) -> None:
    result = run_suite("--session-scoping-own-context")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: session scoping: --session-scoping-own-context has no effect without*"]
    )


def test_building_the_app_is_a_test(run_suite: Run) -> None:
    [known] = [app for app in APPS if app.name == "seeded_at_start:broken"]
    result = run_suite(f"--session-scoping-app={known.target}", "-v")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert_printed(
        result, "::building the app FAILED", f"{known.file.name}:{known.line}"
    )


def test_what_a_closed_view_keeps_since_the_start_fails_the_building(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """No request reaches the view, and so no other test can fail."""
    pytester.makepyfile(
        keeping_shop="""
        from flask import url_for
        from flask_admin import Admin
        from tests.apps import login

        class KeepingView(login.UserView):
            def __init__(self, *given, **named):
                super().__init__(*given, **named)
                self.reader = login.db.session()

        def create_app():
            app = login.fixed()
            with app.app_context():
                view = KeepingView(login.User, login.db.session, endpoint="kept")
            app.extensions["admin"][0].add_view(view)
            return app
    """
    )
    for conftest, closed in ("", True), (LOGGED_IN, False):
        pytester.makeconftest(dedent(conftest))
        result = run_suite("--session-scoping-app=keeping_shop:create_app", "-v")
        output = result.stdout.str()
        assert result.parseoutcomes()["failed"] == 1
        assert "::building the app FAILED" in output
        assert "KeepingView breaks fresh: a session kept beyond its request" in output
        assert ("nothing was seen of keeping_shop:create_app" in output) is closed


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("app.test_client()", "is an object of type FlaskClient: it has to be a "),
        ("lambda app: None", "returns None: it has to return a test client, as "),
        ("lambda app: 1 / 0", "fails: ZeroDivisionError: division by zero (conftest"),
        ("lambda: app.test_client()", "has to take the app: too many positional "),
    ],
)
def test_a_wrong_client_is_named_in_a_line(
    pytester: pytest.Pytester, run_suite: Run, made: str, says: str
) -> None:
    pytester.makeconftest(
        f"""
        import pytest
        from tests.apps.login import fixed

        app = fixed()

        @pytest.fixture(scope="session")
        def session_scoping_client():
            return {made}
    """
    )
    pytester.makepyfile("""
        def test_check(session_scoping):
            from conftest import app
            session_scoping.check(app)
    """)
    result = run_suite(
        "--session-scoping-app=tests.apps.login:fixed", "-k", "list or check"
    )
    output = result.stdout.str()
    assert f"the function that session_scoping_client returns {says}" in output
    assert "Traceback" not in output
    assert "site-packages" not in output


def test_a_suite_and_an_app_are_judged_together(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeconftest(SHOP)
    pytester.makepyfile("""
        def test_one(client):
            assert client.get("/admin/order/").status_code == 200
    """)
    result = run_suite("--session-scoping", f"--session-scoping-app={LEAK}", "-v")
    assert_printed(result, "::test_one PASSED", "::OpenOrderView::list FAILED")
    fixed = run_suite("--session-scoping", f"--session-scoping-app={FIXED}")
    assert fixed.ret == 0


def test_a_view_that_is_closed_to_the_client_is_skipped(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """Where all views are skipped nothing is proven, and the suite fails."""
    target = "--session-scoping-app=tests.apps.login:fixed"
    pytester.mkdir("no_tests")
    tests = pytester.mkdir("tests_of_login")
    (tests / "conftest.py").write_text(dedent(LOGGED_IN))
    for more in "", "-p xdist -n 2":
        blind = run_suite(target, "-rs", "no_tests", *more.split())
        assert blind.ret == pytest.ExitCode.TESTS_FAILED
        assert_printed(
            blind, "answers 302", "nothing was seen of tests.apps.login:fixed"
        )
        seen = run_suite(target, "--rootdir=.", "tests_of_login", *more.split())
        assert seen.ret == 0
        assert "skipped" not in seen.parseoutcomes()


def test_a_view_that_only_fails_is_not_seen(run_suite: Run) -> None:
    target = "tests.apps.scopes:teardown_skipped_fixed"
    result = run_suite(f"--session-scoping-app={target}", "-k", "AverageView")
    result.assert_outcomes(failed=1, deselected=result.parseoutcomes()["deselected"])
    assert_printed(result, "nothing was seen: ZeroDivisionError")


def test_autouse_fixtures_do_not_apply_to_the_app(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    """A context that the suite pushes for every test is no fault of the app."""
    pytester.makeconftest(
        SHOP
        + """
@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield
"""
    )
    result = run_suite(f"--session-scoping-app={FIXED}", "-k", "OrderView")
    assert result.ret == 0


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:app", "Could not import 'nowhere'"),
        ("broken:app", "KeyError: 'DATABASE' (*broken.py:2)"),
        ("tests.apps.login:nothing", "Failed to find attribute 'nothing'"),
        ("tests.apps.login:create_app", "missing 1 required positional argument"),
        ("tests.apps.login:USERS", "A valid Flask application was not obtained"),
        ("plain:app", "plain has no Admin"),
        ("", "name an app"),
    ],
)
def test_an_app_that_cannot_be_loaded_is_a_usage_error(
    pytester: pytest.Pytester, run_suite: Run, target: str, message: str
) -> None:
    pytester.makepyfile(
        broken="import os\nos.environ['DATABASE']",
        plain="import flask\napp = flask.Flask('plain')",
    )
    result = run_suite(f"--session-scoping-app={target}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: session scoping: *{message}*"])
    assert len(result.stderr.str().strip().splitlines()) == 1


def test_endpoints_are_skipped(pytester: pytest.Pytester, run_suite: Run) -> None:
    pytester.makeini(f"""
        [pytest]
        session_scoping_app = {LEAK}
        session_scoping_skip = order.edit_view
    """)
    pytester.makepyfile(f"""
        from {LEAK.replace(":", " import ")} as make

        def test_check(session_scoping):
            session_scoping.check(make(), skip=["order.index_view"])
    """)
    result = run_suite("-k", "OpenOrderView or test_check", "-rs")
    assert_printed(
        result,
        "skipped by order.edit_view",
        "nothing was seen: OpenOrderView, list skipped by order.index_view",
    )


def test_the_ini_file_names_an_app_and_sessions_to_leave_alone(
    pytester: pytest.Pytester, run_suite: Run
) -> None:
    pytester.makeini(f"""
        [pytest]
        session_scoping_app = {LEAK}
        session_scoping_leave_alone = *{LINE} in *
    """)
    result = run_suite("-k", "OpenOrderView")
    assert result.ret == 0
    assert_printed(result, f"drives the admin of {LEAK}")
