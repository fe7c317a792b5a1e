"""The mutants are what they say they are, and one that is not caught is told."""

from collections import Counter
from pathlib import Path

import pytest

from session_scoping.rules import NAMES
from tests.mutants import Mutant
from tests.mutants import NONE
from tests.mutants.__main__ import cell
from tests.mutants.__main__ import run
from tests.mutants.__main__ import Trial
from tests.mutants.catalogue import MUTANTS
from tests.sample import sample

ROOT = Path(__file__).parent.parent
ONE = Mutant("one", "Breaks it.", ("fresh",), lambda: None)


def test_every_rule_is_broken_in_five_ways() -> None:
    ways = Counter(rule for one in MUTANTS.values() for rule in one.rules)
    assert {*ways} == {*NAMES, "effect"}
    assert min(ways[rule] for rule in NAMES) >= 5, ways
    assert len(MUTANTS) >= 40


def test_the_investigation_has_them_all() -> None:
    told = (ROOT / "SESSION_SCOPING_INVESTIGATION.md").read_text()
    assert f"patches {len(MUTANTS)} deliberate breaks" in told
    for name in MUTANTS:
        assert f"| {name} | " in told


def test_every_mutant_says_what_it_breaks() -> None:
    for name, one in MUTANTS.items():
        assert one.name == name
        assert one.sentence.endswith("."), name


@pytest.mark.parametrize(
    ("broken", "caught", "says"),
    [
        ({}, False, "NOT RIGHTLY: nothing"),
        ({"released": ["it"]}, False, "NOT RIGHTLY: released"),
        ({"released": ["it"], "fresh": ["it"]}, True, "fresh, released"),
    ],
)
def test_a_mutant_is_caught_by_a_rule_that_names_it(
    broken: dict[str, list[str]], caught: bool, says: str
) -> None:
    trial = Trial(ONE, {"drop-in": broken})
    assert trial.rightly("drop-in") == caught
    assert cell(trial, "drop-in") == says


def test_what_is_not_broken_must_not_be_caught() -> None:
    assert Trial(NONE, {"drop-in": {}}).rightly("drop-in")
    assert not Trial(NONE, {"drop-in": {"fresh": ["it"]}}).rightly("drop-in")
    assert not Trial(NONE, {}, died="at once").rightly("drop-in")


def test_a_sample_is_some_of_them_and_always_the_same() -> None:
    some = sample([*MUTANTS], 7)
    assert len({*some}) == 7
    assert some == sample([*MUTANTS], 7)
    assert {*some} <= {*MUTANTS}
    assert sample([*MUTANTS], None) == [*MUTANTS]


def test_a_mutant_is_caught_by_both_guards() -> None:
    trial = run(MUTANTS["the list: of its own"])
    assert not trial.died
    assert "single" in trial.rules("drop-in")
    assert "single" in trial.rules("own app")
