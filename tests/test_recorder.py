"""Recorders: starting, pausing and stopping them, and what they keep."""

import gc
from contextlib import suppress
from weakref import ref

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from session_scoping import record
from session_scoping import Recorder
from tests.apps import raw_session
from tests.test_faults import make_app


def count_requests(recorder: Recorder) -> int:
    return len(recorder.recording.requests)


def test_record_does_not_stop_the_recorder_of_its_caller() -> None:
    app = make_app("sqlite://")
    with Recorder() as recorder:
        seen = len(record(app, recorder=recorder).requests)
        assert app.test_client().get("/admin/fish/").status_code == 200
        assert count_requests(recorder) == seen + 1


def test_record_stops_its_own_recorder() -> None:
    app = make_app("sqlite://")
    recording = record(app)
    seen = len(recording.requests)
    app.test_client().get("/admin/fish/")
    assert len(recording.requests) == seen
    assert Recorder.started == []


def test_a_recorder_that_is_started_later_pauses_an_earlier_recorder() -> None:
    client = make_app("sqlite://").test_client()
    with Recorder() as outer:
        client.get("/admin/fish/")
        with Recorder() as inner:
            client.get("/admin/fish/")
            client.get("/admin/fish/")
        client.get("/admin/fish/")
    assert (count_requests(outer), count_requests(inner)) == (2, 2)
    sessions = [len(recorder.recording.sessions) for recorder in (outer, inner)]
    assert sessions == [2, 2]


def test_an_earlier_recorder_can_be_stopped_first() -> None:
    client = make_app("sqlite://").test_client()
    outer, inner = Recorder(), Recorder()
    outer.start()
    inner.start()
    outer.stop()
    client.get("/admin/fish/")
    inner.stop()
    client.get("/admin/fish/")
    assert (count_requests(outer), count_requests(inner)) == (0, 1)


def test_a_recorder_is_not_started_twice() -> None:
    with Recorder() as recorder:
        with pytest.raises(RuntimeError, match="started already"):
            recorder.start()
        assert Recorder.started == [recorder]


def test_a_stopped_recorder_can_continue() -> None:
    client = make_app("sqlite://").test_client()
    recorder = Recorder()
    for expected in 1, 2:
        with recorder:
            client.get("/admin/fish/")
        assert count_requests(recorder) == expected


def test_building_marks_the_sessions_that_are_made_in_its_block() -> None:
    engine = sa.create_engine("sqlite://")
    with Recorder() as recorder:
        with suppress(ZeroDivisionError), recorder.building():
            Session(engine).close()
            raise ZeroDivisionError
        Session(engine).close()
    assert [session.at_startup for session in recorder.recording.sessions] == [
        True,
        False,
    ]


def test_refusing_prevents_statements_that_nothing_drives() -> None:
    def check(sql: str) -> None:
        raise PermissionError(sql)

    with Recorder() as recorder, sa.create_engine("sqlite://").connect() as connection:
        with pytest.raises(PermissionError, match="SELECT 1"), recorder.refusing(check):
            connection.execute(sa.text("SELECT 1"))
        assert connection.execute(sa.text("SELECT 1")).scalar() == 1


@pytest.mark.filterwarnings("ignore:Passing a session object")
def test_a_recorder_does_not_keep_the_session_of_a_view() -> None:
    app = raw_session.broken()
    view = app.extensions["admin"][0]._views[1]
    with Recorder() as recorder:
        recorder.learn(app)
        session = ref(view.session)
        view.session = None
        gc.collect()
        assert session() is None
    assert recorder.recording.views[1].replaced
