"""What keeps an object alive, as a path from the app down to it.

``objgraph.find_backref_chain`` does the same for a single object. It visits all objects
of the process at each step of the search. Here all targets go up one level at a time,
with a single visit for the whole level.
"""

import gc
import sys
import typing as t
from types import CellType
from types import FrameType
from types import FunctionType
from types import GeneratorType
from types import MethodType
from types import ModuleType

import flask

from session_scoping.recording import REGISTRY
from session_scoping.recording import STATEMENT

REGISTRIES = {"ScopedRegistry", "ThreadLocalRegistry"}
DEPTH = 14  # steps up from the object
RUNNERS = ("_pytest.", "unittest.")  # of tests
BUDGET = 3_000  # objects to look at before the search gives up


class Step(t.NamedTuple):
    """An object on a path, and how it refers to the object below it."""

    holder: object
    how: str
    below: "Step | None"


def keepers(targets: t.Sequence[object], views: t.Sequence[object]) -> list[list[str]]:
    """Return the shortest path from a view, an app, a class or a module to each target.

    A path is empty when none is found, as for what only a thread keeps. It is
    ``[STATEMENT]`` when only a compiled statement keeps the target.
    """
    if targets:
        gc.unfreeze()  # ``gc.get_referrers()`` skips what ``gc.freeze()`` has frozen
    roots = {id(view) for view in views}
    held_by: dict[int, list[object]] = {id(target): [] for target in targets}
    paths: list[list[str]] = [[] for _ in targets]
    own = {id(container) for container in (targets, views, held_by, *held_by.values())}
    in_statements: set[int] = set()
    level = list(targets)
    for _ in range(DEPTH):
        if len(held_by) > BUDGET or all(paths):
            break
        above: list[object] = []
        own.update((id(level), id(above)))
        below = {id(held) for held in level}
        rooted = False
        # One call for the whole level: each call visits every object there is.
        for holder in gc.get_referrers(*level):
            if id(holder) in own or _of_a_test(holder):
                continue
            referents = [
                referent
                for referent in gc.get_referents(holder)
                if id(referent) in below
            ]
            if _of_a_statement(holder):
                in_statements.update(map(id, referents))
                continue
            for held in referents:
                held_by[id(held)].append(holder)
            if id(holder) in held_by:
                continue
            held_by[id(holder)] = []
            own.add(id(held_by[id(holder)]))
            if _root(holder, roots):
                rooted = True
            else:
                above.append(holder)
        if rooted:
            paths = [_path(target, held_by, roots) for target in targets]
        level = above
    for target, path in zip(targets, paths, strict=True):
        if in_statements and not path and _ends(target, held_by) <= in_statements:
            path.append(STATEMENT)
    return paths


def _ends(target: object, held_by: dict[int, list[object]]) -> set[int]:
    """Return the last holders of all paths up from an object."""
    seen, ends, level = {id(target)}, set[int](), [id(target)]
    while level:
        address = level.pop()
        holders = {id(holder) for holder in held_by.get(address, ())}
        if not holders:
            ends.add(address)
        level.extend(holders - seen)
        seen |= holders
    return ends


def _of_a_statement(holder: object) -> bool:
    """Does it belong to a statement that SQLAlchemy has compiled and keeps?

    A comparison with an instance, as a dynamic relationship makes it, has a function
    for the value of a parameter. That function refers to what the instance has loaded.
    """
    return isinstance(holder, FunctionType) and str(holder.__module__).startswith(
        "sqlalchemy."
    )


def _path(
    target: object, held_by: dict[int, list[object]], roots: set[int]
) -> list[str]:
    """Return the shortest path that was found."""
    seen = {id(target)}
    level = [Step(target, "", None)]
    while level:
        above: list[Step] = []
        for step in level:
            for holder in held_by.get(id(step.holder), ()):
                if id(holder) in seen:
                    continue
                seen.add(id(holder))
                found = Step(holder, _how(holder, step.holder), step)
                if root := _root(holder, roots):
                    return [root, *_down(found)]
                above.append(found)
        level = above
    return []


def _of_a_test(holder: object) -> bool:
    """Is it the frame of a running function, or an object of a test runner?"""
    if isinstance(holder, FrameType):
        return True
    module = str(type(holder).__module__)
    if isinstance(holder, dict):
        module = str(holder.get("__name__"))
    return module.startswith(RUNNERS)


def _root(holder: object, views: set[int]) -> str:
    """Return the name of a holder that a path begins at, else an empty string."""
    if id(holder) in views:
        admin = getattr(holder, "admin", None)
        name = type(holder).__name__
        return f"Admin → {name}" if admin is not None else name
    if isinstance(holder, flask.Flask):
        return "the app"
    if isinstance(holder, type):
        return f"class {holder.__module__}.{holder.__qualname__}"
    if isinstance(holder, dict):
        module = sys.modules.get(str(holder.get("__name__")))
        if isinstance(module, ModuleType) and vars(module) is holder:
            return f"module {module.__name__}"
    return ""


def _down(step: Step) -> t.Iterator[str]:
    """Yield the steps from a root down, without the steps that have no name."""
    inner: Step | None = step
    name = ""
    while inner is not None and inner.below is not None:
        if type(inner.holder).__name__ in REGISTRIES:
            yield REGISTRY
            return
        below = inner.below.holder
        if below is getattr(inner.holder, "__dict__", None):
            name = "" if inner is step else f"{type(inner.holder).__name__}."
        elif inner.how:
            yield f"{name}{inner.how}"
            name = ""
        inner = inner.below


def _how(holder: object, held: object) -> str:
    if isinstance(holder, dict):
        return next((_key(key) for key, value in holder.items() if value is held), "")
    if isinstance(holder, list | tuple):
        if isinstance(held, CellType):
            return ""
        index = next((i for i, item in enumerate(holder) if item is held), 0)
        return f"[{index}]"
    if isinstance(holder, CellType):
        return ""
    if isinstance(holder, FunctionType):
        return f"function {holder.__qualname__}{_variable(holder, held)}"
    if isinstance(holder, GeneratorType):
        return f"generator {holder.__qualname__}"
    if isinstance(holder, MethodType):
        return f"method {holder.__qualname__}"
    if isinstance(holder, ModuleType):
        return ""
    if isinstance(holder, type) and isinstance(held, dict):
        return ""
    name = type(holder).__name__
    attributes = getattr(holder, "__dict__", {})
    for key, value in list(attributes.items()):
        if value is held:
            return f"{name}.{key}" if not isinstance(holder, type) else key
    for kind in type(holder).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if getattr(holder, key, None) is held:
                return f"{name}.{key}"
    return name


def _key(key: object) -> str:
    return key if isinstance(key, str) else f"[{key!r:.40}]"


def _variable(function: FunctionType, held: object) -> str:
    """Name the variable of a closure that leads to the held object."""
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=False
    ):
        if cell is held or (isinstance(held, tuple) and function.__closure__ is held):
            return f" (its variable {name})"
    return ""
