"""A handle whose scope is the app context, on whatever thread it is used."""

import typing as t

from flask import g
from sqlalchemy.engine import Engine
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker


def fix(engine: Engine) -> t.Any:
    # begin
    # The scope is the app context. An async view runs in it, on another thread.
    db_session = scoped_session(sessionmaker(engine), scopefunc=g._get_current_object)
    # end
    return db_session
