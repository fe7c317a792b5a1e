"""The mutants break every rule, and a mutant that is not caught is reported."""

from collections import Counter

import pytest

from session_scoping.rules.rules import Rule
from tools.mutants import Mutant
from tools.mutants import NONE
from tools.mutants.__main__ import Trial
from tools.mutants.catalogue import MUTANTS
from tools.sample import sample

MUTANT = Mutant("mutant", "Breaks it.", ("fresh",), lambda: None)


def test_every_rule_is_broken_in_five_ways() -> None:
    ways = Counter(rule for mutant in MUTANTS.values() for rule in mutant.rules)
    assert {*ways} == {*Rule}
    assert min(ways.values()) >= 5, ways
    assert len(MUTANTS) >= 150


@pytest.mark.parametrize(
    ("bookshop", "drop_in", "is_right"),
    [
        ({}, {"test_list": "it"}, False),
        ({"released": ["it"]}, {"test_list": "it"}, False),
        ({"fresh": ["it"]}, {}, False),
        ({"released": ["it"], "fresh": ["it"]}, {"test_list": "it"}, True),
    ],
)
def test_both_instruments_catch_a_mutant_by_a_rule_that_it_breaks(
    bookshop: dict[str, list[str]], drop_in: dict[str, str], is_right: bool
) -> None:
    assert Trial(MUTANT, bookshop, drop_in).is_right == is_right


def test_nothing_is_reported_without_a_mutant() -> None:
    assert Trial(NONE).is_right
    assert not Trial(NONE, {"fresh": ["it"]}).is_right
    assert not Trial(NONE, {}, {"test_list": "it"}).is_right
    assert not Trial(NONE, died="at once").is_right


def test_a_commit_always_selects_the_same_sample() -> None:
    some = sample([*MUTANTS], 7)
    assert len({*some}) == 7
    assert some == sample([*MUTANTS], 7)
    assert {*some} <= {*MUTANTS}
    assert sample([*MUTANTS], None) == [*MUTANTS]
