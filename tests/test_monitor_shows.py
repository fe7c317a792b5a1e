"""What the monitor shows: what holds connections, its page, and its figures."""
# mypy: allow-subclassing-any

import os
import socket
import sqlite3
import threading
import typing as t
from importlib.resources import files
from inspect import signature
from pathlib import Path

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin import BaseView
from session_scoping.cli import in_flask
from session_scoping.monitor import connections
from session_scoping.monitor import findings
from session_scoping.monitor import safety
from session_scoping.monitor import sockets
from tests.shops import admin_of
from tests.shops import Clock
from tests.shops import clock as clock
from tests.shops import engine as engine
from tests.shops import leaks
from tests.shops import line_of
from tests.shops import ONE
from tests.shops import path as path
from tests.shops import records
from tests.shops import Shop

TEMPLATES = [each.name for each in files("flask_admin").joinpath("templates").iterdir()]


# --------------------------------------------------------------- what holds connections


def test_holding_says_age_request_line_and_transaction(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # holds it

    shop = Shop(page)
    shop.visit()
    clock.now += 12
    [held] = shop.monitor.holding()
    assert held.age == 12
    assert held.request == "GET page"
    assert held.over
    assert held.session
    assert held.in_transaction
    assert held.line.startswith(line_of("holds it"))
    assert held.thread == "MainThread"
    assert str(held).startswith(
        "    12.0 s  session, in a transaction: GET page, which"
    )


def test_explain_says_what_keeps_a_session(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(flask.current_app.extensions["shop"].execute(ONE)))
    shop.app.extensions["shop"] = orm.Session(engine)
    shop.visit()
    [(held, kept_by)] = shop.monitor.explain()
    assert held.request == "GET page"
    assert kept_by[0].startswith("the app")
    assert any("extensions" in step for step in kept_by), kept_by
    shop.app.extensions.pop("shop").close()


def test_the_command_lists_what_a_running_app_holds(
    clock: Clock, engine: sa.engine.Engine, path: str
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # for the command

    shop = Shop(page, SESSION_SCOPING_SOCKET=path)
    runner = shop.app.test_cli_runner()
    silent = runner.invoke(in_flask, ["holding"])
    assert silent.exit_code == 2
    assert "no process answers at" in silent.stderr
    shop.visit()
    Path(f"{path}.0").touch()  # what is no socket does not answer
    said = runner.invoke(in_flask, ["holding"])
    assert said.exit_code == 0
    assert said.output.startswith(f"process {os.getpid()}: 1 out of the pool\n")
    assert line_of("for the command") in said.output


def test_the_command_says_which_setting_is_missing(clock: Clock) -> None:
    said = Shop(lambda: "done").app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert "SESSION_SCOPING_SOCKET is not set" in said.stderr


def test_the_command_says_that_the_setting_is_wrong(clock: Clock) -> None:
    app = Shop(lambda: "done", SESSION_SCOPING_SOCKET=7).app
    said = app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert said.stderr.startswith(
        "session-scoping: SESSION_SCOPING_SOCKET is 7, and takes the path of a socket"
    )


def test_a_socket_that_cannot_be_made_is_logged_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET="/no/such/folder/holding")
    shop.visit(3)
    assert len(records(caplog)) == 1
    assert "part 'socket' is off" in records(caplog)[0]


def test_the_command_removes_what_dead_processes_left_and_no_file_of_the_user(
    clock: Clock, path: str
) -> None:
    files = [Path(f"{path}.{end}") for end in ("py", "db", "7")]
    for file in files:
        file.write_text("mine")
    left, other = Path(f"{path}.1"), Path(f"{path}.old")
    for name in (left, other):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(name))
    assert sockets.ask(path) == []
    assert [file.read_text() for file in files] == ["mine"] * 3
    assert other.is_socket()
    assert not left.exists()


def test_two_requests_that_are_the_first_make_one_socket(
    clock: Clock, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """The second request overtakes the first one while that makes its socket."""
    made, before = socket.socket, {*threading.enumerate()}

    def overtaken(*args: t.Any) -> socket.socket:
        overtaking.undo()
        sockets.serve(path)
        return made(*args)

    with pytest.MonkeyPatch.context() as overtaking:
        overtaking.setattr(socket, "socket", overtaken)
        sockets.serve(path)
    assert len({*threading.enumerate()} - before) == 1
    assert records(caplog) == []
    assert [answer.process for answer in sockets.ask(path)] == [os.getpid()]


def test_a_file_at_the_path_of_the_socket_stays(
    clock: Clock, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    file = Path(f"{path}.{os.getpid()}")
    file.write_text("mine")
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
    shop.visit(2)
    sockets.stop()
    assert file.read_text() == "mine"
    [line] = records(caplog)
    assert line.startswith(f"no socket can be made at {file} (Address already in use)")
    assert not [record for record in caplog.records if record.exc_info]


def test_a_connection_that_its_driver_has_closed_is_listed_too(
    clock: Clock, engine: sa.engine.Engine, path: str
) -> None:
    shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
    admin_of(shop)
    shop.visit()
    with engine.connect() as connection:  # closed below
        driver: t.Any = connection.connection.dbapi_connection
        driver.close()
        with pytest.raises(sqlite3.ProgrammingError):
            driver.in_transaction  # noqa: B018
        [held] = shop.monitor.holding()
        said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
        with shop.client.get("/admin/session_scoping/") as response:
            assert response.status_code == 200
        connection.invalidate()
    assert not held.in_transaction
    assert said.exit_code == 0
    assert line_of("closed below") in said.output
    assert not safety.off


def test_a_process_that_cannot_answer_is_named_in_a_line(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail() -> t.NoReturn:
        raise RuntimeError("injected")

    def answer() -> None:
        with answering.accept()[0] as asking:
            asking.sendall(b"[]")

    with socket.socket(socket.AF_UNIX) as answering:
        answering.bind(f"{path}.1")
        answering.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        shop = Shop(lambda: "done", SESSION_SCOPING_SOCKET=path)
        shop.visit()
        monkeypatch.setattr(connections, "holding", fail)
        said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
        thread.join()
    assert said.exit_code == 0
    assert said.stdout == "process 1: 0 out of the pool\n"
    assert said.stderr == f"process {os.getpid()}: no answer, see its log\n"
    said = shop.app.test_cli_runner().invoke(in_flask, ["holding"])
    assert said.exit_code == 2
    assert "no process answers" in said.stderr


@pytest.mark.parametrize("said", [b"hello", b"[1]", b"null", b'[{"age": 1}]'])
def test_another_program_at_the_path_is_no_process_of_the_app(
    path: str, said: bytes
) -> None:
    def answer() -> None:
        with answering.accept()[0] as asking:
            asking.sendall(said)

    with socket.socket(socket.AF_UNIX) as answering:
        answering.bind(f"{path}.1")
        answering.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert sockets.ask(path) == [(1, None)]
        thread.join()


# ---------------------------------------------------------------------------- the page


def test_the_page_shows_findings_holders_and_the_staircase(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        session = orm.Session(engine)
        if flask.request.args:
            kept.append(session)
            return str(session.execute(ONE).scalar())  # on the page
        with session:
            return str(session.execute(ONE).scalar())

    shop = Shop(page)
    admin_of(shop)
    with shop.client.get("/admin/session_scoping/") as response:
        assert "Nothing strays." in response.get_data(as_text=True)
    shop.visit(3)
    shop.client.get("/?secret=hunter2").close()
    with shop.client.get("/admin/session_scoping/") as response:
        text = response.get_data(as_text=True)
        assert "Refresh" not in response.headers
    assert "A session made by hand (GET page)" in text
    assert line_of("on the page") in text
    assert text.count("<rect ") == 4
    assert text.count("#b3261e") == 1
    kept[0].close()
    with shop.client.get("/admin/session_scoping/") as response:
        assert response.get_data(as_text=True).count("#b3261e") == 0
    assert "hunter2" not in text
    assert "select 1" not in text
    with shop.client.get("/admin/session_scoping/?refresh=1") as response:
        assert response.headers["Refresh"] == "5"


@pytest.mark.parametrize("templates", TEMPLATES)
def test_the_page_is_shown_with_each_set_of_templates(
    clock: Clock, templates: str
) -> None:
    """Flask-Admin 1.6 has those of Bootstrap 2, 3 and 4."""
    shop = Shop(lambda: "done")
    several = "template_mode" in signature(Admin).parameters
    chosen: dict[str, t.Any] = {"template_mode": templates} if several else {}
    admin = Admin(shop.app, **chosen)
    admin.add_view(shop.monitor.view())
    with shop.client.get("/admin/session_scoping/") as response:
        page = response.get_data(as_text=True)
    assert f"/{templates}/" in page
    assert "Nothing strays." in page


def test_the_page_is_as_closed_as_the_index_of_the_admin(clock: Clock) -> None:
    class Closed(AdminIndexView):
        def is_accessible(self) -> bool:
            return False

    class ClosedView(BaseView):
        def is_accessible(self) -> bool:
            return False

    shop = Shop(lambda: "done")
    Admin(shop.app, index_view=Closed()).add_view(shop.monitor.view())
    with shop.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 403
    other = Shop(lambda: "done")
    admin_of(other, base=ClosedView)
    with other.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 403
    without = Shop(lambda: "done")
    Admin(without.app)
    with without.client.get("/admin/session_scoping/") as response:
        assert response.status_code == 404


# ------------------------------------------------------------------------ for machines


@pytest.mark.extra
def test_figures_are_offered_to_prometheus(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    page = leaks(engine)
    shop = Shop(page)
    shop.visit(2)
    clock.now += 7
    said = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
    [found] = [
        line
        for line in said.splitlines()
        if line.startswith("session_scoping_findings_total{")
        and f'app="{shop.app.import_name}"' in line
    ]
    assert 'rule="released"' in found
    assert "tests/shops.py" in found
    assert found.endswith(" 2.0")
    assert "session_scoping_open_sessions 2.0" in said
    assert "session_scoping_held_seconds 7.0" in said
    assert 'state="in use"} 2.0' in said


@pytest.mark.extra
def test_two_apps_of_one_name_are_summed_and_an_error_stays_in_the_monitor(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    page = leaks(engine)
    shops = [Shop(page), Shop(page)]
    for shop in shops:
        shop.visit(2)

    def found() -> list[str]:
        said = prometheus_client.generate_latest(prometheus_client.REGISTRY).decode()
        return [
            line
            for line in said.splitlines()
            if line.startswith("session_scoping_findings_total{")
        ]

    [line] = found()
    assert line.endswith(" 4.0")
    monkeypatch.setattr(findings.Finding, "source", property(lambda finding: 1 / 0))
    assert found() == []
    assert safety.off == {safety.Part.METRICS}


@pytest.mark.extra
def test_figures_are_offered_to_opentelemetry(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk.metrics")
    from opentelemetry import metrics as api
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(api, "get_meter", provider.get_meter)
    page = leaks(engine)
    shop = Shop(page)
    shop.visit(3)
    data: t.Any = reader.get_metrics_data()
    points = {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    provider.shutdown()
    assert 3 in points["session_scoping.findings"]
    assert points["session_scoping.open_sessions"] == [3]
