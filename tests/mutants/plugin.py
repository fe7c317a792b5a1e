"""For pytest's ``-p``: applies the mutant that the variable ``MUTANT`` names."""

import os

from tests.mutants.catalogue import MUTANTS

if name := os.environ.get("MUTANT"):
    MUTANTS[name].apply()
