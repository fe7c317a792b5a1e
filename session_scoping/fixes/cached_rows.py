"""A function whose results are cached, and which returns plain values."""

import typing as t
from functools import lru_cache


def fix(db: t.Any, User: t.Any) -> t.Callable[[], list[str]]:
    # begin
    @lru_cache  # the same with cachetools: cache plain values, and no rows
    def user_names():
        return [user.name for user in db.session.query(User)]

    # end
    return user_names
