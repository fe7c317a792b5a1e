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
from werkzeug.local import LocalProxy
from wtforms.form import BaseForm

from session_scoping.recording import INSTALLED
from session_scoping.recording import Place
from session_scoping.recording import REGISTRY
from session_scoping.recording import STATEMENT
from session_scoping.watch.kinds import is_a
from session_scoping.watch.kinds import is_of_tests
from session_scoping.watch.kinds import is_test_file
from session_scoping.watch.kinds import RUNNERS
from session_scoping.watch.places import in_packages
from session_scoping.watch.places import readable

REGISTRIES = {"ScopedRegistry", "ThreadLocalRegistry"}
DEPTH = 14  # steps up from the object
BUDGET = 3_000  # objects to look at before the search gives up


class Step(t.NamedTuple):
    """An object on a path, and how it refers to the object below it."""

    holder: object
    how: str
    below: "Step | None"


class Root(t.NamedTuple):
    """Where a path begins."""

    name: str
    view: int | None = None  # the number of the view that it belongs to


class KeptBy(t.NamedTuple):
    """What keeps an object, as a path from the app down to it."""

    path: list[str]
    view: int | None = None  # the number of the view that keeps it


def keepers(targets: t.Sequence[object], views: t.Sequence[object]) -> list[KeptBy]:
    """Return the shortest path from a view, an app, a class or a module to each target.

    A path is empty when none is found, as for what only a thread keeps. It is
    ``[STATEMENT]`` when only a compiled statement keeps the target.
    """
    if targets:
        gc.unfreeze()  # ``gc.get_referrers()`` skips what ``gc.freeze()`` has frozen
    roots = _roots_of(views)
    held_by: dict[int, list[object]] = {id(target): [] for target in targets}
    found = [KeptBy([]) for _ in targets]
    own = {id(container) for container in (targets, views, held_by, *held_by.values())}
    in_statements: set[int] = set()
    level = tuple(targets)
    for _ in range(DEPTH):
        if len(held_by) > BUDGET or all(kept.path for kept in found):
            break
        above: list[object] = []
        own.update((id(level), id(above)))
        below = {id(held) for held in level}
        rooted = False
        # One call for the whole level: each call visits every object there is. Since
        # Python 3.13 it also finds the tuple of its arguments, which is `level` itself.
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
            found = [_path(target, held_by, roots) for target in targets]
        level = tuple(above)
    for target, (path, _) in zip(targets, found, strict=True):
        if in_statements and not path and _ends(target, held_by) <= in_statements:
            path.append(STATEMENT)
    return found


def _roots_of(views: t.Sequence[object]) -> dict[int, Root]:
    """Return the roots that belong to a view, by ``id``: it, its class and its forms.

    A class that several views have belongs to none of them.
    """
    roots: dict[int, Root] = {}
    for number, view in enumerate(views):
        kind = type(view)
        name = kind.__name__
        if getattr(view, "admin", None) is not None:
            name = f"Admin → {name}"
        roots[id(view)] = Root(name, number)
        for key, value in list(vars(view).items()):  # threads may add others
            if is_a(value, type) and issubclass(value, BaseForm):
                roots.setdefault(id(value), Root(f"{name} → {key}", number))
        alone = sum(type(other) is kind for other in views) == 1
        roots[id(kind)] = Root(_name(kind), number if alone else None)
    return roots


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
    return is_a(holder, FunctionType) and str(holder.__module__).startswith(
        "sqlalchemy."
    )


def _path(
    target: object, held_by: dict[int, list[object]], roots: dict[int, Root]
) -> KeptBy:
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
                found = Step(holder, _how(holder, step), step)
                if root := _root(holder, roots):
                    return KeptBy([root.name, *_down(found)], root.view)
                above.append(found)
        level = above
    return KeptBy([])


def _of_a_test(holder: object) -> bool:
    """Is it the frame of a running function, a test, or an object of a test runner?"""
    if is_a(holder, FrameType):
        return True
    if is_a(holder, dict):
        named = str(holder.get("__name__"))
        return named.startswith(RUNNERS) or is_test_file(holder.get("__file__"))
    return is_of_tests(holder if is_a(holder, type) else type(holder))


def _root(holder: object, roots: dict[int, Root]) -> Root | None:
    """Return the root that an object is, or ``None``."""
    if known := roots.get(id(holder)):
        return known
    if is_a(holder, flask.Flask):
        return Root("the app")
    if is_a(holder, type):
        return Root(_name(holder))
    if is_a(holder, dict):
        module = sys.modules.get(str(holder.get("__name__")))
        if is_a(module, ModuleType) and vars(module) is holder:
            ours = not in_packages(str(holder.get("__file__")))
            return Root(f"module {module.__name__}{'' if ours else INSTALLED}")
    return None


def _name(kind: type) -> str:
    return f"class {kind.__module__}.{kind.__qualname__}"


def _down(step: Step) -> t.Iterator[str]:
    """Yield the steps from a root down, without the steps that have no name."""
    inner: Step | None = step
    name = ""
    while inner is not None and inner.below is not None:
        if type(inner.holder).__name__ in REGISTRIES:
            yield REGISTRY
            return
        below = inner.below.holder
        wrapped = _attributes(inner.holder).get("__wrapped__")
        if is_a(wrapped, FunctionType):
            code = wrapped.__code__
            line = code.co_firstlineno
            yield f"decorated {Place(readable(code.co_filename), line, code.co_name)}"
        if below is _attributes(inner.holder):
            name = "" if inner is step else f"{type(inner.holder).__name__}."
        elif inner.how:
            yield f"{name}{inner.how}"
            name = ""
        inner = inner.below


def _how(holder: object, step: Step) -> str:
    """Return how an object refers to the object of the step below it."""
    held = step.holder
    if is_a(holder, dict):
        items = list(holder.items())
        return next((_key(key) for key, value in items if value is held), "")
    if is_a(holder, list, tuple):
        if is_a(held, CellType):
            return ""
        index = next((i for i, item in enumerate(holder) if item is held), 0)
        return f"[{index}]"
    if is_a(holder, CellType):
        return ""
    if is_a(holder, FunctionType):
        return f"function {holder.__qualname__}{_variable(holder, step)}"
    if is_a(holder, GeneratorType):
        return f"generator {holder.__qualname__}"
    if is_a(holder, MethodType):
        return f"method {holder.__qualname__}"
    if is_a(holder, ModuleType):
        return ""
    if is_a(holder, type) and is_a(held, dict):
        return ""
    name = type(holder).__name__
    if is_a(holder, LocalProxy):  # it has no attributes: its object has them
        return name
    for key, value in list(_attributes(holder).items()):
        if value is held:
            return f"{name}.{key}" if not is_a(holder, type) else key
    for kind in type(holder).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for key in (slots,) if is_a(slots, str) else slots:
            if getattr(holder, key, None) is held:
                return f"{name}.{key}"
    return name


def _attributes(holder: object) -> t.Mapping[str, object]:
    return {} if is_a(holder, LocalProxy) else getattr(holder, "__dict__", {})


def _key(key: object) -> str:
    return key if is_a(key, str) else f"[{key!r:.40}]"


def _variable(function: FunctionType, step: Step) -> str:
    """Name the variable of a closure that leads to the object of a step."""
    closure = function.__closure__ or ()
    if step.holder is closure and step.below is not None:
        step = step.below
    for name, cell in zip(function.__code__.co_freevars, closure, strict=False):
        if cell is step.holder:
            return f" (its variable {name})"
    return ""
