"""What keeps an object alive, told from the app down to it."""

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

REGISTRIES = {"ScopedRegistry", "ThreadLocalRegistry"}
DEPTH = 14  # steps up from the object
BUDGET = 30_000  # objects looked at, in a walk that finds nobody


class Step(t.NamedTuple):
    """An object on the way up, and how it refers to the one below it."""

    holder: object
    how: str
    below: "Step | None"


def keepers(target: object, views: t.Sequence[object]) -> list[str]:
    """The shortest path from a view, an app, a class or a module down to ``target``.

    Empty when there is none, as for what is kept for one thread only.
    """
    roots = {id(view) for view in views}
    seen = {id(views), id(roots)}
    level = [Step(target, "", None)]
    for _ in range(DEPTH):
        above: list[Step] = []
        seen.update((id(level), id(above)))
        for step in level:
            for holder in gc.get_referrers(step.holder):
                if id(holder) in seen or isinstance(holder, FrameType | Step):
                    continue
                if holder is level or holder is above or len(seen) > BUDGET:
                    continue
                seen.add(id(holder))
                found = Step(holder, _how(holder, step.holder), step)
                if root := _root(holder, step.holder, roots):
                    return [root, *_down(found)]
                above.append(found)
        level = above
    return []


def _root(holder: object, held: object, views: set[int]) -> str:
    """What a person calls the holder, where it is one to stop at."""
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
    """The steps from a root down, without those that say nothing."""
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
        index = next((i for i, one in enumerate(holder) if one is held), 0)
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
    """The variable of a closure that leads on to what is held."""
    for name, cell in zip(
        function.__code__.co_freevars, function.__closure__ or (), strict=False
    ):
        if cell is held or (isinstance(held, tuple) and function.__closure__ is held):
            return f" (its variable {name})"
    return ""
