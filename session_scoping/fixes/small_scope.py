"""A handle that gives the same session all through a request."""

import typing as t

from sqlalchemy.engine import Engine
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker


def fix(engine: Engine) -> t.Any:
    # begin
    # no scopefunc, or one that returns the same key all through a request
    session = scoped_session(sessionmaker(engine))
    # end
    return session
