"""The monitor as an extension: settings, apps, log and signal, and its own failures."""
# mypy: allow-subclassing-any

import contextvars
import gc
import json
import logging
import subprocess
import sys
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import flask
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

from flask_admin import Admin
from flask_admin import AdminIndexView
from flask_admin.contrib.sqla import ModelView
from session_scoping import Monitor
from session_scoping import record
from session_scoping import Recorder
from session_scoping.monitor import connections
from session_scoping.monitor import extension
from session_scoping.monitor import findings
from session_scoping.monitor import metrics
from session_scoping.monitor import requests
from session_scoping.monitor import safety
from session_scoping.monitor import sessions
from session_scoping.monitor import state
from session_scoping.monitor.findings import Finding
from session_scoping.rules.causes import CAUSES
from tests.shops import a_row
from tests.shops import Clock
from tests.shops import clock as clock
from tests.shops import engine as engine
from tests.shops import leaks
from tests.shops import line_of
from tests.shops import no_collection
from tests.shops import ONE
from tests.shops import path as path
from tests.shops import records
from tests.shops import Shop
from tests.waiting import wait_for

# ----------------------------------------------------------------------- the extension


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HELD_AFTER", "ten"),
        ("HELD_AFTER", -1),
        ("HELD_AFTER", True),
        ("HELD_AFTER", float("nan")),
        ("SAMPLE", 0),
        ("SAMPLE", 1.5),
        ("SOCKET", 7),
        ("SOCKET", "nul\0"),
        ("JSON", "yes"),
    ],
)
def test_a_wrong_setting_is_a_line_that_names_it_and_what_it_takes(
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: object,
) -> None:
    shop = Shop(lambda: "done", **{f"SESSION_SCOPING_{name}": value})
    shop.visit()
    [line] = records(caplog)
    assert line.startswith(f"SESSION_SCOPING_{name} is {value!r}, and takes ")
    assert "\n" not in line


def test_a_configuration_of_logging_that_comes_later_does_not_silence_it() -> None:
    """``dictConfig`` disables the loggers that are there, as an app's own call does."""
    app = """
import logging.config
import flask
from session_scoping import Monitor
for name in "first", "second":
    logging.config.dictConfig({"version": 1})
    app = flask.Flask(name)
    app.config["SESSION_SCOPING_SAMPLE"] = 0
    Monitor(app)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", app],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("SESSION_SCOPING_SAMPLE is 0") == 2


def test_a_limit_beyond_all_numbers_is_a_limit(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Shop(lambda: "done", SESSION_SCOPING_HELD_AFTER=10**400)
    assert records(caplog) == []


def test_an_unknown_setting_is_a_line(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    Shop(lambda: "done", SESSION_SCOPING_HOLD_AFTER=3)
    [line] = records(caplog)
    assert "SESSION_SCOPING_HOLD_AFTER is no setting" in line


def test_init_app_twice_is_once(clock: Clock, engine: sa.engine.Engine) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    shop.monitor.init_app(shop.app)
    other = Monitor(shop.app)
    shop.visit()
    assert [count for *_, count in shop.found] == [1]
    assert other.findings == shop.monitor.findings


def test_what_is_no_app_and_no_class_of_view_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a Monitor watches a Flask app, and was giv"):
        Monitor(t.cast(t.Any, "shop"))
    with pytest.raises(TypeError, match="a view takes a class of view, and was given"):
        Monitor().view(t.cast(t.Any, AdminIndexView()))
    with pytest.raises(TypeError, match="record drives a Flask app, and was given 5"):
        record(t.cast(t.Any, 5))


def test_several_apps_have_their_own_findings(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    leaking = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    sound = Shop(lambda: "done")
    leaking.visit()
    sound.visit()
    assert len(leaking.found) == 1
    assert sound.found == []


def test_the_limit_is_that_of_the_app_that_holds_the_connection(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    def page() -> str:
        if flask.request.args:
            with engine.connect(), ThreadPoolExecutor(1) as pool:
                clock.now += 60
                pool.submit(lambda: other.client.get("/").close()).result()
        return "done"

    patient, quick = Shop(page), Shop(page, SESSION_SCOPING_HELD_AFTER=30)
    other = quick
    patient.client.get("/?long=1").close()
    assert patient.found == quick.found == []
    other = patient
    quick.client.get("/?long=1").close()
    assert patient.found == []
    assert [(rule, count) for rule, _, count in quick.found] == [("held", 1)]


def test_what_an_app_without_traffic_has_left_is_logged(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[sa.engine.Connection] = []
    goes, taken = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        kept.append(engine.connect())
        taken.set()
        wait_for(goes)

    def page() -> str:
        context = contextvars.copy_context()
        threads.append(threading.Thread(target=context.run, args=(work,)))
        threads[0].start()
        wait_for(taken)
        return "done"

    shop, other = Shop(page), Shop(lambda: "done")
    shop.visit()
    goes.set()
    threads[0].join()
    other.idle(clock)
    assert other.found == []
    assert len(shop.found) == len(records(caplog)) == 1
    kept[0].close()


def test_no_use_of_sqlalchemy_is_said_once(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(lambda: "done")
    shop.visit(250)
    [line] = records(caplog)
    assert "has used no connection of SQLAlchemy in 100 requests" in line


def test_a_sample_watches_the_sessions_of_some_requests_and_all_connections(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shared = orm.Session(engine)
    kept: list[sa.engine.Connection] = []

    def page() -> str:
        if flask.request.args:
            kept.append(engine.connect())
            return "kept"
        shared.execute(ONE)
        shared.commit()
        return "done"

    shop = Shop(page, SESSION_SCOPING_SAMPLE=5)
    shop.visit(10)
    assert [count for *_, count in shop.found] == [1]
    shop.client.get("/?keep=1").close()
    assert [rule for rule, *_ in shop.found] == ["fresh", "released"]


def test_a_session_that_no_sample_has_watched_is_reported_without_a_guess(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    kept: list[orm.Session] = []

    def page() -> str:
        kept.append(orm.Session(engine))
        return str(kept[-1].execute(ONE).scalar())  # not sampled

    shop = Shop(page, SESSION_SCOPING_SAMPLE=5)
    shop.visit(9)
    [(rule, line, count)] = shop.found
    assert (rule, count) == ("released", 9)
    assert line.startswith(line_of("not sampled"))
    [source] = shop.monitor.findings
    assert source.finding.what == "a session is still open after the response"
    assert source.finding.cause is None


@pytest.mark.filterwarnings("ignore:Passing a session object")
def test_no_line_is_said_to_make_a_session_that_is_older_than_the_monitor(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    class Product(orm.declarative_base()):  # type: ignore[misc]
        __tablename__ = "products"
        id = sa.Column(sa.Integer, primary_key=True)

    Product.metadata.create_all(engine)
    older: t.Any = orm.Session(engine)
    handle: t.Any = orm.scoped_session(orm.sessionmaker(engine))
    shop = Shop(str)
    view = ModelView(Product, handle)
    view.session = older
    Admin(shop.app).add_view(view)
    shop.client.get("/admin/product/").close()
    [source] = shop.monitor.findings
    [(label, line)] = source.finding.places
    assert (label, source.finding.line) == ("used at", line)
    assert line.endswith("in get_list")
    older.close()


def test_json_is_a_line_that_a_machine_reads(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def page() -> str:
        return str(orm.Session(engine).execute(ONE).scalar())  # in JSON

    shop = Shop(page, SESSION_SCOPING_JSON=True)
    shop.visit()
    [line] = records(caplog)
    assert json.loads(line)["line"].startswith(line_of("in JSON"))


def test_a_finding_names_no_option_that_the_monitor_does_not_have() -> None:
    options = [cause for cause in CAUSES if "--" in cause.fix]
    assert options
    for cause in options:
        finding = Finding("released", "", "", cause=cause)
        first, *_ = cause.fix.splitlines()
        assert first in str(finding)
        assert first in str(finding.to_json()["change"])
        assert "--" not in str(finding) + str(finding.to_json())


def test_the_label_of_a_figure_has_no_numbers_of_the_process() -> None:
    for rule, what in {
        "pool": "4 of 5 connections are out of the pool, 3 for good",
        "held": "a connection is held for 31 s",
        "released": "what thread Thread-7 (run) has opened is still open",
    }.items():
        assert Finding(rule, what, "GET page").source == rule


def test_each_new_finding_is_sent_as_a_signal(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    sent = []

    def receive(sender: Monitor, finding: t.Any) -> None:
        sent.append((sender, finding.rule))

    shop.monitor.found.connect(receive)
    shop.visit(3)
    assert sent == [(shop.monitor, "released")]


def test_a_receiver_that_fails_gets_the_next_finding(
    clock: Clock, engine: sa.engine.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(leaks(engine))
    kept = []

    def other() -> str:
        kept.append(engine.connect())
        return "done"

    shop.app.add_url_rule("/other", view_func=other)
    sent = []

    def receive(sender: Monitor, finding: t.Any) -> None:
        sent.append(finding.request)
        raise OSError("no network")

    shop.monitor.found.connect(receive)
    shop.visit()
    with shop.client.get("/other"):
        pass
    assert len(sent) == len(set(sent)) == 2
    failed = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [each.getMessage() for each in failed] == [
        "a receiver of the signal `found` has failed; the app is not affected"
    ] * 2
    assert "no network" in caplog.text
    assert safety.off == set()


def test_a_second_monitor_of_an_app_knows_the_same(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    second = Monitor(shop.app)
    second.init_app(shop.app)
    sent = []

    def receive(sender: Monitor, finding: findings.Finding) -> None:
        sent.append(sender)

    for monitor in (shop.monitor, second):
        monitor.found.connect(receive)
    shop.visit(2)
    assert second.findings == shop.monitor.findings
    assert [source.count for source in second.findings] == [2]
    assert sent == [shop.monitor, second]


@pytest.mark.parametrize("as_json", [True, False])
def test_sources_that_are_left_out_are_logged_once(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    as_json: bool,
) -> None:
    monkeypatch.setattr(findings, "MOST_SOURCES", 1)
    views = [
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
        lambda: str(orm.Session(engine).execute(ONE).scalar()),
    ]
    shop = Shop(
        lambda: views[int(flask.request.args["view"])](), SESSION_SCOPING_JSON=as_json
    )
    for number in (0, 1, 2, 1, 0):
        shop.client.get(f"/?view={number}").close()
    assert [count for _, _, count in shop.found] == [2]
    _, left_out = records(caplog)
    said = json.loads(left_out)["left out"] if as_json else left_out
    assert said == findings.LEFT_OUT


def test_a_recorder_watches_alone(clock: Clock, engine: sa.engine.Engine) -> None:
    shop = Shop(lambda: str(orm.Session(engine).execute(ONE).scalar()))
    with Recorder() as recorder:
        shop.visit()
    assert shop.found == []
    assert shop.app.extensions["session_scoping"].app.requests == 0
    assert len(recorder.recording.sessions) == 1
    shop.visit()
    assert len(shop.found) == 1
    assert len(recorder.recording.sessions) == 1


def test_a_fork_knows_only_what_was_left_open_before_the_first_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    page = leaks(engine)
    shop = Shop(page)
    page()  # as code that builds the app
    shop.visit()
    with engine.connect():
        assert len(shop.monitor.holding()) == 3
        extension._forked()  # what a fork calls first
        [held] = shop.monitor.holding()
    assert not held.request
    assert not connections.strays


def test_a_monitor_keeps_nothing_alive(clock: Clock, engine: sa.engine.Engine) -> None:
    made: list[ref[orm.Session]] = []

    def page() -> str:
        session = orm.Session(engine)
        made.append(ref(session))
        with session:
            return str(session.execute(ONE).scalar())

    shop = Shop(page)
    gc.collect()
    with no_collection():
        shop.visit(3)
        assert [session() for session in made] == [None] * 3


def test_garbage_may_be_collected_while_a_finding_is_added(
    clock: Clock, engine: sa.engine.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[orm.Session] = []

    class Collecting(findings.Source):
        def __init__(self, finding: findings.Finding) -> None:
            gc.collect()
            super().__init__(finding)

    monkeypatch.setattr(findings, "Source", Collecting)

    def page() -> str:
        if flask.request.args:
            return "the first"
        kept.append(orm.Session(engine))
        return str(kept[0].execute(ONE).scalar())  # in a request

    def work() -> None:
        dropped = orm.Session(engine)
        dropped.info["itself"] = dropped
        dropped.execute(ONE)  # in a cycle
        del dropped
        shop.visit()

    shop = Shop(page)
    shop.client.get("/?first=1").close()
    with no_collection():
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(60)  # without end, if the lock is taken twice
        assert not thread.is_alive()
    in_request, in_cycle = sorted(line for _, line, _ in shop.found)
    assert in_request.startswith(line_of("in a request"))
    assert in_cycle.startswith(line_of("in a cycle"))


def test_a_stream_may_make_sessions_without_end(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    known: list[int] = []

    def page() -> flask.Response:
        def events() -> t.Iterator[str]:
            for _ in range(500):
                with orm.Session(engine) as session:
                    yield f"{session.execute(ONE).scalar()}\n"
            request = state.current()
            assert request is not None
            known.append(len(request.lives))

        return flask.Response(events())

    shop = Shop(page)
    shop.visit()
    assert 0 < known[0] < 100
    assert shop.found == []


# ---------------------------------------------------------------------------- safety

HOOKS: dict[str, tuple[object, str]] = {
    "checkout": (state.places, "here"),
    "birth": (state.places, "birth"),
    "begin": (sessions, "_owner"),
    "use": (sessions, "_use"),
    "check": (sessions, "find"),
    "sweep": (connections, "is_at_work"),
    "worker": (state, "worker"),
    "clock": (state, "clock"),
}


@pytest.mark.parametrize("name", HOOKS)
def test_an_error_inside_the_monitor_is_logged_once_and_no_request_fails(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    def page() -> str:
        if flask.request.args:
            return str(orm.Session(engine).execute(ONE).scalar())
        with orm.Session(engine) as session:
            answer = session.execute(ONE).scalar()
            session.commit()
            return str(answer)

    shop = Shop(page)
    shop.visit()

    def fail(*_: object, **__: object) -> t.NoReturn:
        raise RuntimeError("injected")

    owner, attribute = HOOKS[name]
    with monkeypatch.context() as patch, engine.connect():  # to be swept
        patch.setattr(owner, attribute, fail)
        for number in range(6):
            clock.now += 2
            path = "/?leak=1" if number % 2 else "/"
            with shop.client.get(path) as response:
                assert response.status_code == 200
    failures = [record for record in caplog.records if record.exc_info]
    assert {record.name for record in failures} == {"session_scoping"}
    parts = [record.getMessage() for record in failures]
    assert len(parts) == len(set(parts)) == len(safety.off)


def test_a_log_that_raises_fails_no_request(
    clock: Clock, engine: sa.engine.Engine
) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no space left on device")

    page = leaks(engine)
    full = Full()
    safety.logger().addHandler(full)
    try:
        Shop(page, SESSION_SCOPING_SAMPLE=0).visit(2)
    finally:
        safety.logger().removeHandler(full)
    assert safety.off == {safety.Part.FINDINGS}


def guarded_hooks() -> dict[str, t.Any]:
    """Return every function of the monitor that keeps its errors away from the app.

    It is a cell: what it contains is the function that is called inside of the guard.
    """
    found = {}
    for module in (connections, extension, findings, metrics, requests, sessions):
        for owner in (module, *vars(module).values()):
            if owner is not module and not isinstance(owner, type):
                continue
            for hook in vars(owner).values():
                if getattr(hook, "__module__", "") == module.__name__:
                    names = getattr(getattr(hook, "__code__", None), "co_freevars", ())
                    if hasattr(hook, "__wrapped__") and "hook" in names:
                        cell = hook.__closure__[names.index("hook")]
                        found[hook.__qualname__] = cell
    return found


GUARDED = guarded_hooks()
STATUSES = {
    "/": 200,
    "/?save=1": 200,
    "/?leak=1": 200,
    "/?detach=1": 200,
    "/?flash=1": 200,
    "/?fail=1": 500,
}


@pytest.mark.parametrize("name", GUARDED)
def test_an_error_in_any_hook_fails_no_request(
    clock: Clock,
    engine: sa.engine.Engine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    row = a_row(engine)
    older = orm.Session(engine)
    raised = []

    def page() -> str:
        asked = {*flask.request.args}
        if "fail" in asked:
            raise sa.exc.TimeoutError("QueuePool limit")
        if "flash" in asked:
            flask.flash("QueuePool limit")
        if "detach" in asked:
            with engine.connect() as connection:
                connection.detach()
        if "leak" in asked:
            return str(orm.Session(engine).execute(ONE).scalar())
        if "older" in asked:
            return str(older.execute(ONE).scalar())
        flask.g.session = orm.Session(engine)
        if "save" in asked:
            flask.g.session.begin_nested()
            flask.g.session.add(row())
            flask.g.session.flush()
            flask.g.session.get_nested_transaction().rollback()
            flask.g.session.add(row())
        return str(flask.g.session.execute(ONE).scalar())

    def visit(_: int) -> dict[str, int]:
        client = shop.app.test_client()
        found = {}
        for page in STATUSES:
            with client.get(page) as response:
                found[page] = response.status_code
        return found

    def fail(*_: object, **__: object) -> t.NoReturn:
        raised.append(name)
        raise RuntimeError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(GUARDED[name], "cell_contents", fail)
        shop = Shop(page)

        @shop.app.teardown_request
        def end(error: BaseException | None) -> None:
            if session := flask.g.pop("session", None):
                session.commit()
                session.close()

        with shop.app.app_context():
            older.execute(ONE)
        with shop.client.get("/?older=1") as response:
            assert response.status_code == 200
        clock.now += 2
        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(visit, range(4))] == [STATUSES] * 4
        for source in metrics.FIGURES:
            metrics._sums(source, extension.watched)
    older.close()
    failures = [record for record in caplog.records if record.exc_info]
    logged = [record for record in failures if record.name == "session_scoping"]
    assert raised
    assert len(logged) == len(safety.off) == 1


def test_a_message_that_is_translated_late_is_left_alone(clock: Clock) -> None:
    class Lazy:
        def __str__(self) -> str:
            raise RuntimeError("no language yet")

    def page() -> str:
        flask.message_flashed.send(shop.app, message=Lazy(), category="info")
        return "done"

    shop = Shop(page)
    shop.visit()
    assert not safety.off
