"""A view that is given a handle, and a teardown that removes the session."""

import typing as t

from flask import Flask
from sqlalchemy.engine import Engine
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin


def fix(app: Flask, admin: Admin, engine: Engine, User: t.Any, UserView: t.Any) -> None:
    # begin
    db_session = scoped_session(sessionmaker(engine))  # or Flask-SQLAlchemy's db
    admin.add_view(UserView(User, db_session))

    @app.teardown_appcontext  # Flask-SQLAlchemy does this by itself
    def remove_session(error):
        db_session.remove()

    # end
