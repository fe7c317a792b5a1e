"""All mutants."""

from tests.mutants import keeping
from tests.mutants import MUTANTS
from tests.mutants import operations
from tests.mutants import places
from tests.mutants import scopes

MODULES = (places, scopes, operations, keeping)
__all__ = ["MODULES", "MUTANTS"]
