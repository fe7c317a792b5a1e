"""A cache that keeps keys, and no rows."""

import typing as t


def fix(cache: dict[str, t.Any], user: t.Any, db: t.Any, User: t.Any) -> t.Any:
    # begin
    cache["user"] = user.id  # keep the key, not the row, and load the row again:
    user = db.session.get(User, cache["user"])
    # end
    return user
