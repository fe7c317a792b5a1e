"""What an operator can set, in the configuration of the app."""

import math
import typing as t
from dataclasses import dataclass

PREFIX = "SESSION_SCOPING_"


@dataclass(frozen=True)
class Settings:
    """The settings of a monitor. The name in ``app.config`` has the prefix."""

    held_after: float | None = None  # seconds; ``None``: however long
    sample: int = 1  # watch the sessions of one request in this many
    socket: str = ""  # a path; empty: none
    json: bool = False  # log lines of JSON, not text


def _seconds(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and 0 < value < math.inf
    )


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _path(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _yes_or_no(value: object) -> bool:
    return isinstance(value, bool)


# What each takes: the check of a value, and the words for what is right.
TAKES: dict[str, tuple[t.Callable[[object], bool], str]] = {
    "held_after": (_seconds, "a number of seconds above 0, or None for no limit"),
    "sample": (_count, "a whole number n from 1, to watch one request in n"),
    "socket": (_path, 'the path of a socket as a string, such as "/run/shop/holding"'),
    "json": (_yes_or_no, "True or False"),
}


def read(config: t.Mapping[str, t.Any]) -> tuple[Settings, list[str]]:
    """Return the settings of an app, and a line for each value that is wrong.

    The default is used in the place of a wrong value. ``None`` means the default.
    """
    values: dict[str, t.Any] = {}
    wrong: list[str] = []
    for name, (is_right, takes) in TAKES.items():
        key = f"{PREFIX}{name.upper()}"
        value = config.get(key)
        if value is None:
            continue
        if is_right(value):
            values[name] = value
        else:
            wrong.append(f"{key} is {value!r}, and takes {takes}: it is ignored")
    known = {f"{PREFIX}{name.upper()}" for name in TAKES}
    wrong += [
        f"{key} is no setting of the monitor: it takes {', '.join(sorted(known))}"
        for key in config
        if key.startswith(PREFIX) and key not in known
    ]
    return Settings(**values), wrong
