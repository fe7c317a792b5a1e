"""Recordings that are saved as JSON and loaded again."""

import json
from pathlib import Path

import pytest

from session_scoping.recording import FORMAT
from session_scoping.recording import Maker
from session_scoping.recording import NotARecording
from session_scoping.recording import Recording
from session_scoping.recording import Write
from session_scoping.rules.judge import judge
from tests.recordings import alone
from tests.recordings import LIBRARY
from tests.recordings import OTHER
from tests.recordings import OWN
from tests.recordings import session
from tests.recordings import shared
from tests.recordings import staircase
from tests.recordings import use
from tests.violations import CASES
from tests.violations import HEALTHY

SAVED = {
    **{name: case.broken for name, case in CASES.items()},
    **HEALTHY,
    "all that a request can have": alone(
        use(0, own=OWN, used_after_close=OTHER),
        sessions=[session(0, place=LIBRARY, own=OWN)],
        writes=[Write("DELETE", 0, OWN, OTHER, refused=True)],
    ),
}


@pytest.mark.parametrize("seen", SAVED.values(), ids=list(SAVED))
def test_a_loaded_recording_equals_the_saved_recording(
    seen: Recording, tmp_path: Path
) -> None:
    seen.save(tmp_path / "seen.json")
    loaded = Recording.load(tmp_path / "seen.json")
    assert json.dumps(loaded.to_json()) == json.dumps(seen.to_json())
    assert judge(loaded).violations == judge(seen).violations


def test_a_saved_verdict_can_be_loaded_as_a_recording(tmp_path: Path) -> None:
    verdict = judge(shared(Maker.SCOPED_SESSION))
    (tmp_path / "seen.json").write_text(json.dumps(verdict.to_json()))
    assert (
        judge(Recording.load(tmp_path / "seen.json")).violations == verdict.violations
    )


COMPLETE = staircase().to_json()
DANCE = {"kind": "dance", "subject": "", "variant": ""}
UNKNOWN = {"view": 0, "operation": DANCE, "why": ""}
NO_RECORDINGS = {
    "not JSON": ("no", " is not JSON: Expecting value"),
    "not UTF-8": (b"\xff\xfe", " is not JSON: 'utf-8' codec can't decode"),
    "an empty file": ("", " is not JSON: Expecting value"),
    "a list": ("[]", " has no recording in it"),
    "other data": ('{"views": []}', " has no recording in it"),
    "a recording that is no object": ('{"recording": 1}', ": not a recording"),
    "no format": ('{"recording": {}}', ": not a recording"),
    "another format": (
        json.dumps({"recording": {**COMPLETE, "format": FORMAT + 1}}),
        f": the recording has format {FORMAT + 1}, not {FORMAT}: record it again",
    ),
    "a missing key": (
        json.dumps({"recording": {"format": FORMAT}}),
        ": not a whole recording: no 'app'",
    ),
    "a missing key further in": (
        json.dumps({"recording": {**COMPLETE, "requests": [{"number": 0}]}}),
        ": not a whole recording: no 'method'",
    ),
    "another type": (
        json.dumps({"recording": {**COMPLETE, "requests": 1}}),
        ": not a whole recording: 'int' object is not iterable",
    ),
    "an unknown operation": (
        json.dumps({"recording": {**COMPLETE, "unseen": [UNKNOWN]}}),
        ": not a whole recording: 'dance' is not a valid OperationKind",
    ),
}


@pytest.mark.parametrize(
    ("content", "message"), NO_RECORDINGS.values(), ids=list(NO_RECORDINGS)
)
def test_an_invalid_recording_raises_an_error_of_one_line(
    content: str | bytes, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "seen.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NotARecording) as caught:
        Recording.load(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "seen.json")
