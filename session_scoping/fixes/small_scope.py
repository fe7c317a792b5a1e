"""A handle that gives the same session during the whole request."""

import typing as t

from sqlalchemy.engine import Engine
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker


def fix(engine: Engine) -> t.Any:
    # begin
    # no scopefunc, or a scopefunc that returns one key during the whole request
    db_session = scoped_session(sessionmaker(engine))
    # end
    return db_session
