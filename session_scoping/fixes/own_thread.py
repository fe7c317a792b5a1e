"""A thread that closes the session that it makes."""

import typing as t

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session


def fix(engine: Engine, User: t.Any, counts: list[int]) -> t.Callable[[], None]:
    # begin
    def count_users():
        with Session(engine) as session:  # closes the session at the end
            counts.append(session.query(User).count())

    # end
    return count_users
