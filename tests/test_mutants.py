"""The mutants break every rule, and are reported. A harmless change is not."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from session_scoping.rules.handles import HANDLES
from session_scoping.rules.rules import Rule
from tools.mutants import clients
from tools.mutants import elsewhere
from tools.mutants import ends
from tools.mutants import Mutant
from tools.mutants import NONE
from tools.mutants import outliving
from tools.mutants.__main__ import Trial
from tools.mutants.catalogue import MUTANTS
from tools.mutants.proofs import PROOFS
from tools.sample import sample

MUTANT = Mutant("mutant", "Breaks it.", ("fresh",), lambda: None)
ROOT = Path(__file__).parent.parent
SOME = (
    "list: keeps the texts of its cells",
    "flask sqlalchemy leaves its session when a request is killed",
    "flask sqlalchemy shares a session between requests of a user",
    "hooks run when the response is closed",
)
BEYOND = replace(MUTANT, beyond=True)


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


def test_the_drop_in_does_not_catch_what_is_marked_as_beyond_it() -> None:
    assert Trial(BEYOND, {"fresh": ["it"]}).is_right
    assert not Trial(BEYOND, {"fresh": ["it"]}, {"test_list": "it"}).is_right
    assert not Trial(BEYOND).is_right


def test_nothing_is_reported_without_a_mutant() -> None:
    assert Trial(NONE).is_right
    assert not Trial(NONE, {"fresh": ["it"]}).is_right
    assert not Trial(NONE, {}, {"test_list": "it"}).is_right
    assert not Trial(NONE, died="at once").is_right


def test_what_each_mutant_breaks_is_seen_without_a_guard() -> None:
    """A process for each would take minutes: CI tries one mutant of each kind."""
    command = [sys.executable, "-m", "tools.mutants.proofs", *SOME]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("right: ") == len(HANDLES) + len(SOME)


def test_the_proofs_are_of_all_mutants_of_these_kinds() -> None:
    proven = {name for of in PROOFS.values() for names in of.values() for name in names}
    kinds = {kind.__name__ for kind in (clients, elsewhere, ends, outliving)}
    assert proven == {
        name
        for name, mutant in MUTANTS.items()
        if mutant.rules
        and getattr(mutant.apply, "func", mutant.apply).__module__ in kinds
    }


def test_a_commit_always_selects_the_same_sample() -> None:
    some = sample([*MUTANTS], 7)
    assert len({*some}) == 7
    assert some == sample([*MUTANTS], 7)
    assert {*some} <= {*MUTANTS}
    assert sample([*MUTANTS], None) == [*MUTANTS]
