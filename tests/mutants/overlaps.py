"""What is right as long as one request is over before the next begins."""

import typing as t
from functools import partial

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tests.mutants import add
from tests.mutants import around
from tests.mutants import asks
from tests.mutants import real
from tests.mutants.places import PLACES


def _of_the_first(owner: t.Any, name: str) -> None:
    sessions: dict[t.Any, t.Any] = {}  # whose ``setdefault`` no thread interrupts
    asks(owner, name, lambda handle: sessions.setdefault(handle, real(handle)))

    @around(owner, name)
    def work(original: t.Callable[..., t.Any], *args: t.Any, **more: t.Any) -> t.Any:
        try:
            return original(*args, **more)
        finally:
            sessions.clear()


WORK: dict[str, tuple[t.Any, str]] = {
    **PLACES,
    "the list": (ModelView, "get_list"),
    "a lookup": (QueryAjaxModelLoader, "get_list"),
}
del WORK["the count"]  # is made in the list
for place, (owner, name) in WORK.items():
    add(
        f"{place}: of who came first",
        f"{owner.__name__}.{name} lends its session to all who come before it is done.",
        ("single", "fresh", "isolated"),
        partial(_of_the_first, owner, name),
    )
