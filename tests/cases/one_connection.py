"""All sessions are bound to one connection, which is taken when the app is imported.

As in simple-login/app (app/db.py). One request at a time works. Where two requests run
at once, they share a transaction. Each session is closed, and serves one request.
"""

import os
import tempfile

from flask import Flask
from sqlalchemy import Column
from sqlalchemy import create_engine
from sqlalchemy import Integer
from sqlalchemy import String
from sqlalchemy.orm import declarative_base
from sqlalchemy.orm import scoped_session
from sqlalchemy.orm import sessionmaker

from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView

Base = declarative_base()


class User(Base):
    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)


def create_app(shared: bool) -> Flask:
    url = "sqlite:///" + os.path.join(tempfile.mkdtemp(), "a.db")
    engine = create_engine(url, connect_args={"check_same_thread": False})
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        names = ["Ada", "Bea", "Cid"]
        connection.execute(User.__table__.insert(), [{"name": name} for name in names])
    session = scoped_session(sessionmaker(engine.connect() if shared else engine))
    app = Flask(__name__)
    app.secret_key = "x"

    @app.teardown_appcontext
    def cleanup(error):
        session.remove()

    Admin(app).add_view(ModelView(User, session))
    return app


def broken() -> Flask:
    return create_app(shared=True)


def fixed() -> Flask:
    return create_app(shared=False)
