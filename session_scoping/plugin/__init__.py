"""The pytest plugin: its options, hooks and fixtures.

pytest imports this module for every suite. So the library is imported only when an
option or a fixture needs it.
"""

import typing as t

import pytest

if t.TYPE_CHECKING:
    from session_scoping.drive.crawler import MakeClient
    from session_scoping.plugin.suite import SessionScoping

WATCH = "session_scoping"
APP = "session_scoping_app"
LEAVE_ALONE = "session_scoping_leave_alone"
SUITE = "session_scoping_suite"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("session scoping")
    group.addoption(
        "--session-scoping",
        action="store_true",
        help="Watch all requests that the tests make, and fail the tests in which a "
        "session outlives its request, or breaks another rule.",
    )
    group.addoption(
        "--session-scoping-app",
        metavar="MODULE:NAME",
        help="Drive the admin of an app, or of what a factory makes: adds a test for "
        "each of its views and of the things to do there.",
    )
    parser.addini(APP, "Default of --session-scoping-app.", default="")
    parser.addini(
        LEAVE_ALONE,
        "Ignore sessions made where 'file:line in function' matches one of these "
        "shell-style patterns.",
        type="linelist",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch from the start: a conftest may import an app."""
    if early_config.known_args_namespace.session_scoping:
        watch_suite(early_config)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption(WATCH):
        watch_suite(config)
    if target := app_target(config):
        try:
            from session_scoping.plugin.app_suite import AppSuite
        except ImportError as error:
            from session_scoping.rules.defects import of_import

            raise pytest.UsageError(f"session scoping: {of_import(error)}") from None
        config.pluginmanager.register(AppSuite(target, config.getini(LEAVE_ALONE)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Watch from the first fixture: it may make an app that a test checks."""
    if any(WATCH in getattr(item, "fixturenames", ()) for item in session.items):
        watch_suite(session.config, judges=False)


def pytest_report_header(config: pytest.Config) -> str | None:
    does = ["watches every request"] if config.getoption(WATCH) else []
    if target := app_target(config):
        does.append(f"drives the admin of {target}")
    return f"session scoping: {', '.join(does)}" if does else None


def app_target(config: pytest.Config) -> str:
    return str(config.getoption(APP) or config.getini(APP))


def watch_suite(config: pytest.Config, judges: bool = True) -> None:
    """Begin to watch, unless a suite is watched already."""
    if not config.pluginmanager.has_plugin(SUITE):
        from session_scoping.plugin.suite import Suite

        suite = Suite(config.getini(LEAVE_ALONE), judges)
        config.add_cleanup(suite.end)
        config.pluginmanager.register(suite, SUITE)


@pytest.fixture(scope="session")
def session_scoping_client() -> "MakeClient | None":
    """Override this: return a function that takes the app, and returns a test client.

    The client has to be logged in if the admin needs that.
    """
    return None


@pytest.fixture
def session_scoping(
    request: pytest.FixtureRequest, session_scoping_client: "MakeClient | None"
) -> "SessionScoping":
    """Check an app, or watch a block of the test."""
    from session_scoping.plugin.suite import SessionScoping

    leave_alone = request.config.getini(LEAVE_ALONE)
    return SessionScoping(request.node, session_scoping_client, leave_alone)
