"""Fixtures of the tests under fire: database servers, and figures that are printed."""

import typing as t

import pytest

from tests.conftest import skip_or_fail
from tests.fire.monitor import Monitor
from tools.databases import mariadb
from tools.databases import missing_mariadb
from tools.databases import postgresql
from tools.databases import Server

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def started() -> t.Iterator[t.Callable[[str], Server]]:
    """Start a database server, once for all tests that use it."""
    makers: dict[str, t.Any] = {"postgresql": postgresql, "mariadb": mariadb}
    running: dict[str, tuple[t.Any, Server]] = {}

    def start(name: str) -> Server:
        if name not in running:
            if name == "mariadb" and (missing := missing_mariadb()):
                skip_or_fail(missing)
            context = makers[name]()
            running[name] = context, context.__enter__()
        return running[name][1]

    yield start
    for context, _ in running.values():
        context.__exit__(None, None, None)


@pytest.fixture(params=["postgresql", "mariadb"])
def server(
    request: pytest.FixtureRequest, started: t.Callable[[str], Server]
) -> Server:
    return started(request.param)


@pytest.fixture
def url(server: Server) -> str:
    return server.database()


@pytest.fixture
def monitor(server: Server, url: str) -> Monitor:
    return Monitor(server, url)


@pytest.fixture
def figures() -> t.Callable[[str], None]:
    """Print a line in the summary of pytest."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES:
        terminalreporter.write_sep("=", "under fire")
        for line in sorted(FIGURES):
            terminalreporter.write_line(line)
