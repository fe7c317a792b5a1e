"""Sessions that are lent to concurrent requests.  Only overlapping requests show it."""

import typing as t
from functools import partial

from flask_admin.contrib.sqla import ModelView
from flask_admin.contrib.sqla.ajax import QueryAjaxModelLoader
from tools.mutants import add
from tools.mutants import around
from tools.mutants import choose_sessions
from tools.mutants import session_of
from tools.mutants.places import PLACES


def _lend_to_concurrent_requests(owner: t.Any, name: str) -> None:
    sessions: dict[t.Any, t.Any] = {}  # its ``setdefault`` is atomic
    choose_sessions(
        owner, name, lambda handle: sessions.setdefault(handle, session_of(handle))
    )

    @around(owner, name)
    def work(original: t.Callable[..., t.Any], *args: t.Any, **more: t.Any) -> t.Any:
        try:
            return original(*args, **more)
        finally:
            sessions.clear()


WORK: dict[str, tuple[t.Any, str]] = {
    **PLACES,
    "list": (ModelView, "get_list"),
    "lookup": (QueryAjaxModelLoader, "get_list"),
}
del WORK["count"]  # the list makes it
for place, (owner, name) in WORK.items():
    add(
        f"{place}: lends its session to concurrent requests",
        f"{owner.__name__}.{name} lends its session to concurrent requests.",
        ("single", "fresh", "isolated"),
        partial(_lend_to_concurrent_requests, owner, name),
    )
