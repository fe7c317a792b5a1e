"""All mutants, as if their code were in the package that they break.

A guard distinguishes the code of Flask-Admin from that of an app by its file. So the
code that is patched into a package has to name a file of that package.
"""

from types import CodeType
from types import FunctionType
from types import ModuleType

import flask_sqlalchemy.extension

import flask_admin.contrib.sqla.view
from tools import mutants
from tools.mutants import clients
from tools.mutants import elsewhere
from tools.mutants import ends
from tools.mutants import keeping
from tools.mutants import MUTANTS
from tools.mutants import operations
from tools.mutants import outliving
from tools.mutants import overlaps
from tools.mutants import places
from tools.mutants import rare_paths
from tools.mutants import refactorings
from tools.mutants import scopes
from tools.mutants import shapes

__all__ = ["MUTANTS"]

BROKEN: dict[ModuleType, ModuleType] = {
    mutants: flask_admin.contrib.sqla.view,
    places: flask_admin.contrib.sqla.view,
    operations: flask_admin.contrib.sqla.view,
    overlaps: flask_admin.contrib.sqla.view,
    keeping: flask_admin.contrib.sqla.view,
    rare_paths: flask_admin.contrib.sqla.view,
    shapes: flask_admin.contrib.sqla.view,
    outliving: flask_admin.contrib.sqla.view,
    elsewhere: flask_admin.contrib.sqla.view,
    refactorings: flask_admin.contrib.sqla.view,
    scopes: flask_sqlalchemy.extension,
    clients: flask_sqlalchemy.extension,
    ends: flask_sqlalchemy.extension,
}


def moved(code: CodeType, file: str) -> CodeType:
    """Return the same code, with all functions in it, as if from another file."""
    constants = (
        moved(constant, file) if isinstance(constant, CodeType) else constant
        for constant in code.co_consts
    )
    return code.replace(co_filename=file, co_consts=tuple(constants))


for module, broken in BROKEN.items():
    for value in vars(module).values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            value.__code__ = moved(value.__code__, str(broken.__file__))
