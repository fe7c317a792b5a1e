"""For pytest's ``-p``: the mutant that MUTANT names, in whatever tests are run."""

import os

from tests.mutants.catalogue import MUTANTS

if name := os.environ.get("MUTANT"):
    MUTANTS[name].apply()
