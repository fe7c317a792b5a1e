"""Both guards on one mutant: ``python -m tests.mutants.trial NAME``, as JSON."""

import json
import sys
import tempfile
import warnings
from pathlib import Path

from session_scoping import guard
from session_scoping import judge
from session_scoping import record
from session_scoping import Recorder
from tests.mutants import NONE
from tests.mutants.app import create_app
from tests.mutants.app import HANDLES
from tests.mutants.catalogue import MUTANTS

Broken = dict[str, list[str]]  # rule: what the guard said, with the handle


def drop_in() -> Broken:
    broken: Broken = {}
    run = guard.run()
    for cell in run.cells:
        if cell.state == guard.BREAKS:
            broken.setdefault(cell.rule, []).append(f"{cell.handle}: {cell.said}")
    if not run.cells:
        broken["nothing was seen"] = run.failures
    effect = [one for one in run.failures if one.split("\n")[0].endswith("-effect")]
    if effect and not broken:
        broken["effect"] = effect
    return broken


def own_app(faults: bool) -> Broken:
    broken: Broken = {}
    for make_handle in HANDLES:
        with tempfile.TemporaryDirectory() as folder:
            recorder = Recorder()
            recorder.start()
            recorder.building = True
            app = create_app(
                make_handle, f"sqlite:///{Path(folder) / 'books.db'}?timeout=1"
            )
            recorder.building = False
            recording = record(app, write=True, faults=faults, recorder=recorder)
            for one in judge(recording).violations:
                cause = one.cause.name if one.cause else ""
                said = f"{make_handle.__name__}: {one.what} ({cause})"
                broken.setdefault(one.rule, []).append(said)
    return broken


def main(name: str) -> None:
    """Faults take ten times as long: they are made where nothing else may show it."""
    warnings.simplefilter("ignore")
    mutant = NONE if name == NONE.name else MUTANTS[name]
    mutant.apply()
    faults = mutant is NONE or "recovers" in mutant.rules
    print(json.dumps({"drop-in": drop_in(), "own app": own_app(faults)}))


if __name__ == "__main__":
    main(sys.argv[1])
