"""The pytest plugin: its options, hooks and fixtures.

pytest imports this module for every suite. So the library is imported only when an
option or a fixture needs it.
"""

import os
import re
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from session_scoping.drive.client import MakeClient
    from session_scoping.plugin.suite import SessionScoping

WATCH = "session_scoping"
APP = "session_scoping_app"
OWN_CONTEXT = "session_scoping_own_context"
LEAVE_ALONE = "session_scoping_leave_alone"
SKIP = "session_scoping_skip"
SUITE = "session_scoping_suite"
OF_APP = re.compile(
    r"([^:]+:[^:]+)::"
)  # the id of a test: MODULE:NAME::View::operation


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
    group.addoption(
        "--session-scoping-own-context",
        action="store_true",
        help="With --session-scoping: run each request in a context of its own, also "
        "where a fixture holds an app context. Then its session is its own, too.",
    )
    parser.addini(OWN_CONTEXT, "The same as the option.", type="bool", default=False)
    parser.addini(APP, "Default of --session-scoping-app.", default="")
    parser.addini(
        LEAVE_ALONE,
        "Ignore sessions made where 'file:line in function' matches one of these "
        "shell-style patterns.",
        type="linelist",
    )
    parser.addini(
        SKIP,
        "Do not request endpoints that match one of these shell-style patterns, as "
        "those of pages that send mail.",
        type="linelist",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch from the start: a conftest may import an app."""
    if early_config.known_args_namespace.session_scoping:
        watch_suite(early_config)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from session_scoping.plugin.annotations import Annotations

        config.pluginmanager.register(Annotations())
    if config.getoption(WATCH):
        watch_suite(config)
    elif config.getoption(OWN_CONTEXT):
        option = "--session-scoping-own-context"
        raise pytest.UsageError(
            f"session scoping: {option} has no effect without --session-scoping: add it"
        )
    if config.getoption(APP) == "":
        raise pytest.UsageError("session scoping: name an app, as in shop:create_app")
    if target := app_target(config):
        try:
            from session_scoping.plugin.app_suite import AppSuite
        except ImportError as error:
            from session_scoping.rules.defects import of_import

            raise pytest.UsageError(f"session scoping: {of_import(error)}") from None
        leave_alone, skip = config.getini(LEAVE_ALONE), config.getini(SKIP)
        config.pluginmanager.register(AppSuite(target, leave_alone, skip))


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
    """Return the app that an option, the ini file, or the id of a test names."""
    in_ids = (OF_APP.match(arg) for arg in config.args)
    apps = (found[1] for found in in_ids if found and not Path(found[1]).exists())
    return str(config.getoption(APP) or config.getini(APP) or next(apps, ""))


def watch_suite(config: pytest.Config, judges: bool = True) -> None:
    """Begin to watch, unless a suite is watched already."""
    if not config.pluginmanager.has_plugin(SUITE):
        from session_scoping.plugin.suite import Suite

        own = config.known_args_namespace.session_scoping_own_context
        own_contexts = own or config.getini(OWN_CONTEXT)
        suite = Suite(config.getini(LEAVE_ALONE), own_contexts, judges)
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

    leave_alone, skip = request.config.getini(LEAVE_ALONE), request.config.getini(SKIP)
    return SessionScoping(request.node, session_scoping_client, leave_alone, skip)
