"""A connection that goes back to the pool."""

import typing as t

from sqlalchemy import select
from sqlalchemy.engine import Engine


def fix(engine: Engine, User: t.Any) -> t.Callable[[], list[str]]:
    # begin
    def names():
        with engine.connect() as connection:  # returns it to the pool at the end
            return list(connection.execute(select(User.name)).scalars())

    # end
    return names
