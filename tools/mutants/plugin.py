"""For pytest's ``-p``: apply the mutant that the variable ``MUTANT`` names."""

import os

from tools.mutants.catalogue import MUTANTS

if name := os.environ.get("MUTANT"):
    MUTANTS[name].apply()
